#include "services/ingest/sqlite_shard.h"

#include <sqlite3.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ingest/publish_runs.h"
#include "services/ingest/timestamp.h"
#include "services/ingest/validate.h"
#include "services/sqlite/database.h"
#include "services/tables/write_rows.h"

namespace qasino::ingest {
namespace {

// Prepared INSERTs kept. Each takes some kilobytes, and some microseconds to make.
constexpr size_t kMostStatements = 2'048;
constexpr int64_t kPageSize = 4096;

// SQLite's own limit, to set none of ours.
constexpr int64_t kMostPages = 1'073'741'823;
// Steps of SQLite's machine between two looks at the clock.
constexpr int kStepsBetweenLooks = 1'000;

using tables::CellReader;
using tables::DeclaredType;

int64_t RunBytes(const v1::PublishRequest& publish) {
  return PublishRuns::BytesOf(publish.identity(), publish.table().name());
}

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

// A table of the shard.
struct Table {
  uint32_t number;  // from 0, in the order in which they were first seen
  std::string name;
  std::vector<v1::ColumnInfo> columns;
  absl::flat_hash_map<std::string, int> column_numbers;  // lower case; from 0
  int64_t rows = 0;
  int64_t updates = 0;
  absl::Time last_update;
  bool updated = false;
  // INSERT of a row with all columns, or nothing while it is not prepared; then, and only
  // then, `prepared` is its place in SqliteShard::prepared_.
  sqlite::Statement insert;
  std::list<Table*>::iterator prepared;
};

class SqliteShard : public Shard {
 public:
  SqliteShard(const Limits& limits, sqlite::Database database)
      : limits_(limits), database_(std::move(database)) {}

  ~SqliteShard() override = default;

  absl::Status Initialize();

  absl::StatusOr<PublishEffect> Publish(const v1::PublishRequest& publish, absl::Time now) override;
  bool IsPublished(const v1::PublishRequest& publish) const override;
  absl::StatusOr<SealedShard> Copy() override;
  absl::StatusOr<SealedShard> Seal() override;

 private:
  Table* FindTable(const std::string& name) const;
  // The parts of Publish: `table` is null when it is new.
  absl::StatusOr<PublishEffect> Insert(const v1::PublishRequest& publish, Table** table);
  absl::StatusOr<PublishEffect> Update(const v1::PublishRequest& publish, Table** table);
  // Opens a transaction of its own for an update, with the room that it may take.
  absl::Status BeginUpdate(const v1::PublishRequest& publish);
  absl::StatusOr<tables::UpdateEffect> ApplyUpdate(const v1::PublishRequest& publish,
                                                   Table** table);
  // Undoes all since BeginUpdate; `table` had so many columns then.
  absl::Status RollBack(Table* table, size_t columns);
  absl::Status LimitPages(int64_t pages);
  // Finds how much the publish makes the shard grow at the most, or that it is too much.
  absl::Status CheckRoom(const v1::PublishRequest& publish, const Table* table, int64_t* growth);
  // Makes that `table`, null when it is new, has all columns of the publish.
  absl::Status FitSchema(const v1::Table& published, Table** table);
  absl::Status CheckSchema(const v1::Table& published, const Table* table);
  absl::Status CreateTable(const v1::Table& published, Table** table);
  absl::Status AddColumns(const v1::Table& published, Table* table);
  absl::Status WriteSchema(const Table& table);
  // Makes `table` as it was with so many columns, which for none is: not there.
  absl::Status Undo(Table* table, size_t columns);
  void ForgetColumns(Table* table, size_t columns);
  absl::Status PrepareInsert(Table* table);
  void DropInsert(Table* table);
  std::string SchemaOf(const Table& table) const;

  absl::Status InsertRows(const v1::Table& published, int64_t rows, Table* table);
  absl::Status WriteRuns();
  absl::Status DropKeyIndexes();
  void FillInfo(v1::ShardInfo* info) const;
  absl::StatusOr<SealedShard> Serialize();
  int64_t DatabaseBytes();

  const Limits limits_;
  sqlite::Database database_;
  // Not OK once the database cannot be relied upon.
  absl::Status health_;

  // Tables have stable addresses.
  std::deque<Table> tables_;
  absl::flat_hash_map<std::string, Table*> tables_by_name_;  // lower case
  // Those whose INSERT is prepared, newest use first.
  std::list<Table*> prepared_;

