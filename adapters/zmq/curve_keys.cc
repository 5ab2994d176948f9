#include "adapters/zmq/curve_keys.h"

#include <fmt/format.h>
#include <zmq.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace qasino::zeromq {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;

absl::Status Fault(const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("CURVE key file '{}': {}", path, why));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return Fault(path, std::strerror(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const int error = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (error != 0) return Fault(path, std::strerror(error));
  if (text.size() > kMaxFileBytes) return Fault(path, "longer than 4 MiB");
  return text;
}

// `"<key>"` behind `name = `; empty when the line is another.
std::string_view ValueOf(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return {};
  line.remove_prefix(name.size());
  const size_t begin = line.find('"');
  const size_t end = line.rfind('"');
  if (begin == std::string_view::npos || begin == end) return {};
  return line.substr(begin + 1, end - begin - 1);
}

std::string_view Std(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::StatusOr<std::string> DecodeKey(std::string_view z85) {
  // The library's own check reads beyond its table for bytes over 127.
  for (const char c : z85) {
    if (c <= ' ' || c > '~') return absl::InvalidArgumentError("not a key in Z85");
  }
  uint8_t key[32];
  if (z85.size() != kZ85KeySize || zmq_z85_decode(key, std::string(z85).c_str()) == nullptr) {
    return absl::InvalidArgumentError("not a key in Z85, which has 40 characters");
  }
  return std::string(reinterpret_cast<const char*>(key), sizeof(key));
}

absl::StatusOr<std::string> ReadSecretKey(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  std::string key(absl::StripAsciiWhitespace(*text));
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::string_view value = ValueOf(Std(absl::StripAsciiWhitespace(line)), "secret-key");
    if (!value.empty()) key = value;
  }
  if (!DecodeKey(key).ok()) return Fault(path, "has no secret key of 40 characters in Z85");
  return key;
}

absl::StatusOr<std::set<std::string, std::less<>>> ReadClientKeys(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  std::set<std::string, std::less<>> keys;
  int number = 0;
  for (const absl::string_view untrimmed : absl::StrSplit(*text, '\n')) {
    ++number;
    const std::string_view line = Std(absl::StripAsciiWhitespace(untrimmed));
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<std::string> key = DecodeKey(line);
    if (!key.ok()) {
      return Fault(path, fmt::format("line {}: {}", number, std::string(key.status().message())));
    }
    keys.insert(*std::move(key));
  }
  return keys;
}

}  // namespace qasino::zeromq
