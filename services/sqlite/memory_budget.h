#ifndef QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_
#define QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace qasino::sqlite {

// A bound on what several budgets use together. Thread-safe; outlives them.
//
// Small work goes on while large work holds all that it may: a budget's first mebibyte is
// not counted here, and the last eighth is for budgets of up to 8 MiB.
class MemoryPool {
 public:
  explicit MemoryPool(int64_t bytes) : limit_(bytes) {}
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  int64_t limit() const { return limit_; }
  int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class MemoryBudget;
  // `total` is what the budget would have of it then.
  bool Take(int64_t bytes, int64_t total);
  void GiveBack(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  const int64_t limit_;
  std::atomic<int64_t> used_ = 0;
};

// A bound on what SQLite allocates for one piece of work. SQLite itself has only one
// for the whole process, which a single query could use up for all.
//
//   MemoryBudget budget(256 << 20);
//   {
//     MemoryBudget::Scope counted(budget);
//     ... prepare, step ...          // over the bound: SQLITE_NOMEM
//   }
//   if (budget.exceeded()) ...
//
// Allocations of the thread that has a Scope are counted, on whichever connection; so
// all calls of that work are made inside a Scope, on one thread at a time. Memory freed
// is given back, also when it was allocated outside.
class MemoryBudget {
 public:
  // `pool`, where there is one, is taken from in steps of a mebibyte, which are given back
  // when the budget is destroyed.
  explicit MemoryBudget(int64_t bytes, MemoryPool* pool = nullptr) : limit_(bytes), pool_(pool) {}
  ~MemoryBudget() {
    if (pool_ != nullptr) pool_->GiveBack(taken_);
  }
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // `stop` is asked with `work` at each allocation of 64 KiB and each 64th other; once it
  // says yes all are refused. SQLite takes back what it has begun then, so that this ends
  // what cannot be interrupted, such as preparing a statement.
  void StopWhen(bool (*stop)(void* work), void* work) {
    stop_ = stop;
    work_ = work;
  }

  // An allocation was refused because of StopWhen.
  bool stopped() const { return stopped_; }
  // An allocation was refused, because of this bound or of the pool's.
  bool exceeded() const { return exceeded_; }
  // The pool's bound was the reason.
  bool pool_exceeded() const { return pool_exceeded_; }
  const MemoryPool* pool() const { return pool_; }
  int64_t limit() const { return limit_; }
  int64_t used() const { return used_; }

  // Counts this thread's allocations while it lives. Scopes nest; the innermost counts.
  class Scope {
   public:
    explicit Scope(MemoryBudget& budget);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    MemoryBudget* outer_;
  };

 private:
  friend struct Allocator;
  bool Allow(int64_t more);

  const int64_t limit_;
  MemoryPool* const pool_;
  bool (*stop_)(void* work) = nullptr;
  void* work_ = nullptr;
  uint32_t allocations_ = 0;
  int64_t used_ = 0;
  int64_t taken_ = 0;  // from the pool
  bool stopped_ = false;
  bool exceeded_ = false;
  bool pool_exceeded_ = false;
};

// Puts the counting allocator under SQLite and turns its process-wide statistics (a
// lock around every allocation) off. Every Database does this first; calling it again
// is free. Has no effect when something else has initialised SQLite before.
void ConfigureSqlite();

}  // namespace qasino::sqlite

#endif  // QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_
