#ifndef QASINO_ADAPTERS_ZMQ_CURVE_KEYS_H_
#define QASINO_ADAPTERS_ZMQ_CURVE_KEYS_H_

#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace qasino::zeromq {

// A key of CURVE as ZeroMQ writes it in text: 40 characters of Z85.
inline constexpr size_t kZ85KeySize = 40;

// The server's secret key, in Z85, from a file that has nothing else, or that is a
// certificate as ZeroMQ's tools write it (`secret-key = "…"`). The message names the file.
absl::StatusOr<std::string> ReadSecretKey(const std::string& path);

// The public keys of clients, 32 bytes each, from a file with one in Z85 a line; blank lines
// and those that begin with `#` are passed over. The message names file and line.
absl::StatusOr<std::set<std::string, std::less<>>> ReadClientKeys(const std::string& path);

// 32 bytes from Z85. INVALID_ARGUMENT when it is not such a key.
absl::StatusOr<std::string> DecodeKey(std::string_view z85);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_CURVE_KEYS_H_
