#ifndef QASINO_SERVICES_STORE_FLAGS_H_
#define QASINO_SERVICES_STORE_FLAGS_H_

#include "services/server/command_line.h"
#include "services/store/store.h"

namespace qasino::store {

// Adds the store's own flags, without its port, to a program's command line. Their
// defaults are what the options say now.
void AddFlags(server::CommandLine& line, StoreOptions& options);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_FLAGS_H_
