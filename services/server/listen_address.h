#ifndef QASINO_SERVICES_SERVER_LISTEN_ADDRESS_H_
#define QASINO_SERVICES_SERVER_LISTEN_ADDRESS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace qasino::server {

// "127.0.0.1:80", "[::1]:80".
std::string JoinHostPort(std::string_view address, int port);

// Whether a server could listen on an IP address and port now. The libraries that
// listen say only that they could not; this says why:
//   cannot listen on 127.0.0.1:80: Permission denied
absl::Status CheckCanListen(const std::string& address, int port);

// Connects to a server of this machine and hangs up. Whether that worked is not said.
void Connect(const std::string& address, int port);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_LISTEN_ADDRESS_H_
