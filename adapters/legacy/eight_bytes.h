#ifndef QASINO_ADAPTERS_LEGACY_EIGHT_BYTES_H_
#define QASINO_ADAPTERS_LEGACY_EIGHT_BYTES_H_

#include <cstdint>
#include <cstring>

namespace qasino::legacy {

// Eight bytes of text, looked at together. Each answer is exact.
class EightBytes {
 public:
  explicit EightBytes(const char* from) { std::memcpy(&bytes_, from, sizeof(bytes_)); }

  void CopyTo(char* to) const { std::memcpy(to, &bytes_, sizeof(bytes_)); }

  // Not 0: one of them is over 0x7f, or under `limit` (at most 0x80), or is `c`.
  uint64_t HasNonAscii() const { return bytes_ & kHigh; }
  uint64_t HasLess(uint8_t limit) const { return (bytes_ - kOnes * limit) & ~bytes_ & kHigh; }
  uint64_t Has(char c) const {
    const uint64_t zeroes = bytes_ ^ (kOnes * static_cast<uint8_t>(c));
    return (zeroes - kOnes) & ~zeroes & kHigh;
  }

 private:
  static constexpr uint64_t kOnes = 0x0101010101010101;
  static constexpr uint64_t kHigh = 0x8080808080808080;

  uint64_t bytes_;
};

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_EIGHT_BYTES_H_
