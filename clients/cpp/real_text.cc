#include "clients/cpp/real_text.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

namespace qasino::client {
namespace {

constexpr int kDigits = 15;

char* Put(std::string_view text, char* to) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* PutBySqlite(double value, char* to) {
  sqlite3_snprintf(kMostRealText, to, "%!.15g", value);
  return to + std::strlen(to);
}

// The digits d.ddd × 10^exponent, at most kDigits, without zeroes at their end.
char* PutDigits(std::string_view digits, int exponent, char* to) {
  const auto count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= kDigits) {
    *to++ = digits[0];
    *to++ = '.';
    to = count > 1 ? Put(digits.substr(1), to) : Put("0", to);
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    const int size = std::abs(exponent);
    *to++ = static_cast<char>('0' + size / 10);
    *to++ = static_cast<char>('0' + size % 10);
    return to;
  }
  if (exponent < 0) {
    to = Put("0.", to);
    to = std::fill_n(to, -exponent - 1, '0');
    return Put(digits, to);
  }
  const int whole = std::min(count, exponent + 1);
  to = Put(digits.substr(0, whole), to);
  to = std::fill_n(to, exponent + 1 - whole, '0');
  *to++ = '.';
  return count > whole ? Put(digits.substr(whole), to) : Put("0", to);
}

// Powers of ten that 64 bits of mantissa hold exactly.
constexpr int kMostExactPower = 27;
constexpr std::array<long double, kMostExactPower + 1> kPowers = [] {
  std::array<long double, kMostExactPower + 1> powers{};
  powers[0] = 1;
  for (int i = 1; i <= kMostExactPower; ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

// 00 to 99.
constexpr std::array<char, 200> kPairs = [] {
  std::array<char, 200> pairs{};
  for (int i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}();

// The 15 digits of a positive value by one operation in 64 bits of mantissa, so that it is off
// by less than 0.0001 of the last digit. SQLite, which takes some ten such operations, is off
// by less than 0.001: both round alike, but near the middle between two digits. Null there,
// and where the power of ten is not exact.
char* PutBy64Bits(double value, bool negative, char* to) {
  if constexpr (std::numeric_limits<long double>::digits < 64) return nullptr;
  if (!(value > 1e-12 && value < 1e40)) return nullptr;
  // Of 2^n, the largest power of two that is not above the value: at most one too small.
  const int two = static_cast<int>(std::bit_cast<uint64_t>(value) >> 52) - 1023;
  constexpr int kLog10Of2 = 315653;  // * 2^20
  int exponent = (two * kLog10Of2) >> 20;
  const auto scaled = [&]() -> long double {
    const int power = kDigits - 1 - exponent;
    return power >= 0 ? value * kPowers[power] : value / kPowers[-power];
  };
  long double digits = scaled();
  if (digits >= kPowers[kDigits]) {
    ++exponent;
    digits = scaled();
  }
  auto whole = static_cast<int64_t>(digits);
  const auto rest = static_cast<double>(digits - static_cast<long double>(whole));
  if (rest > 0.49 && rest < 0.51) return nullptr;
  if (rest > 0.5) ++whole;
  if (whole >= static_cast<int64_t>(kPowers[kDigits])) {
    whole /= 10;
    ++exponent;
  }
  char text[kDigits];
  // In two halves, which the processor takes at a time.
  auto left = static_cast<uint32_t>(whole / 100'000'000);
  auto right = static_cast<uint32_t>(whole % 100'000'000);
  for (int at = kDigits - 2; at > 6; at -= 2) {
    std::memcpy(text + at, &kPairs[right % 100 * 2], 2);
    right /= 100;
    if (at == 7) break;
    std::memcpy(text + at - 8, &kPairs[left % 100 * 2], 2);
    left /= 100;
  }
  text[0] = static_cast<char>('0' + left);
  const char* end = text + kDigits;
  while (end > text + 1 && end[-1] == '0') --end;
  if (negative) *to++ = '-';
  return PutDigits({text, static_cast<size_t>(end - text)}, exponent, to);
}

}  // namespace

// SQLite takes most of a microsecond. Where a decimal number of at most 15 digits is the
// shortest that stands for the value, it is the one that SQLite finds: the value is no
// further from it than 0.12 of its last digit, and SQLite, which reckons with 64 bits of
// mantissa, rounds wrongly only near 0.5; beyond 10^±99 its powers of ten are less exact.
char* PutRealText(double value, char* to) {
  if (value == 0) return Put("0.0", to);
  if (std::abs(value) < 1e15 && value == static_cast<double>(static_cast<int64_t>(value))) {
    return Put(".0", std::to_chars(to, to + kMostRealText, static_cast<int64_t>(value)).ptr);
  }
  if (char* const done = PutBy64Bits(std::abs(value), value < 0, to); done != nullptr) return done;
  if (!(std::abs(value) > 1e-99 && std::abs(value) < 1e99)) return PutBySqlite(value, to);

  char shortest[kMostRealText];
  const char* const end = std::to_chars(shortest, shortest + sizeof(shortest), std::abs(value),
                                        std::chars_format::scientific)
                              .ptr;
  const char* const e = std::find(static_cast<const char*>(shortest), end, 'e');
  char digits[kMostRealText];
  digits[0] = shortest[0];
  size_t count = 1;
  // Behind the point.
  if (e - shortest > 2)
    count = std::copy(static_cast<const char*>(shortest) + 2, e, digits + 1) - digits;
  if (count > kDigits) return PutBySqlite(value, to);
  int exponent = 0;
  std::from_chars(e + 2, end, exponent);
  if (e[1] == '-') exponent = -exponent;
  if (value < 0) *to++ = '-';
  return PutDigits({digits, count}, exponent, to);
}

std::string RealText(double value) {
  char text[kMostRealText];
  return std::string(text, PutRealText(value, text));
}

}  // namespace qasino::client
