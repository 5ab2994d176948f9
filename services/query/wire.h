#ifndef QASINO_SERVICES_QUERY_WIRE_H_
#define QASINO_SERVICES_QUERY_WIRE_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

// What of protobuf's wire format answers need: they are written without making messages first.
namespace qasino::query::wire {

inline constexpr size_t kMostVarint = 10;

// Fields of numbers below 16: the first byte of each.
constexpr char VarintTag(int field) { return static_cast<char>(field << 3); }
constexpr char BytesTag(int field) { return static_cast<char>(field << 3 | 2); }

inline size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

// Writes it and returns its end. There is room for kMostVarint bytes.
inline char* PutVarint(uint64_t value, char* to) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<char>(value | 0x80);
  *to++ = static_cast<char>(value);
  return to;
}

// As sint64 has it: small absolute values are short.
constexpr uint64_t ZigZag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}

// The summary of a QueryResponse, as its field; returns its end.
inline constexpr size_t kMostSummary = 64;
inline char* PutSummary(uint64_t rows, bool truncated, absl::Duration elapsed, char* to) {
  char duration[32];
  char* end = duration;
  const int64_t seconds = absl::ToInt64Seconds(elapsed);
  const int64_t nanos = absl::ToInt64Nanoseconds(elapsed - absl::Seconds(seconds));
  if (seconds != 0) {
    *end++ = VarintTag(1);
    end = PutVarint(static_cast<uint64_t>(seconds), end);
  }
  if (nanos != 0) {
    *end++ = VarintTag(2);
    end = PutVarint(static_cast<uint64_t>(nanos), end);
  }
  *to++ = BytesTag(3);
  char* const size = to++;  // one byte: it is short
  if (rows != 0) {
    *to++ = VarintTag(1);
    to = PutVarint(rows, to);
  }
  if (truncated) {
    *to++ = VarintTag(2);
    *to++ = 1;
  }
  *to++ = BytesTag(3);
  *to++ = static_cast<char>(end - duration);
  for (const char* from = duration; from != end; ++from) *to++ = *from;
  *size = static_cast<char>(to - size - 1);
  return to;
}

}  // namespace qasino::query::wire

#endif  // QASINO_SERVICES_QUERY_WIRE_H_