  PublishRuns runs_;
  // There was an update: the database can roll back.
  bool rolls_back_ = false;

  int64_t catalogue_bytes_ = 0;
  // Memory of the bookkeeping, counted.
  int64_t bookkeeping_bytes_ = 0;
  // Bookkeeping and database. The database's part is an upper estimate since it was last
  // asked, because asking costs as much as inserting a row.
  int64_t estimate_ = 0;

  // Declared last, so that they go before the database.
  sqlite::Statement page_count_;
};

absl::Status SqliteShard::Initialize() {
  // Until the first update the database is never rolled back: a publish that fails is undone by
  // deleting its rows. The one transaction stays open, because opening one costs as much as a
  // row.
  absl::Status status =
      database_.Execute(absl::StrCat("PRAGMA page_size = ", kPageSize,
                                     "; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
                                     "PRAGMA temp_store = MEMORY"));
  if (status.ok()) status = PublishRuns::CreateTable(database_);
  if (status.ok()) status = database_.Execute("BEGIN");
  if (!status.ok()) return status;
  sqlite3_limit(database_.get(), SQLITE_LIMIT_LENGTH,
                static_cast<int>(std::min<int64_t>(limits_.bytes_per_row, 1'000'000'000)));
  absl::StatusOr<sqlite::Statement> page_count = database_.Prepare("PRAGMA page_count");
  if (!page_count.ok()) return page_count.status();
  page_count_ = std::move(*page_count);
  estimate_ = DatabaseBytes();
  return absl::OkStatus();
}

Table* SqliteShard::FindTable(const std::string& name) const {
  auto found = tables_by_name_.find(name);
  if (found == tables_by_name_.end()) found = tables_by_name_.find(absl::AsciiStrToLower(name));
  return found == tables_by_name_.end() ? nullptr : found->second;
}

bool SqliteShard::IsPublished(const v1::PublishRequest& publish) const {
  const Table* const table = FindTable(publish.table().name());
  if (table == nullptr) return false;
  const std::optional<uint32_t> identity = runs_.Find(publish.identity());
  return identity.has_value() && runs_.Contains(table->number, *identity);
}

absl::StatusOr<PublishEffect> SqliteShard::Publish(const v1::PublishRequest& publish,
                                                   absl::Time now) {
  if (!health_.ok()) return health_;
  Table* table = FindTable(publish.table().name());
  const std::optional<uint32_t> identity = runs_.Find(publish.identity());
  if (!publish.update() && table != nullptr && identity.has_value() &&
      runs_.Contains(table->number, *identity)) {
    return PublishEffect{.duplicate = true};
  }
  if (!identity.has_value() && runs_.identities() >= limits_.identities_per_shard) {
    return absl::ResourceExhaustedError(
        absl::StrCat("identity ", Quoted(publish.identity()), ": the generation has ",
                     limits_.identities_per_shard, " identities already, which is the limit"));
  }
  const absl::StatusOr<PublishEffect> effect =
      publish.update() ? Update(publish, &table) : Insert(publish, &table);
  if (!effect.ok()) return effect;
  if (runs_.Add(table->number, identity, publish.identity(), table->rows + 1, effect->rows, now)) {
    bookkeeping_bytes_ += RunBytes(publish);
  }
  table->rows += effect->rows;
  ++table->updates;
  table->last_update = now;
  return effect;
}

absl::StatusOr<PublishEffect> SqliteShard::Insert(const v1::PublishRequest& publish,
                                                  Table** table) {
  // Whatever can be refused is refused before anything changes.
  const v1::Table& published = publish.table();
  const int64_t rows = RowCount(published);
  int64_t growth = 0;
  if (absl::Status status = CheckRoom(publish, *table, &growth); !status.ok()) return status;

  const size_t columns_before = *table == nullptr ? 0 : (*table)->columns.size();
  const int64_t catalogue_before = catalogue_bytes_;
  if (absl::Status status = FitSchema(published, table); !status.ok()) return status;
  if (absl::Status status = InsertRows(published, rows, *table); !status.ok()) {
    const absl::Status undone = Undo(*table, columns_before);
    if (!undone.ok()) {
      health_ = absl::InternalError(
          absl::StrCat("the shard is damaged: ", status.message(), "; ", undone.message()));
      return health_;
    }
    catalogue_bytes_ = catalogue_before;
    return status;
  }
  estimate_ += growth;
  return PublishEffect{.rows = rows};
}

absl::StatusOr<PublishEffect> SqliteShard::Update(const v1::PublishRequest& publish,
                                                  Table** table) {
  const size_t columns_before = *table == nullptr ? 0 : (*table)->columns.size();
  const int64_t catalogue_before = catalogue_bytes_;
  const int64_t bookkeeping_before = bookkeeping_bytes_;
  if (absl::Status status = BeginUpdate(publish); !status.ok()) return status;
  absl::StatusOr<tables::UpdateEffect> effect = ApplyUpdate(publish, table);
  if (!effect.ok()) {
    const absl::Status undone = RollBack(*table, columns_before);
    if (!undone.ok()) {
      health_ = absl::InternalError(absl::StrCat(
          "the shard is damaged: ", effect.status().message(), "; ", undone.message()));
    }
    // The schema could not be written, and rolling back has mended that too.
    if (undone.ok()) health_ = absl::OkStatus();
    catalogue_bytes_ = catalogue_before;
    bookkeeping_bytes_ = bookkeeping_before;
  }
  const absl::Status unlimited = health_.ok() ? LimitPages(kMostPages) : health_;
  if (!unlimited.ok()) return health_ = unlimited;
  estimate_ = DatabaseBytes() + bookkeeping_bytes_;
  if (!effect.ok()) return effect.status();
  (*table)->updated = true;
  return PublishEffect{.rows = effect->rows_added, .changed = effect->rows_changed};
}

// A transaction for each update, and not a savepoint in the one that is open, since SQLite may
// answer a full database or one out of memory by rolling back the whole transaction.
absl::Status SqliteShard::BeginUpdate(const v1::PublishRequest& publish) {
  absl::Status status = database_.Execute(
      rolls_back_ ? "COMMIT; BEGIN" : "COMMIT; PRAGMA journal_mode = MEMORY; BEGIN");
  if (!status.ok()) return health_ = status;
  runs_.BeginUpdates();
  rolls_back_ = true;
  // There is no telling how many rows will match, so SQLite watches over the room.
  const int64_t room = limits_.shard_bytes - bookkeeping_bytes_ - RunBytes(publish);
  status = LimitPages(std::max<int64_t>(room / kPageSize, 1));
  if (!status.ok()) health_ = status;
  return status;
}

absl::StatusOr<tables::UpdateEffect> SqliteShard::ApplyUpdate(const v1::PublishRequest& publish,
                                                              Table** table) {
  const v1::Table& published = publish.table();
  absl::StatusOr<tables::UpdateEffect> effect = tables::UpdateEffect();
  if (absl::Status status = FitSchema(published, table); !status.ok()) {
    effect = status;
  } else {
    const TimeLimit limit(database_.get(), absl::Milliseconds(limits_.milliseconds_per_update));
    effect = tables::UpdateRows(database_, (*table)->name, published, publish.keycols());
  }
  if (effect.ok()) return effect;
  if (sqlite3_errcode(database_.get()) == SQLITE_FULL) {
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

absl::Status SqliteShard::RollBack(Table* table, size_t columns) {
  if (table != nullptr) DropInsert(table);
  absl::Status status;
  // It may have happened already.
  if (sqlite3_get_autocommit(database_.get()) == 0) status = database_.Execute("ROLLBACK");
  if (status.ok() && table != nullptr && table->columns.size() != columns) {
    ForgetColumns(table, columns);
    // SQLite reads the schema again by itself only where it knows that it was changed.
    status = database_.Execute("PRAGMA writable_schema = RESET");
  }
  if (status.ok()) status = database_.Execute("BEGIN");
  return status;
}

absl::Status SqliteShard::LimitPages(int64_t pages) {
  return database_.Execute(absl::StrCat("PRAGMA max_page_count = ", pages));
}

// Upper bounds of what a publish can take; SQLite is asked for the truth only where that is
// too much.
absl::Status SqliteShard::CheckRoom(const v1::PublishRequest& publish, const Table* table,
                                    int64_t* growth) {
  int64_t width = publish.table().columns_size();
  if (table != nullptr) width += static_cast<int64_t>(table->columns.size());
  int64_t bytes = tables::MostBytes(publish.table(), width);
  // Each index has at most the same once more.
  if (table != nullptr && table->updated) bytes *= 1 + tables::kMostKeyIndexes;
  *growth = bytes + RunBytes(publish) + (table == nullptr ? 2 * kPageSize : 0);
  if (estimate_ + *growth <= limits_.shard_bytes) return absl::OkStatus();
  estimate_ = DatabaseBytes() + bookkeeping_bytes_;
  if (estimate_ + *growth <= limits_.shard_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("table ", Quoted(publish.table().name()),
                                                   ": no room for about ", *growth,
                                                   " bytes: the generation has about ", estimate_,
                                                   " of at most ", limits_.shard_bytes, " bytes"));
}

absl::Status SqliteShard::FitSchema(const v1::Table& published, Table** table) {
  if (*table != nullptr) {
    const auto known = [&](int i) {
      const std::string& name = published.columns(i).name();
      if (i < static_cast<int>((*table)->columns.size()) && (*table)->columns[i].name() == name) {
        return true;
      }
      return (*table)->column_numbers.contains(absl::AsciiStrToLower(name));
    };
    int column = 0;
    while (column < published.columns_size() && known(column)) ++column;
    if (column == published.columns_size()) return absl::OkStatus();
  }
  if (absl::Status status = CheckSchema(published, *table); !status.ok()) return status;
  return *table == nullptr ? CreateTable(published, table) : AddColumns(published, *table);
}

absl::Status SqliteShard::CheckSchema(const v1::Table& published, const Table* table) {
  if (table == nullptr && static_cast<int64_t>(tables_.size()) >= limits_.tables_per_shard) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()), ": the generation has ",
                     limits_.tables_per_shard, " tables already, which is the limit"));
  }
  int64_t added = 0;
  int64_t bytes = table == nullptr ? static_cast<int64_t>(published.name().size()) + 32 : 0;
  for (const v1::Column& column : published.columns()) {
    if (table != nullptr && table->column_numbers.contains(absl::AsciiStrToLower(column.name()))) {
      continue;
    }
    ++added;
    bytes += static_cast<int64_t>(column.name().size()) + 8;
  }
  const int64_t before = table == nullptr ? 0 : static_cast<int64_t>(table->columns.size());
  if (before + added > limits_.columns_per_table) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()), ": would have ", before + added,
                     " columns together with those published before, over the limit of ",
                     limits_.columns_per_table));
  }
  if (catalogue_bytes_ + bytes > limits_.catalogue_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()),
                     ": the names of the generation's tables and columns take over ",
                     limits_.catalogue_bytes, " bytes, which is the limit"));
  }
  catalogue_bytes_ += bytes;
  bookkeeping_bytes_ += 4 * bytes;
  return absl::OkStatus();
}

