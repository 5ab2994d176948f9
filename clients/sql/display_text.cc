#include "clients/sql/display_text.h"

#include <sqlite3.h>
#include <wchar.h>

#include <clocale>
#include <cstdint>
#include <cstdio>

#include "clients/cpp/utf8.h"

namespace qasino::sql {
namespace {

using client::Cell;
using client::CellKind;

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

bool IsPlainAscii(std::string_view text) {
  for (const char c : text) {
    if (c < ' ' || c == 0x7f) return false;  // negative when not ASCII
  }
  return true;
}

}  // namespace

DisplayText Displayed(std::string_view text) {
  if (IsPlainAscii(text)) return {std::string(text), text.size()};
  DisplayText shown;
  while (!text.empty()) {
    char32_t c = 0;
    const size_t length = client::DecodeUtf8(text, &c);
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

std::string RealText(double value) {
  char text[64];
  sqlite3_snprintf(sizeof(text), text, "%!.15g", value);
  return text;
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

void UseUtf8() { std::setlocale(LC_CTYPE, "C.UTF-8"); }

}  // namespace qasino::sql
