#ifndef QASINO_CLIENTS_CPP_UNREACHABLE_H_
#define QASINO_CLIENTS_CPP_UNREACHABLE_H_

#include <string_view>

#include "absl/status/status.h"

namespace qasino::client {

// UNAVAILABLE, and IsUnreachable holds for it.
absl::Status UnreachableError(std::string_view message);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_UNREACHABLE_H_