std::string SqliteShard::SchemaOf(const Table& table) const {
  std::string sql = absl::StrCat("CREATE TABLE ", sqlite::QuoteName(table.name), "(");
  for (size_t i = 0; i < table.columns.size(); ++i) {
    absl::StrAppend(&sql, i == 0 ? "" : ", ", sqlite::QuoteName(table.columns[i].name()), " ",
                    DeclaredType(table.columns[i].type()));
  }
  sql += ")";
  return sql;
}

absl::Status SqliteShard::CreateTable(const v1::Table& published, Table** table) {
  Table made;
  made.number = static_cast<uint32_t>(tables_.size());
  made.name = published.name();
  for (const v1::Column& column : published.columns()) {
    v1::ColumnInfo& info = made.columns.emplace_back();
    info.set_name(column.name());
    info.set_type(column.type());
    made.column_numbers.emplace(absl::AsciiStrToLower(column.name()),
                                static_cast<int>(made.column_numbers.size()));
  }
  if (absl::Status status = database_.Execute(SchemaOf(made)); !status.ok()) {
    return health_ = status;
  }
  *table = &tables_.emplace_back(std::move(made));
  tables_by_name_[absl::AsciiStrToLower(published.name())] = *table;
  return absl::OkStatus();
}

// ALTER TABLE ADD COLUMN reads the whole schema again for each column. Here the table's
// definition is written as ALTER would write it, for all new columns at once, and the schema
// is read once.
absl::Status SqliteShard::AddColumns(const v1::Table& published, Table* table) {
  for (const v1::Column& column : published.columns()) {
    const int number = static_cast<int>(table->columns.size());
    if (!table->column_numbers.emplace(absl::AsciiStrToLower(column.name()), number).second) {
      continue;
    }
    v1::ColumnInfo& info = table->columns.emplace_back();
    info.set_name(column.name());
    info.set_type(column.type());
  }
  DropInsert(table);
  return WriteSchema(*table);
}

