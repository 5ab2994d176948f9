#include "services/ingest/updated_tables.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/ingest/validate.h"
#include "services/pages/copy_rows.h"

namespace qasino::ingest {
namespace {

// Prepared INSERTs kept. Each takes some kilobytes, and some microseconds to make.
constexpr size_t kMostStatements = 2'048;
constexpr int64_t kPageSize = 4096;

// SQLite's own limit, to set none of ours.
constexpr int64_t kMostPages = 1'073'741'823;
// Steps of SQLite's machine between two looks at the clock.
constexpr int kStepsBetweenLooks = 1'000;

// The schema that the rows of a new table are read from.
constexpr char kRows[] = "rows";

// Interrupts what a connection runs once its time is over, while it lives.
class TimeLimit {
 public:
  TimeLimit(sqlite3* database, absl::Duration limit)
      : database_(database), end_(absl::Now() + limit) {
    const auto is_over = [](void* self) {
      return static_cast<const TimeLimit*>(self)->IsOver() ? 1 : 0;
    };
    sqlite3_progress_handler(database_, kStepsBetweenLooks, is_over, this);
  }
  ~TimeLimit() { sqlite3_progress_handler(database_, 0, nullptr, nullptr); }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

 private:
  bool IsOver() const { return absl::Now() >= end_; }

  sqlite3* const database_;
  const absl::Time end_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<UpdatedTables>> UpdatedTables::Open(const Limits& limits) {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  absl::Status status =
      database->Execute(absl::StrCat("PRAGMA page_size = ", kPageSize,
                                     "; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; "
                                     "PRAGMA temp_store = MEMORY"));
  if (!status.ok()) return status;
  sqlite3_limit(database->get(), SQLITE_LIMIT_LENGTH,
                static_cast<int>(std::min<int64_t>(limits.bytes_per_row, 1'000'000'000)));
  absl::StatusOr<sqlite::Statement> page_count = database->Prepare("PRAGMA main.page_count");
  if (!page_count.ok()) return page_count.status();
  std::unique_ptr<UpdatedTables> tables(new UpdatedTables(limits, std::move(*database)));
  tables->page_count_ = std::move(*page_count);
  return tables;
}

absl::StatusOr<tables::UpdateEffect> UpdatedTables::Update(const Change& change, int64_t room) {
  if (!health_.ok()) return health_;
  // SQLite attaches no database within a transaction.
  absl::Status status;
  bool attached = false;
  if (!change.rows.empty()) {
    status = database_.AttachEmpty(kRows);
    attached = status.ok();
    if (attached) status = database_.ReadFrom(kRows, change.rows);
  }
  // There is no telling how many rows will match, so SQLite watches over the room.
  if (status.ok()) status = LimitPages(std::max<int64_t>(room / kPageSize, 1));
  if (status.ok()) status = database_.Execute("BEGIN");
  absl::StatusOr<tables::UpdateEffect> effect = tables::UpdateEffect();
  if (status.ok()) {
    effect = ApplyUpdate(change);
    status = End(change, effect.status());
  }
  if (health_.ok()) {
    absl::Status restored = LimitPages(kMostPages);
    if (attached && restored.ok()) {
      restored = database_.Execute(absl::StrCat("DETACH ", sqlite::QuoteName(kRows)));
    }
    if (!restored.ok()) health_ = restored;
  }
  Count();
  if (!health_.ok()) return health_;
  if (!status.ok()) return status;
  return effect;
}

absl::StatusOr<tables::UpdateEffect> UpdatedTables::ApplyUpdate(const Change& change) {
  const v1::Table& published = change.publish.table();
  const std::string table = sqlite::QuoteName(change.name);
  absl::Status status;
  if (change.is_new) {
    status = database_.Execute(std::string(change.schema));
  } else if (!change.schema.empty()) {
    status = WriteSchema(change.name, change.schema);
  }
  absl::StatusOr<tables::UpdateEffect> effect = tables::UpdateEffect();
  {
    const TimeLimit limit(database_.get(), absl::Milliseconds(limits_.milliseconds_per_update));
    if (status.ok() && !change.rows.empty()) {
      // As records, without looking into them, as both schemas are the same.
      status = database_.Execute(
          absl::StrCat("INSERT INTO main.", table, " SELECT * FROM ", kRows, ".", table));
    }
    effect = status.ok()
                 ? tables::UpdateRows(database_, change.name, published, change.publish.keycols())
                 : absl::StatusOr<tables::UpdateEffect>(status);
  }
  if (effect.ok()) return effect;
  if ((sqlite3_errcode(database_.get()) & 0xff) == SQLITE_FULL) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "table ", Quoted(published.name()), ": no room for the update: the generation has at most ",
        limits_.shard_bytes, " bytes"));
  }
  if (effect.status().code() == absl::StatusCode::kCancelled) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()), ": the update takes over ",
                     limits_.milliseconds_per_update, " ms, which is the limit"));
  }
  return effect;
}

absl::Status UpdatedTables::Insert(const Change& change, size_t columns,
                                   std::span<const pages::RowWriter::Target> targets) {
  if (!health_.ok()) return health_;
  absl::Status status = database_.Execute("BEGIN");
  if (!status.ok()) return status;
  if (!change.schema.empty()) status = WriteSchema(change.name, change.schema);
  if (status.ok()) status = InsertRows(change.publish.table(), change.name, columns, targets);
  status = End(change, status);
  Count();
  return status;
}

