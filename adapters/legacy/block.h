#ifndef QASINO_ADAPTERS_LEGACY_BLOCK_H_
#define QASINO_ADAPTERS_LEGACY_BLOCK_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace qasino::legacy {

// Small pieces on their way to a string, which would cost a check of its size each, or the
// zeroes that resize() writes first. Lives on the stack; what was put is in `out` when it
// goes. Not thread-safe.
//
//   char* to = block.Room(20);
//   block.Use(std::to_chars(to, to + 20, number).ptr);
class Block {
 public:
  // The most that Room may be asked for.
  static constexpr size_t kMostRoom = 8 << 10;

  // `out` outlives it and is not used meanwhile.
  explicit Block(std::string* out) : out_(out) {}
  ~Block() { Flush(); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // Room for `size` bytes, until the next call of anything but Use.
  char* Room(size_t size) {
    if (static_cast<size_t>(bytes_ + kBytes - end_) < size) Flush();
    return end_;
  }
  // Room is written up to `end`.
  void Use(char* end) { end_ = end; }

  void Put(char c) {
    *Room(1) = c;
    ++end_;
  }
  void Put(std::string_view text) {
    while (!text.empty()) {
      const size_t size = std::min(text.size(), kMostRoom);
      std::memcpy(Room(size), text.data(), size);
      end_ += size;
      text.remove_prefix(size);
    }
  }
  void Put(size_t count, char c) {
    for (; count > 0;) {
      const size_t size = std::min(count, kMostRoom);
      std::memset(Room(size), c, size);
      end_ += size;
      count -= size;
    }
  }

  void Flush() {
    out_->append(bytes_, end_ - bytes_);
    end_ = bytes_;
  }

 private:
  static constexpr size_t kBytes = 2 * kMostRoom;

  std::string* const out_;
  char* end_ = bytes_;
  char bytes_[kBytes];
};

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_BLOCK_H_