absl::Status SqliteShard::WriteSchema(const Table& table) {
  absl::Status status = database_.Execute("PRAGMA writable_schema = ON");
  if (status.ok()) {
    absl::StatusOr<sqlite::Statement> update =
        database_.Prepare("UPDATE sqlite_schema SET sql = ?1 WHERE type = 'table' AND name = ?2");
    status = update.status();
    if (status.ok()) {
      const std::string sql = SchemaOf(table);
      update->BindText(1, sql);
      update->BindText(2, table.name);
      status = update->Run();
    }
  }
  // Also reads the schema again.
  if (status.ok()) status = database_.Execute("PRAGMA writable_schema = RESET");
  if (!status.ok()) health_ = status;
  return status;
}

absl::Status SqliteShard::Undo(Table* table, size_t columns) {
  // A failure that ends the transaction has left the database in an unknown state.
  if (sqlite3_get_autocommit(database_.get()) != 0) {
    return absl::InternalError("the transaction is lost");
  }
  if (columns == 0) {
    DropInsert(table);
    const absl::Status dropped =
        database_.Execute(absl::StrCat("DROP TABLE ", sqlite::QuoteName(table->name)));
    if (dropped.ok()) ForgetColumns(table, 0);
    return dropped;
  }
  // `_rowid_` cannot be a column's name, since names begin with a letter.
  const absl::Status deleted = database_.Execute(absl::StrCat(
      "DELETE FROM ", sqlite::QuoteName(table->name), " WHERE _rowid_ > ", table->rows));
  if (!deleted.ok() || table->columns.size() == columns) return deleted;
  DropInsert(table);
  ForgetColumns(table, columns);
  return WriteSchema(*table);
}

