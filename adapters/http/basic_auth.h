#ifndef QASINO_ADAPTERS_HTTP_BASIC_AUTH_H_
#define QASINO_ADAPTERS_HTTP_BASIC_AUTH_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace qasino::http {

struct Credentials {
  std::string user;
  std::string password;
};

// What an Authorization header says, by RFC 7617: "Basic dXNlcjpwYXNzd29yZA==". The scheme's
// case is free; the base64 has its padding. User and password may be empty; they are bytes,
// in the client's encoding, without control characters.
//
// UNAUTHENTICATED: the header is empty, or of another scheme. INVALID_ARGUMENT: it is of
// this one, and malformed. The messages show nothing of the header.
absl::StatusOr<Credentials> ParseBasicAuth(std::string_view header);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_BASIC_AUTH_H_