absl::Status UpdatedTables::End(const Change& change, const absl::Status& status) {
  if (status.ok()) {
    const absl::Status committed = database_.Execute("COMMIT");
    return committed.ok() ? committed : health_ = committed;
  }
  if (!change.schema.empty()) inserts_.erase(change.name);
  absl::Status undone;
  // SQLite may have rolled back by itself: when it is full, or out of memory.
  if (sqlite3_get_autocommit(database_.get()) == 0) undone = database_.Execute("ROLLBACK");
  // SQLite reads the schema again by itself only where it knows that it was changed.
  if (undone.ok() && !change.is_new && !change.schema.empty()) {
    undone = database_.Execute("PRAGMA writable_schema = RESET");
  }
  if (undone.ok()) return status;
  health_ = absl::InternalError(
      absl::StrCat("the shard is damaged: ", status.message(), "; ", undone.message()));
  return health_;
}

// ALTER TABLE ADD COLUMN reads the whole schema again for each column. Here the table's
// definition is written as ALTER would write it, for all new columns at once, and the schema
// is read once.
absl::Status UpdatedTables::WriteSchema(const std::string& name, std::string_view schema) {
  inserts_.erase(name);
  absl::Status status = database_.Execute("PRAGMA writable_schema = ON");
  if (!status.ok()) return status;
  {
    absl::StatusOr<sqlite::Statement> update = database_.Prepare(
        "UPDATE main.sqlite_schema SET sql = ?1 WHERE type = 'table' AND name = ?2");
    if (!update.ok()) return update.status();
    update->BindText(1, schema);
    update->BindText(2, name);
    status = update->Run();
  }
  // Also reads the schema again.
  if (status.ok()) status = database_.Execute("PRAGMA writable_schema = RESET");
  return status;
}

// One statement serves all publishers of a table, whatever columns they have: those that a
// publish lacks are NULL.
absl::StatusOr<sqlite::Statement*> UpdatedTables::PrepareInsert(const std::string& name,
                                                                size_t columns) {
  const auto found = inserts_.find(name);
  if (found != inserts_.end()) return &found->second;
  std::string sql = absl::StrCat("INSERT INTO main.", sqlite::QuoteName(name), " VALUES(?");
  for (size_t i = 1; i < columns; ++i) sql += ",?";
  sql += ")";
  absl::StatusOr<sqlite::Statement> statement = database_.Prepare(sql);
  if (!statement.ok()) return statement.status();
  if (inserts_.size() >= kMostStatements) inserts_.clear();
  return &(inserts_[name] = std::move(*statement));
}

absl::Status UpdatedTables::InsertRows(const v1::Table& published, const std::string& name,
                                       size_t columns,
                                       std::span<const pages::RowWriter::Target> targets) {
  const int64_t rows = RowCount(published);
  if (rows == 0) return absl::OkStatus();
  const absl::StatusOr<sqlite::Statement*> insert = PrepareInsert(name, columns);
  if (!insert.ok()) return insert.status();
  sqlite3_stmt* const statement = (*insert)->get();
  std::vector<tables::CellReader> cells;
  cells.reserve(targets.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    cells.emplace_back(published.columns(static_cast<int>(i)), targets[i].place + 1);
  }
  absl::Status failure;
  for (int64_t row = 0; row < rows && failure.ok(); ++row) {
    int code = SQLITE_OK;
    for (tables::CellReader& cell : cells) {
      code = cell.BindNext(statement);
      if (code != SQLITE_OK) break;
    }
    if (code == SQLITE_OK) {
      sqlite3_step(statement);
      code = sqlite3_reset(statement);
    }
    if (code != SQLITE_OK) {
      failure =
          sqlite::ToStatus(code, database_.get(),
                           absl::StrCat("table ", Quoted(published.name()), ": row ", row + 1));
    }
  }
  // The statement is kept, and the bindings point into the publish.
  sqlite3_clear_bindings(statement);
  return failure;
}

absl::StatusOr<UpdatedTables::Rows> UpdatedTables::CopyRows() {
  if (!health_.ok()) return health_;
  absl::StatusOr<sqlite::Statement> select =
      database_.Prepare("SELECT name, rootpage FROM main.sqlite_schema WHERE type = 'table'");
  if (!select.ok()) return select.status();
  Rows rows;
  while (true) {
    const absl::StatusOr<bool> more = select->Step();
    if (!more.ok()) return more.status();
    if (!*more) break;
    rows.roots_[std::string(select->Text(0))] = static_cast<uint32_t>(select->Integer(1));
  }
  // SQLite makes no file of a database that has nothing.
  if (rows.roots_.empty()) return rows;
  select = sqlite::Statement();
  absl::StatusOr<sqlite::Image> file = database_.Serialize();
  if (!file.ok()) return file.status();
  rows.file_ = std::move(*file);
  return rows;
}

absl::Status UpdatedTables::Rows::AppendTo(pages::PageSpace& space, pages::TablePages& pages,
                                           const std::string& name) const {
  const auto root = roots_.find(name);
  if (root == roots_.end()) {
    return absl::InternalError(absl::StrCat("table ", Quoted(name), " is none of those updated"));
  }
  const absl::Status status = pages::CopyRows(file_.view(), root->second, space, pages);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("table ", Quoted(name), ": ", status.message()));
}

absl::Status UpdatedTables::LimitPages(int64_t pages) {
  return database_.Execute(absl::StrCat("PRAGMA main.max_page_count = ", pages));
}

void UpdatedTables::Count() {
  // Without memory for it, what was told last stays.
  const absl::StatusOr<bool> row = page_count_.Step();
  if (row.ok() && *row) bytes_ = page_count_.Integer(0) * kPageSize;
  page_count_.Reset();
}

}  // namespace qasino::ingest