// A table that is to have none is the newest.
void SqliteShard::ForgetColumns(Table* table, size_t columns) {
  if (columns == 0) {
    tables_by_name_.erase(absl::AsciiStrToLower(table->name));
    tables_.pop_back();
    return;
  }
  while (table->columns.size() > columns) {
    table->column_numbers.erase(absl::AsciiStrToLower(table->columns.back().name()));
    table->columns.pop_back();
  }
}

// One statement serves all publishers of a table, whatever columns they have: those that a
// publish lacks are NULL.
absl::Status SqliteShard::PrepareInsert(Table* table) {
  if (table->insert) {
    prepared_.splice(prepared_.begin(), prepared_, table->prepared);
    return absl::OkStatus();
  }
  std::string sql = absl::StrCat("INSERT INTO ", sqlite::QuoteName(table->name), " VALUES(?");
  for (size_t i = 1; i < table->columns.size(); ++i) sql += ",?";
  sql += ")";
  absl::StatusOr<sqlite::Statement> statement = database_.Prepare(sql);
  if (!statement.ok()) return statement.status();
  if (prepared_.size() >= kMostStatements) DropInsert(prepared_.back());
  table->insert = std::move(*statement);
  table->prepared = prepared_.insert(prepared_.begin(), table);
  return absl::OkStatus();
}

void SqliteShard::DropInsert(Table* table) {
  if (!table->insert) return;
  table->insert = {};
  prepared_.erase(table->prepared);
}

