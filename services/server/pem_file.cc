#include "services/server/pem_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "absl/status/status.h"

namespace qasino::server {

absl::StatusOr<std::string> ReadPemFile(const std::string& path) {
  constexpr size_t kMaxBytes = 1 << 20;
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "cannot read '{}': {}", path, errno == 0 ? "it is empty" : std::strerror(errno)));
  }
  if (text.size() > kMaxBytes || text.find("-----BEGIN ") == std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not a PEM file of certificates or a key", path));
  }
  return text;
}

}  // namespace qasino::server
