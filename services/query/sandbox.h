#ifndef QASINO_SERVICES_QUERY_SANDBOX_H_
#define QASINO_SERVICES_QUERY_SANDBOX_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/query/stop_sign.h"
#include "services/sqlite/database.h"
#include "services/sqlite/memory_budget.h"

// What keeps SQL from strangers harmless: SQLite's authorizer allows reading and nothing
// else, SQLite's limits bound a statement's size, and a guard bounds its time and memory.
//
// How a statement is ended (cancelled, or over its time), and what is between two looks:
//
//   between steps of SQLite's virtual machine   at once when it is cancelled (an interrupt,
//                                               seen at the next turn of a loop), and each
//                                               100 to 400 steps for its time
//   while SQLite allocates                      at each large allocation and each 64th other:
//                                               the allocation is refused. This ends what
//                                               SQLite itself does not: preparing (common
//                                               table expressions that double), JSON, printf
//   in like, glob, instr, replace, trim         each few thousand comparisons
//
// What remains is what one step does without asking: on values of the longest length some
// 50 to 150 ms (upper, quote, CAST, a comparison without case, printf; 0.2 s for strftime
// with a format of that length), and sorting a piece of a large sort (some 2 MiB, see
// sqlite::ScratchFiles): tens of milliseconds. Such steps one after another without a
// loop or an allocation (`a + 1, a + 2, …` on a text of the longest length) add up.
namespace qasino::query {

// The longest value, in bytes, that a statement may make.
inline constexpr int kMaxValueBytes = 16 << 20;
// The longest statement, in bytes. SQLite nests what it prepares by recursion: at this length
// the worst takes a quarter of a thread's stack.
inline constexpr int kMaxSqlBytes = 128 << 10;

// A connection behind the authorizer. Movable never: SQLite holds its address.
//
// Used by one thread at a time.
class Sandbox {
 public:
  // Takes a connection whose schemas are ready; from here on only reading is allowed.
  explicit Sandbox(sqlite::Database database);
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  // Prepares one reading statement, or takes one that was kept. PERMISSION_DENIED says what was
  // refused.
  absl::StatusOr<sqlite::Statement> Prepare(std::string_view sql);

  // Takes a statement back that is done, for who prepares the same next. What was bound to it is
  // forgotten. A few small ones are kept, those used last.
  void Keep(std::string_view sql, sqlite::Statement statement);

  // Whether what was prepared last depends on its snapshot and parameters alone, as far as
  // its functions and tables tell (repeatable.h); the time is asked for elsewhere. It may turn
  // false while the statement runs.
  bool repeatable() const { return repeatable_; }

  sqlite::Database& database() { return database_; }

 private:
  friend class QueryGuard;

  static int Authorize(void* sandbox, int action, const char* first, const char* second,
                       const char* schema, const char* source);

  struct Kept {
    std::string sql;
    sqlite::Statement statement;
    bool repeatable;
  };

  // What the authorizer refused of the statement being prepared.
  std::string refused_;
  bool repeatable_ = true;
  // The guard's, while there is one. Registered functions hold its address.
  StopSign stop_;
  sqlite::Database database_;
  // The one used last at the end. They go before the database.
  std::vector<Kept> kept_;
};

// A query's cancelling, which any thread may do at any time: it stops the statement of the
// guard that it was given to, whether it runs now or later. Thread-safe; outlives the guard.
class Cancellation {
 public:
  void Cancel() ABSL_LOCKS_EXCLUDED(mutex_);
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

  // Stops what runs at this moment, for a statement that is over its time.
  void Interrupt() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class QueryGuard;
  // The connection goes to other queries later, which must not be stopped.
  void Watch(sqlite::Database* running) ABSL_LOCKS_EXCLUDED(mutex_);

  std::atomic<bool> cancelled_ = false;
  absl::Mutex mutex_;
  sqlite::Database* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// The bounds of one query, and why it was stopped.
//
//   QueryGuard guard(sandbox, deadline, words, memory_bytes, pool, &cancellation);
//   { QueryGuard::Scope running(guard); … prepare, step … }
//   status = guard.Explain(status);
//
// Used by one thread at a time.
class QueryGuard {
 public:
  // `deadline_words` names the limit in the message, e.g. "--query-timeout 30s".
  // `pool`, where there is one, bounds all queries together. All must outlive the guard.
  QueryGuard(Sandbox& sandbox, absl::Time deadline, std::string_view deadline_words,
             int64_t memory_bytes, sqlite::MemoryPool* pool, Cancellation* cancellation);
  ~QueryGuard();
  QueryGuard(const QueryGuard&) = delete;
  QueryGuard& operator=(const QueryGuard&) = delete;

  // All of the query's calls to SQLite are made inside one.
  class Scope {
   public:
    explicit Scope(QueryGuard& guard) : memory_(guard.budget_) {}

   private:
    sqlite::MemoryBudget::Scope memory_;
  };

  // What SQLite said, in the words of the bound that was behind it: CANCELLED,
  // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED.
  absl::Status Explain(const absl::Status& status) const;

  // Not OK when the query has been cancelled or is over its time.
  absl::Status Check() const;

 private:
  static int Progress(void* guard);
  static bool Stopped(void* guard);
  // The same, after other long queries have had their turn.
  static bool Look(void* guard);

  Sandbox& sandbox_;
  const absl::Time deadline_;
  const std::string_view deadline_words_;
  Cancellation* const cancellation_;
  sqlite::MemoryBudget budget_;
  uint32_t looks_ = 0;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SANDBOX_H_
