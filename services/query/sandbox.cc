#include "services/query/sandbox.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "services/query/linear_functions.h"
#include "services/query/repeatable.h"
#include "services/server/worker_pool.h"

namespace qasino::query {
namespace {

// Some microseconds; and how many of these looks there are between two at the clock.
constexpr int kStepsBetweenLooks = 100;
constexpr uint32_t kLooksPerClock = 4;

// Statements that a connection keeps, and what one and its text may take; the usual one has some
// kilobytes.
constexpr size_t kMostKept = 8;
constexpr int kMostKeptBytes = 32 << 10;

// PRAGMAs that only tell something.
bool IsHarmlessPragma(const char* name) {
  static const auto* const kHarmless = new absl::flat_hash_set<std::string>{
      "collation_list", "compile_options", "database_list", "foreign_key_list", "function_list",
      "index_info",     "index_list",      "index_xinfo",   "module_list",      "pragma_list",
      "table_info",     "table_list",      "table_xinfo"};
  return name != nullptr && kHarmless->contains(absl::AsciiStrToLower(name));
}

// Table-valued functions are set up at their first use, with a CREATE TABLE that the
// authorizer would refuse; so they are used once before it watches.
constexpr char kTableValuedFunctions[] =
    "SELECT 1 FROM json_each('[]'), json_tree('[]'), pragma_collation_list, "
    "pragma_compile_options, pragma_database_list, pragma_foreign_key_list(''), "
    "pragma_function_list, pragma_index_info(''), pragma_index_list(''), "
    "pragma_index_xinfo(''), pragma_module_list, pragma_pragma_list, pragma_table_info(''), "
    "pragma_table_list, pragma_table_xinfo('')";

// Functions that reach outside the snapshot or into SQLite's insides.
bool IsForbiddenFunction(const char* name) {
  static const auto* const kForbidden = new absl::flat_hash_set<std::string>{
      "edit",     "fts3_tokenizer", "fts5",       "load_extension",
      "readfile", "rtreecheck",     "sqlite_log", "writefile"};
  return name == nullptr || kForbidden->contains(absl::AsciiStrToLower(name));
}

const char* ActionName(int action) {
  switch (action) {
    case SQLITE_INSERT:
      return "INSERT";
    case SQLITE_UPDATE:
      return "UPDATE";
    case SQLITE_DELETE:
      return "DELETE";
    case SQLITE_PRAGMA:
      return "PRAGMA";
    case SQLITE_ATTACH:
      return "ATTACH";
    case SQLITE_DETACH:
      return "DETACH";
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return "a transaction";
    case SQLITE_FUNCTION:
      return "function";
    case SQLITE_ANALYZE:
      return "ANALYZE";
    case SQLITE_REINDEX:
      return "REINDEX";
    case SQLITE_ALTER_TABLE:
      return "ALTER TABLE";
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_CREATE_VTABLE:
      return "CREATE";
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TEMP_INDEX:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_TEMP_TABLE:
    case SQLITE_DROP_TRIGGER:
    case SQLITE_DROP_TEMP_TRIGGER:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_TEMP_VIEW:
    case SQLITE_DROP_VTABLE:
      return "DROP";
    default:
      return "this statement";
  }
}

// SQLite's own bounds. Those not named here are at its defaults, which are lower than
// what a message of a legal size can hold.
void SetLimits(sqlite3* database) {
  sqlite3_limit(database, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  sqlite3_limit(database, SQLITE_LIMIT_SQL_LENGTH, kMaxSqlBytes);
  sqlite3_limit(database, SQLITE_LIMIT_VDBE_OP, 5'000'000);
  sqlite3_limit(database, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, kMaxPatternBytes);
  sqlite3_limit(database, SQLITE_LIMIT_TRIGGER_DEPTH, 10);
  sqlite3_limit(database, SQLITE_LIMIT_WORKER_THREADS, 0);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
}

}  // namespace

Sandbox::Sandbox(sqlite::Database database) : database_(std::move(database)) {
  SetLimits(database_.get());
  static_cast<void>(database_.Prepare(kTableValuedFunctions));
  static_cast<void>(UseLinearFunctions(database_.get(), &stop_));
  LearnRepeatable(database_);
  sqlite3_set_authorizer(database_.get(), &Sandbox::Authorize, this);
}

int Sandbox::Authorize(void* sandbox, int action, const char* first, const char* second,
                       const char* /*schema*/, const char* /*source*/) {
  bool& repeatable = static_cast<Sandbox*>(sandbox)->repeatable_;
  switch (action) {
    case SQLITE_READ:
      repeatable = repeatable && IsRepeatableTable(first);
      return SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      repeatable = repeatable && IsRepeatableFunction(second);
      if (!IsForbiddenFunction(second)) return SQLITE_OK;
      break;
    case SQLITE_PRAGMA:
      // They tell of the connection.
      repeatable = false;
      if (IsHarmlessPragma(first)) return SQLITE_OK;
      break;
    default:
      break;
  }
  std::string& refused = static_cast<Sandbox*>(sandbox)->refused_;
  // The first refusal is the statement itself; what follows from it says less.
  if (refused.empty()) {
    refused = ActionName(action);
    const char* name = action == SQLITE_FUNCTION ? second : first;
    const bool has_name = action == SQLITE_FUNCTION || action == SQLITE_PRAGMA;
    if (has_name && name != nullptr) refused += fmt::format(" {}", name);
  }
  return SQLITE_DENY;
}

absl::StatusOr<sqlite::Statement> Sandbox::Prepare(std::string_view sql) {
  const auto kept =
      std::find_if(kept_.begin(), kept_.end(), [sql](const Kept& one) { return one.sql == sql; });
  if (kept != kept_.end()) {
    sqlite::Statement statement = std::move(kept->statement);
    repeatable_ = kept->repeatable;
    kept_.erase(kept);
    return statement;
  }
  refused_.clear();
  repeatable_ = true;
  absl::StatusOr<sqlite::Statement> statement = database_.Prepare(sql);
  if (!refused_.empty()) {
    return absl::PermissionDeniedError(
        fmt::format("{} is refused: only reading statements run here (SELECT, WITH, VALUES, "
                    "EXPLAIN, SHOW, DESC)",
                    refused_));
  }
  if (!statement.ok()) return statement;
  if (sqlite3_stmt_readonly(statement->get()) == 0 || statement->ColumnCount() == 0) {
    return absl::PermissionDeniedError(
        "refused: only statements that read and answer rows run here (SELECT, WITH, VALUES, "
        "EXPLAIN, SHOW, DESC)");
  }
  return statement;
}

void Sandbox::Keep(std::string_view sql, sqlite::Statement statement) {
  statement.Reset();
  sqlite3_clear_bindings(statement.get());
  const int memory = sqlite3_stmt_status(statement.get(), SQLITE_STMTSTATUS_MEMUSED, 0);
  if (memory > kMostKeptBytes || sql.size() > kMostKeptBytes) return;
  if (kept_.size() >= kMostKept) kept_.erase(kept_.begin());
  kept_.push_back({std::string(sql), std::move(statement), repeatable_});
}

void Cancellation::Cancel() {
  cancelled_.store(true);
  Interrupt();
}

void Cancellation::Interrupt() {
  absl::MutexLock lock(&mutex_);
  if (running_ != nullptr) running_->Interrupt();
}

void Cancellation::Watch(sqlite::Database* running) {
  absl::MutexLock lock(&mutex_);
  running_ = running;
}

QueryGuard::QueryGuard(Sandbox& sandbox, absl::Time deadline, std::string_view deadline_words,
                       int64_t memory_bytes, sqlite::MemoryPool* pool, Cancellation* cancellation)
    : sandbox_(sandbox),
      deadline_(deadline),
      deadline_words_(deadline_words),
      cancellation_(cancellation),
      budget_(memory_bytes, pool) {
  sqlite3_progress_handler(sandbox_.database().get(), kStepsBetweenLooks, &QueryGuard::Progress,
                           this);
  sandbox_.stop_ = {&QueryGuard::Look, this};
  budget_.StopWhen(&QueryGuard::Stopped, this);
  cancellation_->Watch(&sandbox_.database());
}

QueryGuard::~QueryGuard() {
  cancellation_->Watch(nullptr);
  sandbox_.stop_ = {};
  sqlite3_progress_handler(sandbox_.database().get(), 0, nullptr, nullptr);
}

bool QueryGuard::Stopped(void* guard) {
  const QueryGuard& self = *static_cast<QueryGuard*>(guard);
  return self.cancellation_->cancelled() || absl::Now() > self.deadline_;
}

int QueryGuard::Progress(void* guard) {
  QueryGuard& self = *static_cast<QueryGuard*>(guard);
  if (self.cancellation_->cancelled()) return 1;
  return ++self.looks_ % kLooksPerClock == 0 && Look(guard) ? 1 : 0;
}

bool QueryGuard::Look(void* guard) {
  server::WorkerPool::TakeTurns([guard] { return Stopped(guard); });
  return Stopped(guard);
}

absl::Status QueryGuard::Check() const {
  if (cancellation_->cancelled()) {
    return absl::CancelledError("the query was cancelled");
  }
  if (absl::Now() > deadline_) {
    return absl::DeadlineExceededError(
        fmt::format("the query ran longer than {}", deadline_words_));
  }
  return absl::OkStatus();
}

absl::Status QueryGuard::Explain(const absl::Status& status) const {
  if (status.code() == absl::StatusCode::kCancelled || budget_.stopped()) {
    absl::Status reason = Check();
    return reason.ok() ? status : reason;
  }
  if (budget_.pool_exceeded()) {
    return absl::ResourceExhaustedError(
        fmt::format("the queries that run now need more memory together than {} MiB "
                    "(--max-total-query-memory); try again",
                    budget_.pool()->limit() >> 20));
  }
  if (budget_.exceeded()) {
    return absl::ResourceExhaustedError(fmt::format(
        "the query needs more memory than {} MiB (--max-query-memory)", budget_.limit() >> 20));
  }
  if (status.message() == "LIKE or GLOB pattern too complex") {
    return absl::ResourceExhaustedError(fmt::format(
        "LIKE or GLOB pattern too complex: a pattern has at most {} bytes", kMaxPatternBytes));
  }
  if (status.code() == absl::StatusCode::kResourceExhausted &&
      status.message() == "string or blob too big") {
    return absl::ResourceExhaustedError(
        fmt::format("string or blob too big: a value has at most {} MiB", kMaxValueBytes >> 20));
  }
  return status;
}

}  // namespace qasino::query
