#ifndef QASINO_SERVICES_PAGES_ENCODING_H_
#define QASINO_SERVICES_PAGES_ENCODING_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

// How SQLite's file format writes numbers, and the cells of a record: big-endian, varints of 7
// bits a byte, and for each cell a serial type in the record's header and its bytes in the body.
// See https://www.sqlite.org/fileformat2.html. Pure functions.
namespace qasino::pages {

inline constexpr size_t kPageSize = 4096;

inline void Put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

inline uint32_t Get16(const uint8_t* at) { return (uint32_t{at[0]} << 8) | at[1]; }

inline void Put32(uint8_t* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof(value));
}

inline uint32_t Get32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return __builtin_bswap32(value);
}

inline void Put64(uint8_t* at, uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(at, &value, sizeof(value));
}

// Varints here are less than 2^56: rowids and sizes. (A larger one ends in a byte of 8 bits.)
inline constexpr size_t kMostVarint = 8;

inline size_t VarintSize(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// Writes the varint so that it ends before `end`; its beginning.
inline uint8_t* PrependVarint(uint8_t* end, uint64_t value) {
  *--end = static_cast<uint8_t>(value & 0x7f);
  while (value >>= 7) *--end = static_cast<uint8_t>(value | 0x80);
  return end;
}

// Writes the varint; what follows it.
inline uint8_t* PutVarint(uint8_t* at, uint64_t value) {
  if (value < 0x80) {
    *at = static_cast<uint8_t>(value);
    return at + 1;
  }
  const size_t size = VarintSize(value);
  PrependVarint(at + size, value);
  return at + size;
}

inline const uint8_t* GetVarint(const uint8_t* at, uint64_t* value) {
  *value = 0;
  do {
    *value = (*value << 7) | (*at & 0x7f);
  } while ((*at++ & 0x80) != 0);
  return at;
}

// The size of a record's header, of which its own length is a part.
inline size_t HeaderSize(size_t serial_types) {
  size_t length = 1;
  while (VarintSize(serial_types + length) > length) ++length;
  return serial_types + length;
}

// Where the next cell of a record goes. Each Put writes up to 8 bytes of the body, whatever the
// cell takes of them.
struct RecordCursor {
  uint8_t* header;
  uint8_t* body;
};

inline void PutNull(RecordCursor& at) { *at.header++ = 0; }

inline void PutInteger(RecordCursor& at, int64_t value) {
  // By the number of bits beside the sign.
  static constexpr std::array<uint8_t, 65> kTypes = [] {
    std::array<uint8_t, 65> types = {};
    for (int bits = 0; bits <= 64; ++bits) {
      types[bits] = bits <= 7 ? 1 : bits <= 15 ? 2 : bits <= 23 ? 3 : bits <= 31 ? 4 : 6;
      if (bits > 31 && bits <= 47) types[bits] = 5;
    }
    return types;
  }();
  static constexpr std::array<uint8_t, 7> kBytes = {0, 1, 2, 3, 4, 6, 8};
  const auto bits = static_cast<uint64_t>(value);
  if (bits <= 1) {
    *at.header++ = static_cast<uint8_t>(8 + bits);
    return;
  }
  const uint8_t type = kTypes[std::bit_width(bits ^ static_cast<uint64_t>(value >> 63))];
  const size_t bytes = kBytes[type];
  *at.header++ = type;
  Put64(at.body, bits << (64 - 8 * bytes));
  at.body += bytes;
}

// As a real, whatever its value; NaN is NULL.
inline void PutReal(RecordCursor& at, double value) {
  if (value != value) return PutNull(at);
  *at.header++ = 7;
  Put64(at.body, std::bit_cast<uint64_t>(value));
  at.body += sizeof(value);
}

// Integers that a column of reals stores as such. Larger ones would take the 8 bytes of a real.
inline constexpr int64_t kMostInReal = int64_t{1} << 47;

// In a column of type REAL.
inline void PutRealColumn(RecordCursor& at, double value) {
  if (value >= -static_cast<double>(kMostInReal) && value < static_cast<double>(kMostInReal)) {
    const auto integer = static_cast<int64_t>(value);
    if (static_cast<double>(integer) == value) return PutInteger(at, integer);
  }
  PutReal(at, value);
}

inline void PutRealColumn(RecordCursor& at, int64_t value) {
  if (value >= -kMostInReal && value < kMostInReal) return PutInteger(at, value);
  PutReal(at, static_cast<double>(value));
}

// In a column of type INTEGER.
inline void PutIntegerColumn(RecordCursor& at, double value) {
  constexpr double kEnd = 9223372036854775808.0;
  if (value > -kEnd && value < kEnd) {
    const auto integer = static_cast<int64_t>(value);
    if (static_cast<double>(integer) == value) return PutInteger(at, integer);
  }
  PutReal(at, value);
}

inline uint8_t* PutBytes(uint8_t* at, const char* bytes, size_t size) {
  // Most are short, for which a call costs more than the copy.
  if (size > 16) {
    std::memcpy(at, bytes, size);
  } else if (size >= 8) {
    uint64_t first, last;
    std::memcpy(&first, bytes, 8);
    std::memcpy(&last, bytes + size - 8, 8);
    std::memcpy(at, &first, 8);
    std::memcpy(at + size - 8, &last, 8);
  } else if (size >= 4) {
    uint32_t first, last;
    std::memcpy(&first, bytes, 4);
    std::memcpy(&last, bytes + size - 4, 4);
    std::memcpy(at, &first, 4);
    std::memcpy(at + size - 4, &last, 4);
  } else if (size > 0) {
    const char first = bytes[0], middle = bytes[size / 2], last = bytes[size - 1];
    at[0] = static_cast<uint8_t>(first);
    at[size / 2] = static_cast<uint8_t>(middle);
    at[size - 1] = static_cast<uint8_t>(last);
  }
  return at + size;
}

inline uint64_t TextType(size_t size) { return 13 + 2 * uint64_t{size}; }
inline uint64_t BlobType(size_t size) { return 12 + 2 * uint64_t{size}; }

inline void PutText(RecordCursor& at, std::string_view text) {
  at.header = PutVarint(at.header, TextType(text.size()));
  at.body = PutBytes(at.body, text.data(), text.size());
}

inline void PutBlob(RecordCursor& at, std::string_view blob) {
  at.header = PutVarint(at.header, BlobType(blob.size()));
  at.body = PutBytes(at.body, blob.data(), blob.size());
}

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_ENCODING_H_
