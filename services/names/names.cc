#include "services/names/names.h"

#include <algorithm>
#include <boost/locale/utf.hpp>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace qasino::names {
namespace {

constexpr size_t kLongestName = 128;
constexpr size_t kLongestIdentity = 256;
// What a message quotes of a name that may be anything.
constexpr size_t kLongestQuote = 128;

// Bytes of the UTF-8 character that `text` begins with; 0 when it is none.
size_t Utf8CharacterSize(std::string_view text) {
  namespace utf = boost::locale::utf;
  const char* at = text.data();
  const utf::code_point character = utf::utf_traits<char>::decode(at, text.data() + text.size());
  if (character == utf::illegal || character == utf::incomplete) return 0;
  return static_cast<size_t>(at - text.data());
}

}  // namespace

bool IsName(std::string_view name) {
  if (name.empty() || name.size() > kLongestName || !absl::ascii_isalpha(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

absl::Status ValidateTableName(const std::string& name) {
  if (!IsName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("table ", Quoted(name), " is not a name: ", kRule));
  }
  for (const char* reserved : {"sqlite_", "qasino_server_"}) {
    if (absl::StartsWithIgnoreCase(name, reserved)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "table ", Quoted(name), ": names that begin with '", reserved, "' are reserved"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateIdentity(std::string_view identity) {
  if (identity.empty()) return absl::InvalidArgumentError("the identity is empty");
  if (identity.size() > kLongestIdentity) {
    return absl::InvalidArgumentError(absl::StrCat("the identity ", Quoted(identity), " has ",
                                                   identity.size(), " bytes, over the limit of ",
                                                   kLongestIdentity));
  }
  for (size_t i = 0; i < identity.size();) {
    const size_t size = Utf8CharacterSize(identity.substr(i));
    if (size == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the identity ", Quoted(identity), " is not valid UTF-8"));
    }
    const auto first = static_cast<unsigned char>(identity[i]);
    const bool ascii_control = first < 0x20 || first == 0x7F;
    // U+0080 to U+009F.
    const bool latin_control = first == 0xC2 && static_cast<unsigned char>(identity[i + 1]) < 0xA0;
    if (ascii_control || latin_control) {
      return absl::InvalidArgumentError(
          absl::StrCat("the identity ", Quoted(identity), " has a control character"));
    }
    i += size;
  }
  return absl::OkStatus();
}

std::string Quoted(std::string_view text) {
  std::string shown;
  size_t i = 0;
  while (i < text.size()) {
    if (i >= kLongestQuote) {
      shown += "…";
      break;
    }
    const size_t size = Utf8CharacterSize(text.substr(i));
    if (size > 1) {
      shown.append(text.substr(i, size));
    } else {
      shown += absl::CHexEscape(std::string(1, text[i]));
    }
    i += std::max<size_t>(size, 1);
  }
  return absl::StrCat("'", shown, "'");
}

}  // namespace qasino::names
