#include "adapters/http/url.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "clients/cpp/utf8.h"

namespace qasino::http {
namespace {

// What an error shows of a parameter's name.
constexpr size_t kShownBytes = 64;

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

absl::StatusOr<std::string> Decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      const int high = at + 1 < text.size() ? HexDigit(text[at + 1]) : -1;
      const int low = at + 2 < text.size() ? HexDigit(text[at + 2]) : -1;
      if (high < 0 || low < 0) {
        decoded.push_back('%');
        continue;
      }
      decoded.push_back(static_cast<char>(high * 16 + low));
      at += 2;
    } else {
      decoded.push_back(text[at] == '+' ? ' ' : text[at]);
    }
  }
  if (decoded.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("a zero byte is no text");
  }
  if (!client::IsUtf8(decoded)) return absl::InvalidArgumentError("not valid UTF-8");
  return decoded;
}

absl::Status About(const std::string& what, const absl::Status& status) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", what, std::string(status.message())));
}

}  // namespace

Target SplitTarget(std::string_view target) {
  target = target.substr(0, target.find('#'));
  if (!target.empty() && target[0] != '/') {
    const size_t scheme = target.find("://");
    const size_t authority_end =
        scheme == target.npos ? target.npos : target.find_first_of("/?", scheme + 3);
    if (scheme != target.npos && target.find_first_of("/?") > scheme) {
      target = authority_end == target.npos ? "" : target.substr(authority_end);
    }
  }
  const size_t mark = target.find('?');
  Target split{.path = target.substr(0, mark),
               .query = mark == target.npos ? "" : target.substr(mark + 1)};
  // An absolute URL may leave out the path.
  if (split.path.empty()) split.path = "/";
  return split;
}

absl::StatusOr<Parameters> Parameters::Parse(std::string_view query) {
  Parameters parsed;
  size_t number = 0;
  while (!query.empty()) {
    const size_t end = query.find_first_of("&;");
    const std::string_view parameter = query.substr(0, end);
    query = end == query.npos ? "" : query.substr(end + 1);
    if (parameter.empty()) continue;
    if (++number > kMaxParameters) {
      return absl::InvalidArgumentError(
          fmt::format("the URL has more than {} parameters", kMaxParameters));
    }
    const size_t equals = parameter.find('=');
    absl::StatusOr<std::string> name = Decode(parameter.substr(0, equals));
    if (!name.ok()) {
      return About(fmt::format("the name of parameter {} of the URL", number), name.status());
    }
    if (equals == parameter.npos) continue;
    absl::StatusOr<std::string> value = Decode(parameter.substr(equals + 1));
    if (!value.ok()) {
      return About(name->size() <= kShownBytes ? fmt::format("parameter '{}' of the URL", *name)
                                               : fmt::format("parameter {} of the URL", number),
                   value.status());
    }
    if (!parsed.Find(*name)) parsed.parameters_.emplace_back(*std::move(name), *std::move(value));
  }
  return parsed;
}

std::optional<std::string_view> Parameters::Find(std::string_view name) const {
  const auto found = std::find_if(parameters_.begin(), parameters_.end(),
                                  [name](const auto& each) { return each.first == name; });
  if (found == parameters_.end()) return std::nullopt;
  return found->second;
}

}  // namespace qasino::http
