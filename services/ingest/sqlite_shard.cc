#include "services/ingest/sqlite_shard.h"

#include <sqlite3.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/ingest/timestamp.h"
#include "services/ingest/validate.h"
#include "services/sqlite/database.h"

namespace qasino::ingest {
namespace {

constexpr char kPublishesTable[] = "qasino_server_publishes";
// Prepared INSERTs kept. Each takes some kilobytes, and some microseconds to make.
constexpr size_t kMostStatements = 2'048;
// What a publish takes in the bookkeeping, beside its strings.
constexpr int64_t kRecordBytes = 192;
constexpr int64_t kPageSize = 4096;

const char* DeclaredType(v1::ColumnType type) {
  switch (type) {
    case v1::INTEGER:
      return "INTEGER";
    case v1::REAL:
      return "REAL";
    case v1::TEXT:
      return "TEXT";
    default:
      return "BLOB";
  }
}

// Binds the cells of one column, row after row.
class CellReader {
 public:
  CellReader(const v1::Column& column, int parameter)
      : column_(&column),
        parameter_(parameter),
        kinds_(column.kinds().empty() ? nullptr : column.kinds().data()),
        kind_(static_cast<int>(column.type())) {}

  // Binds the cell of the row that comes next; SQLite's result code.
  int BindNext(sqlite3_stmt* statement) {
    const int kind = kinds_ == nullptr ? kind_ : static_cast<unsigned char>(kinds_[row_++]);
    switch (kind) {
      case v1::INTEGER:
        return sqlite3_bind_int64(statement, parameter_, column_->integers(next_[0]++));
      case v1::REAL:
        return sqlite3_bind_double(statement, parameter_, column_->reals(next_[1]++));
      case v1::TEXT: {
        const std::string& text = column_->texts(next_[2]++);
        return sqlite3_bind_text64(statement, parameter_, text.data(), text.size(), SQLITE_STATIC,
                                   SQLITE_UTF8);
      }
      case v1::BLOB: {
        const std::string& blob = column_->blobs(next_[3]++);
        return sqlite3_bind_blob64(statement, parameter_, blob.data(), blob.size(), SQLITE_STATIC);
      }
      default:
        return sqlite3_bind_null(statement, parameter_);
    }
  }

 private:
  const v1::Column* column_;
  int parameter_;  // of the INSERT
  const char* kinds_;
  int kind_;
  int64_t row_ = 0;
  int next_[4] = {};
};

// What a publish takes in the bookkeeping and in the table of publishes.
int64_t RecordBytes(const v1::PublishRequest& publish) {
  return static_cast<int64_t>(2 * publish.identity().size() + publish.table().name().size()) +
         kRecordBytes;
}

// A table of the shard.
struct Table {
  uint32_t number;  // from 0, in the order in which they were first seen
  std::string name;
  std::vector<v1::ColumnInfo> columns;
  absl::flat_hash_map<std::string, int> column_numbers;  // lower case; from 0
  int64_t rows = 0;
  int64_t updates = 0;
  absl::Time last_update;
  // INSERT of a row with all columns, or nothing while it is not prepared; then, and only
  // then, `prepared` is its place in SqliteShard::prepared_.
  sqlite::Statement insert;
  std::list<Table*>::iterator prepared;
};

// A publish that counted: a row of qasino_server_publishes.
struct Record {
  uint32_t table;
  uint32_t identity;
  int64_t first_rowid;
  int64_t rows;
  absl::Time time;
};

class SqliteShard : public Shard {
 public:
  SqliteShard(const Limits& limits, sqlite::Database database)
      : limits_(limits), database_(std::move(database)) {}

  ~SqliteShard() override = default;

  absl::Status Initialize();

  absl::StatusOr<PublishEffect> Publish(const v1::PublishRequest& publish, absl::Time now) override;
  absl::StatusOr<SealedShard> Copy() override;
  absl::StatusOr<SealedShard> Seal() override;

