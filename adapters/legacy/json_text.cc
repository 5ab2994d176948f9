#include "adapters/legacy/json_text.h"

#include <array>
#include <cstdint>

#include "adapters/legacy/eight_bytes.h"
#include "clients/cpp/utf8.h"

namespace qasino::legacy {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// ASCII that may stand in a JSON string as it is.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain = {};
  for (size_t c = ' '; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

bool AllPlain(const EightBytes& bytes) {
  return (bytes.HasNonAscii() | bytes.HasLess(' ') | bytes.Has('"') | bytes.Has('\\')) == 0;
}

char* PutEscaped(char c, char* to) {
  *to++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *to++ = c;
      return to;
    case '\n':
      *to++ = 'n';
      return to;
    case '\r':
      *to++ = 'r';
      return to;
    case '\t':
      *to++ = 't';
      return to;
    default:
      for (const char digit : {'u', '0', '0', kHex[(c >> 4) & 15], kHex[c & 15]}) *to++ = digit;
      return to;
  }
}

}  // namespace

bool PutJsonString(std::string_view text, Block* block) {
  // One byte becomes at most six; eight are copied at once.
  constexpr size_t kPiece = (Block::kMostRoom - 32) / 6;
  const char* from = text.data();
  const char* const end = from + text.size();
  bool ascii = true;
  block->Put('"');
  while (from != end) {
    const char* const piece_end = static_cast<size_t>(end - from) > kPiece ? from + kPiece : end;
    char* to = block->Room(6 * (piece_end - from) + 32);
    while (from < piece_end) {
      while (piece_end - from >= 8) {
        const EightBytes bytes(from);
        if (!AllPlain(bytes)) break;
        bytes.CopyTo(to);
        from += 8;
        to += 8;
      }
      while (from < piece_end && kPlain[static_cast<uint8_t>(*from)]) *to++ = *from++;
      if (from >= piece_end) break;
      if (static_cast<uint8_t>(*from) < 0x80) {
        to = PutEscaped(*from++, to);
        continue;
      }
      ascii = false;
      char32_t character = 0;
      // A character may reach beyond the piece: there is room for that.
      size_t size = client::DecodeUtf8(std::string_view(from, end - from), &character);
      std::string_view bytes(from, size);
      if (size == 0) {
        bytes = "\xef\xbf\xbd";
        size = 1;
      }
      std::memcpy(to, bytes.data(), bytes.size());
      to += bytes.size();
      from += size;
    }
    block->Use(to);
  }
  block->Put('"');
  return ascii;
}

void AppendJsonString(std::string_view text, std::string* out) {
  Block block(out);
  PutJsonString(text, &block);
}

}  // namespace qasino::legacy
