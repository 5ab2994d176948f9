#include "adapters/http/basic_auth.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "clients/cpp/absl_text.h"

namespace qasino::http {
namespace {

// Of user and password together; far more than PasswordFile takes.
constexpr size_t kMaxBytes = 4096;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Stricter than absl::Base64Unescape, which passes over blanks, takes `.` for `=`, and does
// without padding.
bool IsBase64(std::string_view text) {
  if (text.size() % 4 != 0) return false;
  for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) {
    text.remove_suffix(1);
  }
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '+' || c == '/';
  });
}

}  // namespace

absl::StatusOr<Credentials> ParseBasicAuth(std::string_view header) {
  header = Trimmed(header);
  const size_t scheme_end = std::min(header.find_first_of(" \t"), header.size());
  if (!absl::EqualsIgnoreCase(client::Absl(header.substr(0, scheme_end)), "basic")) {
    return absl::UnauthenticatedError("user and password are needed, by basic authentication");
  }
  const std::string_view encoded = Trimmed(header.substr(scheme_end));
  if (encoded.size() > kMaxBytes / 3 * 4) {
    return absl::InvalidArgumentError("the Authorization header is too long");
  }
  std::string decoded;
  if (!IsBase64(encoded) || !absl::Base64Unescape(client::Absl(encoded), &decoded)) {
    return absl::InvalidArgumentError("the Authorization header is not valid base64");
  }
  const size_t colon = decoded.find(':');
  if (colon == decoded.npos) {
    return absl::InvalidArgumentError("the Authorization header has no ':' behind the user");
  }
  if (std::any_of(decoded.begin(), decoded.end(),
                  [](unsigned char c) { return absl::ascii_iscntrl(c); })) {
    return absl::InvalidArgumentError("the Authorization header has a control character");
  }
  return Credentials{.user = decoded.substr(0, colon), .password = decoded.substr(colon + 1)};
}

}  // namespace qasino::http