 private:
  // Finds how much the publish makes the shard grow at the most, or that it is too much.
  absl::Status CheckRoom(const v1::PublishRequest& publish, int64_t rows, const Table* table,
                         int64_t* growth);
  // Makes that `table`, null when it is new, has all columns of the publish.
  absl::Status FitSchema(const v1::Table& published, Table** table);
  absl::Status CheckSchema(const v1::Table& published, const Table* table);
  absl::Status CreateTable(const v1::Table& published, Table** table);
  absl::Status AddColumns(const v1::Table& published, Table* table);
  absl::Status WriteSchema(const Table& table);
  // Makes `table` as it was with so many columns, which for none is: not there.
  absl::Status Undo(Table* table, size_t columns);
  absl::Status PrepareInsert(Table* table);
  void DropInsert(Table* table);
  std::string SchemaOf(const Table& table) const;

  absl::Status InsertRows(const v1::Table& published, int64_t rows, Table* table);
  absl::Status WriteRecords();
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

  absl::flat_hash_map<std::string, uint32_t> identities_;  // numbered from 0
  // Table in the upper half, identity in the lower.
  absl::flat_hash_set<uint64_t> published_;
  std::vector<Record> records_;
  size_t records_written_ = 0;

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
  // The database is never rolled back: a publish that fails is undone by deleting its rows.
  // The one transaction stays open, because opening one costs as much as a row.
  absl::Status status = database_.Execute(absl::StrCat(
      "PRAGMA page_size = ", kPageSize, "; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; ",
      "CREATE TABLE ", kPublishesTable,
      "(tablename TEXT, identity TEXT, first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
      "last_update_epoch REAL); BEGIN"));
  if (!status.ok()) return status;
  sqlite3_limit(database_.get(), SQLITE_LIMIT_LENGTH,
                static_cast<int>(std::min<int64_t>(limits_.bytes_per_row, 1'000'000'000)));
  absl::StatusOr<sqlite::Statement> page_count = database_.Prepare("PRAGMA page_count");
  if (!page_count.ok()) return page_count.status();
  page_count_ = std::move(*page_count);
  estimate_ = DatabaseBytes();
  return absl::OkStatus();
}

absl::StatusOr<PublishEffect> SqliteShard::Publish(const v1::PublishRequest& publish,
                                                   absl::Time now) {
  if (!health_.ok()) return health_;
  const v1::Table& published = publish.table();

  const auto found = tables_by_name_.find(published.name());
  const auto known = found != tables_by_name_.end()
                         ? found
                         : tables_by_name_.find(absl::AsciiStrToLower(published.name()));
  Table* table = known == tables_by_name_.end() ? nullptr : known->second;
  const auto identity = identities_.find(publish.identity());
  const auto key = [&](uint32_t identity_number) {
    return (uint64_t{table->number} << 32) | identity_number;
  };
  if (table != nullptr && identity != identities_.end() &&
      published_.contains(key(identity->second))) {
    return PublishEffect{.duplicate = true};
  }

  // Whatever can be refused is refused before anything changes.
  const int64_t rows = RowCount(published);
  if (identity == identities_.end() &&
      static_cast<int64_t>(identities_.size()) >= limits_.identities_per_shard) {
    return absl::ResourceExhaustedError(
        absl::StrCat("identity ", Quoted(publish.identity()), ": the generation has ",
                     limits_.identities_per_shard, " identities already, which is the limit"));
  }
  int64_t growth = 0;
  if (absl::Status status = CheckRoom(publish, rows, table, &growth); !status.ok()) return status;

  const size_t columns_before = table == nullptr ? 0 : table->columns.size();
  const int64_t catalogue_before = catalogue_bytes_;
  if (absl::Status status = FitSchema(published, &table); !status.ok()) return status;
  if (absl::Status status = InsertRows(published, rows, table); !status.ok()) {
    const absl::Status undone = Undo(table, columns_before);
    if (!undone.ok()) {
      health_ = absl::InternalError(
          absl::StrCat("the shard is damaged: ", status.message(), "; ", undone.message()));
      return health_;
    }
    catalogue_bytes_ = catalogue_before;
    return status;
  }

  const uint32_t number =
      identity != identities_.end() ? identity->second : static_cast<uint32_t>(identities_.size());
  if (identity == identities_.end()) identities_.emplace(publish.identity(), number);
  published_.insert(key(number));
  records_.push_back({table->number, number, table->rows + 1, rows, now});
  bookkeeping_bytes_ += RecordBytes(publish);
  estimate_ += growth;
  table->rows += rows;
  ++table->updates;
  table->last_update = now;
  return PublishEffect{.rows = rows};
}

// Upper bounds of what a publish can take; SQLite is asked for the truth only where that is
// too much.
absl::Status SqliteShard::CheckRoom(const v1::PublishRequest& publish, int64_t rows,
                                    const Table* table, int64_t* growth) {
  int64_t width = publish.table().columns_size();
  if (table != nullptr) width += static_cast<int64_t>(table->columns.size());
  // A row has its place in a page, and in its header about a byte for each column of the
  // merged table.
  int64_t bytes = rows * (2 * width + 24);
  for (const v1::Column& column : publish.table().columns()) {
    // An integer, a real or a NULL takes at most 8 bytes.
    bytes += 8 * rows;
    for (const std::string& text : column.texts()) bytes += static_cast<int64_t>(text.size());
    for (const std::string& blob : column.blobs()) bytes += static_cast<int64_t>(blob.size());
  }
  // Half as much again, for pages that rows do not fill.
  *growth = bytes + bytes / 2 + RecordBytes(publish) + (table == nullptr ? 2 * kPageSize : 0);
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
    if (!dropped.ok()) return dropped;
    tables_by_name_.erase(absl::AsciiStrToLower(table->name));
    tables_.pop_back();
    return absl::OkStatus();
  }
  // `_rowid_` cannot be a column's name, since names begin with a letter.
  const absl::Status deleted = database_.Execute(absl::StrCat(
      "DELETE FROM ", sqlite::QuoteName(table->name), " WHERE _rowid_ > ", table->rows));
  if (!deleted.ok() || table->columns.size() == columns) return deleted;
  DropInsert(table);
  while (table->columns.size() > columns) {
    table->column_numbers.erase(absl::AsciiStrToLower(table->columns.back().name()));
    table->columns.pop_back();
  }
  return WriteSchema(*table);
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

absl::Status SqliteShard::WriteRecords() {
  if (records_written_ == records_.size()) return absl::OkStatus();
  absl::StatusOr<sqlite::Statement> insert = database_.Prepare(
      absl::StrCat("INSERT INTO ", kPublishesTable, " VALUES(?1, ?2, ?3, ?4, 1, ?5)"));
  if (!insert.ok()) return insert.status();
  std::vector<const std::string*> identities(identities_.size());
  for (const auto& [identity, number] : identities_) identities[number] = &identity;
  for (; records_written_ < records_.size(); ++records_written_) {
    const Record& record = records_[records_written_];
    insert->BindText(1, tables_[record.table].name);
    insert->BindText(2, *identities[record.identity]);
    insert->BindInteger(3, record.first_rowid);
    insert->BindInteger(4, record.rows);
    insert->BindReal(5, absl::ToDoubleSeconds(record.time - absl::UnixEpoch()));
    if (absl::Status status = insert->Run(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void SqliteShard::FillInfo(v1::ShardInfo* info) const {
  info->set_format(v1::SQLITE3);
  info->set_publishers(static_cast<int64_t>(identities_.size()));
  info->mutable_tables()->Reserve(static_cast<int>(tables_.size()));
  for (const Table& table : tables_) {
    v1::TableInfo& entry = *info->add_tables();
    entry.set_name(table.name);
    entry.mutable_columns()->Assign(table.columns.begin(), table.columns.end());
    entry.set_rows(table.rows);
    entry.set_updates(table.updates);
    if (table.updates > 0) SetTimestamp(table.last_update, entry.mutable_last_update());
  }
}

absl::StatusOr<SealedShard> SqliteShard::Serialize() {
  if (!health_.ok()) return health_;
  absl::Status status = WriteRecords();
  if (status.ok()) status = database_.Execute("COMMIT");
  if (!status.ok()) return health_ = status;
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
  absl::StatusOr<SealedShard> copy = Serialize();
  if (!health_.ok()) return health_;
  if (absl::Status status = database_.Execute("BEGIN"); !status.ok()) return health_ = status;
  return copy;
}

absl::StatusOr<SealedShard> SqliteShard::Seal() {
  absl::StatusOr<SealedShard> sealed = Serialize();
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
