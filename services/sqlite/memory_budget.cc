#include "services/sqlite/memory_budget.h"

#include <malloc.h>
#include <sqlite3.h>

#include <cstdlib>

namespace qasino::sqlite {
namespace {

thread_local MemoryBudget* current_budget = nullptr;

constexpr int64_t kStepBytes = 1 << 20;
// What a budget has besides the pool, and up to what the whole pool is there for it.
constexpr int64_t kOwnBytes = 1 << 20;
constexpr int64_t kSmallBytes = 8 << 20;
// See StopWhen.
constexpr int64_t kLargeAllocation = 64 << 10;
constexpr uint32_t kAllocationsBetweenLooks = 64;

}  // namespace

// SQLite's allocation functions. What glibc really hands out is what counts.
struct Allocator {
  static bool Allow(int64_t more) {
    return current_budget == nullptr || current_budget->Allow(more);
  }

  static void Count(int64_t change) {
    if (current_budget != nullptr) current_budget->used_ += change;
  }

  static void* Allocate(int size) {
    if (!Allow(size)) return nullptr;
    void* memory = std::malloc(size);
    if (memory != nullptr) Count(static_cast<int64_t>(malloc_usable_size(memory)));
    return memory;
  }

  static void Free(void* memory) {
    Count(-static_cast<int64_t>(malloc_usable_size(memory)));
    std::free(memory);
  }

  static void* Reallocate(void* memory, int size) {
    const int64_t before = static_cast<int64_t>(malloc_usable_size(memory));
    if (!Allow(size - before)) return nullptr;
    void* moved = std::realloc(memory, size);
    if (moved != nullptr) Count(static_cast<int64_t>(malloc_usable_size(moved)) - before);
    return moved;
  }

  static int Size(void* memory) { return static_cast<int>(malloc_usable_size(memory)); }
  static int RoundUp(int size) { return (size + 7) & ~7; }
  static int Initialize(void*) { return SQLITE_OK; }
  static void Shutdown(void*) {}
};

bool MemoryPool::Take(int64_t bytes, int64_t total) {
  const int64_t limit = total <= kSmallBytes ? limit_ : limit_ - limit_ / 8;
  if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit) return true;
  GiveBack(bytes);
  return false;
}

bool MemoryBudget::Allow(int64_t more) {
  if (more <= 0) return true;
  if (stop_ != nullptr && !stopped_ &&
      (more >= kLargeAllocation || ++allocations_ % kAllocationsBetweenLooks == 0)) {
    stopped_ = stop_(work_);
  }
  if (stopped_) return false;
  const int64_t wanted = used_ + more;
  if (wanted > limit_) {
    exceeded_ = true;
    return false;
  }
  const int64_t from_pool = wanted - kOwnBytes;
  if (pool_ == nullptr || from_pool <= taken_) return true;
  const int64_t step = (from_pool - taken_ + kStepBytes - 1) / kStepBytes * kStepBytes;
  if (!pool_->Take(step, taken_ + step)) {
    exceeded_ = pool_exceeded_ = true;
    return false;
  }
  taken_ += step;
  return true;
}

MemoryBudget::Scope::Scope(MemoryBudget& budget) : outer_(current_budget) {
  current_budget = &budget;
}

MemoryBudget::Scope::~Scope() { current_budget = outer_; }

void ConfigureSqlite() {
  static const bool configured = [] {
    static const sqlite3_mem_methods kMethods = {
        Allocator::Allocate, Allocator::Free,       Allocator::Reallocate, Allocator::Size,
        Allocator::RoundUp,  Allocator::Initialize, Allocator::Shutdown,   nullptr};
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &kMethods) == SQLITE_OK &&
           sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK &&
           sqlite3_initialize() == SQLITE_OK;
  }();
  static_cast<void>(configured);
}

}  // namespace qasino::sqlite
