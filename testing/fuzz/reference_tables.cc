#include "testing/fuzz/reference_tables.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "testing/fuzz/oracle.h"

namespace qasino::fuzz {
namespace {

sqlite::Statement Prepare(sqlite::Database& database, const std::string& sql) {
  absl::StatusOr<sqlite::Statement> statement = database.Prepare(sql);
  RequireOk(statement.status(), sql);
  return *std::move(statement);
}

bool Step(sqlite::Statement& statement) {
  const absl::StatusOr<bool> row = statement.Step();
  RequireOk(row.status(), "step");
  return *row;
}

// A cell in words that differ when cells do. Reals are written so that each has its own words.
std::string Cell(sqlite3_stmt* statement, int column) {
  const auto bytes = [&](const void* data) {
    const int size = sqlite3_column_bytes(statement, column);
    return std::string(static_cast<const char*>(data), data == nullptr ? 0 : size);
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return fmt::format("integer {}", sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return fmt::format("real {:a}", sqlite3_column_double(statement, column));
    case SQLITE_TEXT:
      return "text " + bytes(sqlite3_column_text(statement, column));
    case SQLITE_BLOB:
      return "blob " + bytes(sqlite3_column_blob(statement, column));
    default:
      return "null";
  }
}

// Where the value of a row is in the array of its kind.
int IndexOf(const v1::Column& column, int row) {
  if (column.kinds().empty()) return row;
  const std::string before = column.kinds().substr(0, row);
  return static_cast<int>(std::count(before.begin(), before.end(), column.kinds()[row]));
}

void Bind(sqlite::Statement& statement, int parameter, const v1::Column& column, int row) {
  const int index = IndexOf(column, row);
  switch (column.kinds().empty() ? static_cast<int>(column.type()) : column.kinds()[row]) {
    case v1::INTEGER:
      return statement.BindInteger(parameter, column.integers(index));
    case v1::REAL:
      return statement.BindReal(parameter, column.reals(index));
    case v1::TEXT:
      return statement.BindText(parameter, column.texts(index));
    case v1::BLOB:
      return statement.BindBlob(parameter, column.blobs(index));
    default:
      return statement.BindNull(parameter);
  }
}

int Rows(const v1::Table& table) {
  const v1::Column& column = table.columns(0);
  if (!column.kinds().empty()) return static_cast<int>(column.kinds().size());
  return column.integers_size() + column.reals_size() + column.texts_size() + column.blobs_size();
}

bool IsKey(const v1::PublishRequest& publish, const std::string& column) {
  if (publish.keycols().empty()) return true;
  return std::any_of(publish.keycols().begin(), publish.keycols().end(), [&](const auto& key) {
    return absl::AsciiStrToLower(key) == absl::AsciiStrToLower(column);
  });
}

std::string Declared(const v1::ColumnInfo& column) {
  return fmt::format("{} {}", sqlite::QuoteName(column.name()), v1::ColumnType_Name(column.type()));
}

}  // namespace

ReferenceTables::ReferenceTables() {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  RequireOk(database.status(), "open");
  database_ = *std::move(database);
}

bool ReferenceTables::IsDuplicate(const v1::PublishRequest& publish) const {
  const auto table = tables_.find(absl::AsciiStrToLower(publish.table().name()));
  return !publish.update() && table != tables_.end() &&
         table->second.identities.contains(publish.identity());
}

void ReferenceTables::Apply(const v1::PublishRequest& publish) {
  Table& table = Fit(publish.table());
  const int rows = Rows(publish.table());
  for (int row = 0; row < rows; ++row) {
    if (publish.update()) {
      Update(table, publish, row);
    } else {
      Insert(table, publish.table(), row);
    }
  }
  ++table.publishes;
  table.updated |= publish.update();
  table.identities.insert(publish.identity());
  table.runs.emplace_back(publish.identity(), rows);
  identities_.insert(publish.identity());
}

ReferenceTables::Table& ReferenceTables::Fit(const v1::Table& published) {
  const std::string key = absl::AsciiStrToLower(published.name());
  const bool is_new = !tables_.contains(key);
  Table& table = tables_[key];
  std::string columns;
  for (const v1::Column& column : published.columns()) {
    const bool known = std::any_of(table.columns.begin(), table.columns.end(), [&](const auto& c) {
      return absl::AsciiStrToLower(c.name()) == absl::AsciiStrToLower(column.name());
    });
    if (known) continue;
    v1::ColumnInfo& added = table.columns.emplace_back();
    added.set_name(column.name());
    added.set_type(column.type());
    if (is_new) {
      columns += fmt::format("{}{}", columns.empty() ? "" : ", ", Declared(added));
    } else {
      RequireOk(database_.Execute(fmt::format("ALTER TABLE {} ADD COLUMN {}",
                                              sqlite::QuoteName(table.name), Declared(added))),
                "add a column");
    }
  }
  if (is_new) {
    table.name = published.name();
    order_.push_back(key);
    RequireOk(database_.Execute(
                  fmt::format("CREATE TABLE {} ({})", sqlite::QuoteName(table.name), columns)),
              "make a table");
  }
  return table;
}

void ReferenceTables::Insert(const Table& table, const v1::Table& published, int row) {
  std::string columns;
  std::string values;
  for (const v1::Column& column : published.columns()) {
    const char* separator = columns.empty() ? "" : ", ";
    columns += separator + sqlite::QuoteName(column.name());
    values += fmt::format("{}?", separator);
  }
  sqlite::Statement insert =
      Prepare(database_, fmt::format("INSERT INTO {} ({}) VALUES ({})",
                                     sqlite::QuoteName(table.name), columns, values));
  for (int i = 0; i < published.columns_size(); ++i) Bind(insert, i + 1, published.columns(i), row);
  Step(insert);
}

// The row is first stored as the table would, so that what is compared has the columns'
// affinities.
void ReferenceTables::Update(const Table& table, const v1::PublishRequest& publish, int row) {
  const v1::Table& published = publish.table();
  const std::string name = sqlite::QuoteName(table.name);
  std::string same;
  std::string changes;
  for (const v1::Column& column : published.columns()) {
    const std::string quoted = sqlite::QuoteName(column.name());
    if (IsKey(publish, column.name())) {
      same += fmt::format("{}{}.{} IS _new.{}", same.empty() ? "" : " AND ", name, quoted, quoted);
    } else {
      changes += fmt::format("{}{} = _new.{}", changes.empty() ? "" : ", ", quoted, quoted);
    }
  }
  Insert(table, published, row);
  const int64_t added = sqlite3_last_insert_rowid(database_.get());
  const std::string found =
      fmt::format("{0}._rowid_ <> {1} AND _new._rowid_ = {1} AND {2}", name, added, same);
  sqlite::Statement search =
      Prepare(database_, fmt::format("SELECT 1 FROM {0}, {0} AS _new WHERE {1}", name, found));
  if (!Step(search)) return;
  search.Reset();
  if (!changes.empty()) {
    RequireOk(database_.Execute(fmt::format("UPDATE {0} SET {1} FROM {0} AS _new WHERE {2}", name,
                                            changes, found)),
              "update");
  }
  RequireOk(database_.Execute(fmt::format("DELETE FROM {} WHERE _rowid_ = {}", name, added)),
            "update");
}

void ReferenceTables::RequireEqual(const v1::ShardInfo& info, std::string_view bytes) {
  absl::StatusOr<sqlite::Database> shard = sqlite::Database::OpenInMemory();
  RequireOk(shard.status(), "open");
  RequireOk(shard->ReadFrom("main", bytes), "open the shard");
  {
    sqlite::Statement check = Prepare(*shard, "PRAGMA integrity_check");
    Require(Step(check) && check.Text(0) == "ok",
            "the shard is a whole database: " + std::string(check.Text(0)));
  }
  Require(info.size_bytes() == bytes.size(), "the shard's size is that of its info");
  Require(info.publishers() == static_cast<int64_t>(identities_.size()),
          "the shard's info counts its publishers");
  Require(info.tables_size() == static_cast<int>(order_.size()), "all tables are in the info");
  for (int i = 0; i < info.tables_size(); ++i) {
    const v1::TableInfo& told = info.tables(i);
    const Table& table = tables_.at(order_[i]);
    Require(told.name() == table.name, "tables are in order: " + told.name());
    Require(told.columns_size() == static_cast<int>(table.columns.size()),
            "all columns are in the info of " + told.name());
    for (int column = 0; column < told.columns_size(); ++column) {
      Require(told.columns(column).name() == table.columns[column].name() &&
                  told.columns(column).type() == table.columns[column].type(),
              "a column has its first name and type: " + told.columns(column).name());
    }
    Require(told.updates() == table.publishes, "publishes are counted: " + told.name());
    Require(told.updated() == table.updated, "the info says whether a table was updated");
    sqlite::Statement count =
        Prepare(database_, fmt::format("SELECT count(*) FROM {}", sqlite::QuoteName(table.name)));
    Step(count);
    Require(told.rows() == count.Integer(0), "rows are counted: " + told.name());
    RequireSameRows(table, *shard);
    RequireSameRuns(table, *shard);
  }
}

void ReferenceTables::RequireSameRows(const Table& table, sqlite::Database& shard) {
  const std::string sql =
      fmt::format("SELECT * FROM {} ORDER BY _rowid_", sqlite::QuoteName(table.name));
  sqlite::Statement wanted = Prepare(database_, sql);
  sqlite::Statement found = Prepare(shard, sql);
  Require(wanted.ColumnCount() == found.ColumnCount(), "all columns are in the shard");
  for (int64_t row = 1; Step(wanted); ++row) {
    Require(Step(found), fmt::format("row {} of {} is in the shard", row, table.name));
    for (int column = 0; column < wanted.ColumnCount(); ++column) {
      const std::string want = Cell(wanted.get(), column);
      const std::string have = Cell(found.get(), column);
      Require(want == have, fmt::format("row {} of {}, column {} is '{}', not '{}'", row,
                                        table.name, column + 1, want, have));
    }
  }
  Require(!Step(found), "no other rows are in the shard: " + table.name);
}

void ReferenceTables::RequireSameRuns(const Table& table, sqlite::Database& shard) {
  sqlite::Statement runs =
      Prepare(shard,
              "SELECT first_rowid, nr_rows, identity FROM qasino_server_publishes "
              "WHERE tablename = ? COLLATE NOCASE ORDER BY first_rowid, nr_rows, _rowid_");
  runs.BindText(1, table.name);
  int64_t next = 1;
  std::vector<std::pair<std::string, int64_t>> found;
  while (Step(runs)) {
    const int64_t rows = runs.Integer(1);
    Require(table.identities.contains(std::string(runs.Text(2))),
            "a run of rows is of an identity that published " + table.name);
    Require(rows == 0 || runs.Integer(0) == next, "every row has one publisher: " + table.name);
    next += rows;
    found.emplace_back(runs.Text(2), rows);
  }
  sqlite::Statement count =
      Prepare(shard, fmt::format("SELECT count(*) FROM {}", sqlite::QuoteName(table.name)));
  Step(count);
  Require(next - 1 == count.Integer(0), "every row has a publisher: " + table.name);
  if (table.updated) return;
  auto wanted = table.runs;
  // Runs without rows have no place of their own.
  std::sort(found.begin(), found.end());
  std::sort(wanted.begin(), wanted.end());
  Require(found == wanted, "every publish has its run of rows: " + table.name);
}

}  // namespace qasino::fuzz