absl::Status SqliteShard::InsertRows(const v1::Table& published, int64_t rows, Table* table) {
  if (rows == 0) return absl::OkStatus();
  if (absl::Status status = PrepareInsert(table); !status.ok()) return status;
  std::vector<CellReader> cells;
  cells.reserve(published.columns_size());
  for (int i = 0; i < published.columns_size(); ++i) {
    const std::string& name = published.columns(i).name();
    // Publishers mostly agree about the order.
    const bool in_place =
        i < static_cast<int>(table->columns.size()) && table->columns[i].name() == name;
    const int column =
        in_place ? i : table->column_numbers.find(absl::AsciiStrToLower(name))->second;
    cells.emplace_back(published.columns(i), column + 1);
  }
  sqlite3_stmt* const statement = table->insert.get();
  absl::Status failure;
  for (int64_t row = 0; row < rows && failure.ok(); ++row) {
    int code = SQLITE_OK;
    for (CellReader& cell : cells) {
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

absl::Status SqliteShard::WriteRuns() {
  return runs_.Write(database_,
                     [this](uint32_t table) -> std::string_view { return tables_[table].name; });
}

absl::Status SqliteShard::DropKeyIndexes() {
  std::string sql;
  {
    // The only ones are those that updates made.
    absl::StatusOr<sqlite::Statement> indexes =
        database_.Prepare("SELECT name FROM sqlite_schema WHERE type = 'index'");
    if (!indexes.ok()) return indexes.status();
    while (true) {
      const absl::StatusOr<bool> more = indexes->Step();
      if (!more.ok()) return more.status();
      if (!*more) break;
      absl::StrAppend(&sql, "DROP INDEX ", sqlite::QuoteName(indexes->Text(0)), ";");
    }
  }
  return sql.empty() ? absl::OkStatus() : database_.Execute(sql);
}

void SqliteShard::FillInfo(v1::ShardInfo* info) const {
  info->set_format(v1::SQLITE3);
  info->set_publishers(runs_.identities());
  info->mutable_tables()->Reserve(static_cast<int>(tables_.size()));
  for (const Table& table : tables_) {
    v1::TableInfo& entry = *info->add_tables();
    entry.set_name(table.name);
    entry.mutable_columns()->Assign(table.columns.begin(), table.columns.end());
    entry.set_rows(table.rows);
    entry.set_updates(table.updates);
    entry.set_updated(table.updated);
    if (table.updates > 0) SetTimestamp(table.last_update, entry.mutable_last_update());
  }
}

absl::StatusOr<SealedShard> SqliteShard::Serialize() {
  absl::StatusOr<sqlite::Image> image = database_.Serialize();
  if (!image.ok()) return image.status();
  auto owner = std::make_shared<const sqlite::Image>(std::move(*image));
  SealedShard sealed;
  FillInfo(&sealed.info);
  sealed.bytes = owner->view();
  sealed.owner = std::move(owner);
  sealed.info.set_size_bytes(sealed.bytes.size());
  sealed.info.set_xxh3(XXH3_64bits(sealed.bytes.data(), sealed.bytes.size()));
  return sealed;
}

absl::StatusOr<SealedShard> SqliteShard::Copy() {
  if (!health_.ok()) return health_;
  absl::Status status = WriteRuns();
  if (status.ok()) status = database_.Execute("COMMIT; BEGIN");
  if (!status.ok()) return health_ = status;
  if (rolls_back_) status = DropKeyIndexes();
  absl::StatusOr<SealedShard> copy =
      status.ok() ? Serialize() : absl::StatusOr<SealedShard>(status);
  // Brings the indexes back; making them costs more.
  if (rolls_back_) {
    status = RollBack(nullptr, 0);
    if (!status.ok()) return health_ = status;
  }
  return copy;
}

absl::StatusOr<SealedShard> SqliteShard::Seal() {
  absl::Status status = health_;
  if (status.ok()) status = WriteRuns();
  if (status.ok() && rolls_back_) {
    status = database_.Execute("COMMIT; PRAGMA journal_mode = OFF; BEGIN");
    if (status.ok()) status = DropKeyIndexes();
  }
  if (status.ok()) status = database_.Execute("COMMIT");
  absl::StatusOr<SealedShard> sealed =
      status.ok() ? Serialize() : absl::StatusOr<SealedShard>(status);
  while (!prepared_.empty()) DropInsert(prepared_.back());
  page_count_ = {};
  database_ = {};
  health_ = absl::FailedPreconditionError("the shard is sealed");
  return sealed;
}

int64_t SqliteShard::DatabaseBytes() {
  const absl::StatusOr<bool> row = page_count_.Step();
  const int64_t pages = row.ok() && *row ? page_count_.Integer(0) : 0;
  page_count_.Reset();
  return pages * kPageSize;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Shard>> OpenSqliteShard(const Limits& limits) {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  auto shard = std::make_unique<SqliteShard>(limits, std::move(*database));
  if (absl::Status status = shard->Initialize(); !status.ok()) return status;
  return shard;
}

}  // namespace qasino::ingest
