#include "clients/tables/shown.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/utf8.h"

namespace qasino::publish {

std::string Excerpt(std::string_view text, size_t most) {
  std::string excerpt;
  while (!text.empty()) {
    char32_t character;
    const size_t size = client::DecodeUtf8(text, &character);
    const std::string_view shown = size == 0 ? "\xef\xbf\xbd" : text.substr(0, size);
    if (excerpt.size() + shown.size() > most) return excerpt + "…";
    excerpt += shown;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return excerpt;
}

std::string Shown(std::string_view text) {
  return absl::StrCat("'", absl::Utf8SafeCEscape(Excerpt(text, 60)), "'");
}

}  // namespace qasino::publish
