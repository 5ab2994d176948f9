#ifndef QASINO_SERVICES_QUERY_SANDBOX_H_
#define QASINO_SERVICES_QUERY_SANDBOX_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/sqlite/database.h"
#include "services/sqlite/memory_budget.h"

// What keeps SQL from strangers harmless: SQLite's authorizer allows reading and nothing
// else, SQLite's limits bound a statement's size, and a guard bounds its time and memory.
namespace qasino::query {

// The longest value, in bytes, that a statement may make.
inline constexpr int kMaxValueBytes = 32 << 20;
// The longest pattern of LIKE and GLOB, in bytes. Matching takes the product of the lengths
// in one step, which no limit of time can end.
inline constexpr int kMaxPatternBytes = 256;
// The longest statement, in bytes. SQLite expands common table expressions into each other
// by recursion and does not ask about time while it prepares: at this length the worst
// takes about a second and a quarter of a thread's stack.
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

  // Prepares one reading statement. PERMISSION_DENIED says what was refused.
  absl::StatusOr<sqlite::Statement> Prepare(std::string_view sql);

  sqlite::Database& database() { return database_; }

 private:
  static int Authorize(void* sandbox, int action, const char* first, const char* second,
                       const char* schema, const char* source);

  // What the authorizer refused of the statement being prepared.
  std::string refused_;
  sqlite::Database database_;
};

// The bounds of one query, and why it was stopped. SQLite asks it every thousand steps
// of its virtual machine.
//
//   QueryGuard guard(sandbox, deadline, memory_bytes, cancelled);
//   { QueryGuard::Scope running(guard); … prepare, step … }
//   status = guard.Explain(status);
//
// Used by one thread at a time, but for what `cancelled` points to.
class QueryGuard {
 public:
  // `deadline_words` names the limit in the message, e.g. "--query-timeout 30s".
  // `pool`, where there is one, bounds all queries together. `cancelled` may be set by any
  // thread; it and the pool must outlive the guard, as must the sandbox.
  QueryGuard(Sandbox& sandbox, absl::Time deadline, std::string deadline_words,
             int64_t memory_bytes, sqlite::MemoryPool* pool, const std::atomic<bool>* cancelled);
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

  Sandbox& sandbox_;
  const absl::Time deadline_;
  const std::string deadline_words_;
  const std::atomic<bool>* const cancelled_;
  sqlite::MemoryBudget budget_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SANDBOX_H_
