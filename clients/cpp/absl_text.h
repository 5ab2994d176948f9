#ifndef QASINO_CLIENTS_CPP_ABSL_TEXT_H_
#define QASINO_CLIENTS_CPP_ABSL_TEXT_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace qasino::client {

// Debian builds Abseil with a string_view of its own, which its functions want.
inline absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_ABSL_TEXT_H_
