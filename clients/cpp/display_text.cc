#include "clients/cpp/display_text.h"

#include <locale.h>
#include <wchar.h>

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "clients/cpp/real_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::client {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Invisible characters that change how what follows is shown.
bool IsFormat(char32_t c) {
  return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x206f) || c == 0x061c || c == 0xfeff ||
         (c >= 0xe0000 && c <= 0xe007f);
}

void AppendEscaped(char32_t c, std::string* out) {
  switch (c) {
    case '\n':
      *out += "\\n";
      return;
    case '\r':
      *out += "\\r";
      return;
    case '\t':
      *out += "\\t";
      return;
    default: {
      char escaped[16];
      std::snprintf(escaped, sizeof(escaped),
                    c < 0x80 ? "\\x%02x" : (c < 0x10000 ? "\\u%04x" : "\\U%08x"),
                    static_cast<unsigned>(c));
      *out += escaped;
    }
  }
}

// wcwidth() asks the locale; this is this thread's meanwhile.
class Utf8Locale {
 public:
  Utf8Locale() : before_(uselocale(Utf8())) {}
  ~Utf8Locale() { uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t Utf8() {
    static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8;
  }

  const locale_t before_;
};

}  // namespace

bool IsPlainAscii(std::string_view text) {
  const char* at = text.data();
  size_t left = text.size();
  constexpr uint64_t kOnes = 0x0101010101010101;
  // Eight at a time: over 0x7f, below a blank, or 0x7f.
  for (; left >= sizeof(uint64_t); at += sizeof(uint64_t), left -= sizeof(uint64_t)) {
    uint64_t bytes;
    std::memcpy(&bytes, at, sizeof(bytes));
    const uint64_t delete_is_zero = bytes ^ (kOnes * 0x7f);
    const uint64_t not_plain = bytes | (bytes - kOnes * ' ') | (delete_is_zero - kOnes);
    if ((not_plain & (kOnes * 0x80)) != 0) return false;
  }
  for (; left > 0; ++at, --left) {
    if (*at < ' ' || *at == 0x7f) return false;  // negative when not ASCII
  }
  return true;
}

size_t DisplayWidth(std::string_view text) {
  if (IsPlainAscii(text)) return text.size();
  const Utf8Locale locale;
  size_t width = 0;
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = DecodeUtf8(text, &c);
    const int columns = length == 0 || c == 0 ? -1 : wcwidth(static_cast<wchar_t>(c));
    width += columns < 0 ? 1 : columns;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return width;
}

DisplayText Displayed(std::string_view text) {
  if (IsPlainAscii(text)) return {std::string(text), text.size()};
  const Utf8Locale locale;
  DisplayText shown;
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = DecodeUtf8(text, &c);
    const size_t before = shown.text.size();
    if (length == 0) {
      const auto byte = static_cast<uint8_t>(text.front());
      shown.text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
      shown.width += 4;
      text.remove_prefix(1);
      continue;
    }
    const int width = c == 0 || IsFormat(c) ? -1 : wcwidth(static_cast<wchar_t>(c));
    if (width < 0) {
      AppendEscaped(c, &shown.text);
      shown.width += shown.text.size() - before;
    } else {
      shown.text += text.substr(0, length);
      shown.width += width;
    }
    text.remove_prefix(length);
  }
  return shown;
}

DisplayText DisplayedCell(const Cell& cell) {
  std::string text;
  switch (cell.kind()) {
    case CellKind::kNull:
      return {};
    case CellKind::kText:
      return Displayed(cell.text());
    case CellKind::kInteger:
      text = std::to_string(cell.integer());
      break;
    case CellKind::kReal:
      text = RealText(cell.real());
      break;
    case CellKind::kBlob:
      text = BlobText(cell.blob());
      break;
  }
  const size_t width = text.size();
  return {std::move(text), width};
}

std::string BlobText(std::string_view bytes) {
  std::string text = "\\x";
  text.reserve(2 + 2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace qasino::client
