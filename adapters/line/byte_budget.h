#ifndef QASINO_ADAPTERS_LINE_BYTE_BUDGET_H_
#define QASINO_ADAPTERS_LINE_BYTE_BUDGET_H_

#include <atomic>
#include <cstdint>

namespace qasino::line {

// Bytes that all clients together may have the adapter hold. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t most) : left_(most) {}
  ByteBudget(const ByteBudget&) = delete;
  ByteBudget& operator=(const ByteBudget&) = delete;

  // What one holder has of it, given back at the end. Not thread-safe; the budget outlives it.
  class Share {
   public:
    explicit Share(ByteBudget& budget) : budget_(budget) {}
    ~Share() { Resize(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Has `bytes` from now on. False, and as it was: there are not so many left.
    bool Resize(int64_t bytes) {
      if (bytes == bytes_) return true;
      const int64_t left = budget_.left_.fetch_sub(bytes - bytes_, std::memory_order_relaxed);
      if (bytes > bytes_ && left < bytes - bytes_) {
        budget_.left_.fetch_add(bytes - bytes_, std::memory_order_relaxed);
        return false;
      }
      bytes_ = bytes;
      return true;
    }

   private:
    ByteBudget& budget_;
    int64_t bytes_ = 0;
  };

 private:
  std::atomic<int64_t> left_;
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_BYTE_BUDGET_H_
