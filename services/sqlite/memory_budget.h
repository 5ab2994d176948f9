#ifndef QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_
#define QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_

#include <cstddef>
#include <cstdint>

namespace qasino::sqlite {

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
  explicit MemoryBudget(int64_t bytes) : limit_(bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // An allocation was refused.
  bool exceeded() const { return exceeded_; }
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
  const int64_t limit_;
  int64_t used_ = 0;
  bool exceeded_ = false;
};

// Puts the counting allocator under SQLite and turns its process-wide statistics (a
// lock around every allocation) off. Every Database does this first; calling it again
// is free. Has no effect when something else has initialised SQLite before.
void ConfigureSqlite();

}  // namespace qasino::sqlite

#endif  // QASINO_SERVICES_SQLITE_MEMORY_BUDGET_H_
