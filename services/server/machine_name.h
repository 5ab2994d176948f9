#ifndef QASINO_SERVICES_SERVER_MACHINE_NAME_H_
#define QASINO_SERVICES_SERVER_MACHINE_NAME_H_

#include <string>

namespace qasino::server {

// This machine's name, which is a server's identity unless it is given another;
// "localhost" where the machine has none. Any thread.
std::string MachineName();

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_MACHINE_NAME_H_
