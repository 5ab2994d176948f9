#include "services/tables/write_rows.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"

namespace qasino::tables {
namespace {

using sqlite::Database;
using sqlite::QuoteName;
using sqlite::Statement;

// More make the index larger and hardly ever better at finding a row.
constexpr size_t kMostIndexedKeys = 8;

// The cells of a whole row, bound to the parameters 1 to n.
class RowReader {
 public:
  explicit RowReader(const v1::Table& table) {
    cells_.reserve(table.columns_size());
    for (int i = 0; i < table.columns_size(); ++i) cells_.emplace_back(table.columns(i), i + 1);
  }

  int BindNext(sqlite3_stmt* statement) {
    for (CellReader& cell : cells_) {
      if (const int code = cell.BindNext(statement); code != SQLITE_OK) return code;
    }
    return SQLITE_OK;
  }

 private:
  std::vector<CellReader> cells_;
};

absl::Status RowError(int code, Database& database, std::string_view name, int64_t row) {
  return sqlite::ToStatus(code, database.get(), fmt::format("table '{}': row {}", name, row + 1));
}

absl::Status TableError(const absl::Status& status, std::string_view name) {
  return absl::Status(status.code(),
                      fmt::format("table '{}': {}", name, std::string(status.message())));
}

// INSERT of a row whose cells are the parameters 1 to n, the extra column's value n + 1.
absl::StatusOr<Statement> PrepareInsert(Database& database, std::string_view name,
                                        const v1::Table& table, const ExtraColumn& extra) {
  std::string columns;
  std::string values;
  for (int i = 0; i < table.columns_size(); ++i) {
    fmt::format_to(std::back_inserter(columns), "{}{}", i == 0 ? "" : ", ",
                   QuoteName(table.columns(i).name()));
    fmt::format_to(std::back_inserter(values), "{}?{}", i == 0 ? "" : ", ", i + 1);
  }
  if (!extra.name.empty()) {
    fmt::format_to(std::back_inserter(columns), ", {}", QuoteName(extra.name));
    fmt::format_to(std::back_inserter(values), ", ?{}", table.columns_size() + 1);
  }
  absl::StatusOr<Statement> insert = database.Prepare(
      fmt::format("INSERT INTO {} ({}) VALUES ({})", QuoteName(name), columns, values));
  if (!insert.ok()) return TableError(insert.status(), name);
  if (!extra.name.empty()) insert->BindInteger(table.columns_size() + 1, extra.value);
  return insert;
}

// A column by which rows are found.
struct Key {
  int published;  // its place in the published table
  int place = 0;  // and in the table that is written
  bool is_real = false;
};

// The keys in the order in which the written table has them, each once.
absl::StatusOr<std::vector<Key>> FindKeys(
    Database& database, std::string_view name, const v1::Table& table,
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  absl::flat_hash_map<std::string, int> published;
  for (int i = 0; i < table.columns_size(); ++i) {
    published[absl::AsciiStrToLower(table.columns(i).name())] = i;
  }
  absl::flat_hash_map<std::string, Key> wanted;
  if (names.empty()) {
    for (const auto& [column, place] : published) wanted[column] = {.published = place};
  }
  for (const std::string& key : names) {
    std::string lower = absl::AsciiStrToLower(key);
    const auto found = published.find(lower);
    if (found == published.end()) {
      return absl::InvalidArgumentError(
          fmt::format("table '{}': key column '{}' is none of its columns", name, key));
    }
    wanted[std::move(lower)] = {.published = found->second};
  }
  absl::StatusOr<Statement> info =
      database.Prepare(fmt::format("PRAGMA table_info({})", QuoteName(name)));
  if (!info.ok()) return TableError(info.status(), name);
  std::vector<Key> keys;
  for (;;) {
    absl::StatusOr<bool> row = info->Step();
    if (!row.ok()) return TableError(row.status(), name);
    if (!*row) break;
    const auto key = wanted.find(absl::AsciiStrToLower(std::string(info->Text(1))));
    if (key == wanted.end()) continue;
    key->second.place = static_cast<int>(info->Integer(0));
    key->second.is_real = info->Text(2) == DeclaredType(v1::REAL);
    keys.push_back(key->second);
  }
  if (keys.size() < wanted.size()) {
    return absl::InternalError(fmt::format("table '{}' lacks a key column", name));
  }
  return keys;
}

// Makes that there is an index by which the rows are found.
absl::Status IndexKeys(Database& database, std::string_view name, const v1::Table& table,
                       const std::vector<Key>& keys) {
  // No name has a dot, so different keys of different tables have different names.
  std::string index =
      fmt::format("{}{}", kKeyIndexPrefix, absl::AsciiStrToLower(std::string(name)));
  std::string columns;
  for (size_t i = 0; i < std::min(keys.size(), kMostIndexedKeys); ++i) {
    const std::string& column = table.columns(keys[i].published).name();
    fmt::format_to(std::back_inserter(index), ".{}", absl::AsciiStrToLower(column));
    fmt::format_to(std::back_inserter(columns), "{}{}", i == 0 ? "" : ", ", QuoteName(column));
  }
  absl::StatusOr<Statement> list =
      database.Prepare(fmt::format("PRAGMA index_list({})", QuoteName(name)));
  if (!list.ok()) return TableError(list.status(), name);
  int others = 0;
  for (;;) {
    absl::StatusOr<bool> row = list->Step();
    if (!row.ok()) return TableError(row.status(), name);
    if (!*row) break;
    if (list->Text(1) == index) return absl::OkStatus();
    if (list->Text(1).starts_with(kKeyIndexPrefix)) ++others;
  }
  if (others >= kMostKeyIndexes) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': updated by {} other sets of key columns already, which is the "
                    "limit",
                    name, others));
  }
  list = Statement();  // CREATE INDEX does not like it unfinished
  absl::Status status = database.Execute(
      fmt::format("CREATE INDEX {} ON {} ({})", QuoteName(index), QuoteName(name), columns));
  return status.ok() ? status : TableError(status, name);
}

// The condition that a row has the keys from `begin` to `end`. As a tree, for SQLite bounds
// the depth of an expression at 1,000.
void AppendCondition(const v1::Table& table, const std::vector<Key>& keys, size_t begin, size_t end,
                     std::string& sql) {
  if (end - begin == 1) {
    const Key& key = keys[begin];
    const int parameter = key.published + 1;
    fmt::format_to(std::back_inserter(sql), "{} IS ",
                   QuoteName(table.columns(key.published).name()));
    if (key.is_real) {
      // An integer is stored there as a real, which is not always equal to it, and so is a text
      // that reads as one. A text that reads as no number is greater than all numbers.
      fmt::format_to(std::back_inserter(sql),
                     "CASE WHEN ?{0} <= CAST(9e999 AS REAL) THEN "
                     "CAST(CAST(?{0} AS NUMERIC) AS REAL) ELSE ?{0} END",
                     parameter);
    } else {
      fmt::format_to(std::back_inserter(sql), "?{}", parameter);
    }
    return;
  }
  const size_t middle = begin + (end - begin) / 2;
  sql += '(';
  AppendCondition(table, keys, begin, middle, sql);
  sql += ") AND (";
  AppendCondition(table, keys, middle, end, sql);
  sql += ')';
}

// UPDATE of the rows that have the keys; a SELECT that looks for one where nothing would be
// set. Parameters as in PrepareInsert.
absl::StatusOr<Statement> PrepareUpdate(Database& database, std::string_view name,
                                        const v1::Table& table, const std::vector<Key>& keys,
                                        const ExtraColumn& extra, bool* sets) {
  std::vector<bool> is_key(table.columns_size());
  for (const Key& key : keys) is_key[key.published] = true;
  std::string set;
  for (int i = 0; i < table.columns_size(); ++i) {
    if (is_key[i]) continue;
    fmt::format_to(std::back_inserter(set), "{}{} = ?{}", set.empty() ? "" : ", ",
                   QuoteName(table.columns(i).name()), i + 1);
  }
  if (!extra.name.empty()) {
    fmt::format_to(std::back_inserter(set), "{}{} = ?{}", set.empty() ? "" : ", ",
                   QuoteName(extra.name), table.columns_size() + 1);
  }
  *sets = !set.empty();
  std::string sql = *sets ? fmt::format("UPDATE {} SET {} WHERE ", QuoteName(name), set)
                          : fmt::format("SELECT 1 FROM {} WHERE ", QuoteName(name));
  AppendCondition(table, keys, 0, keys.size(), sql);
  if (!*sets) sql += " LIMIT 1";
  absl::StatusOr<Statement> update = database.Prepare(sql);
  if (!update.ok()) return TableError(update.status(), name);
  if (!extra.name.empty()) update->BindInteger(table.columns_size() + 1, extra.value);
  return update;
}

}  // namespace

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

CellReader::CellReader(const v1::Column& column, int parameter)
    : column_(&column),
      parameter_(parameter),
      kinds_(column.kinds().empty() ? nullptr : column.kinds().data()),
      kind_(static_cast<int>(column.type())) {}

int CellReader::BindNext(sqlite3_stmt* statement) {
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

int64_t RowCount(const v1::Table& table) {
  if (table.columns().empty()) return 0;
  const v1::Column& column = table.columns(0);
  if (!column.kinds().empty()) return static_cast<int64_t>(column.kinds().size());
  switch (column.type()) {
    case v1::INTEGER:
      return column.integers_size();
    case v1::REAL:
      return column.reals_size();
    case v1::TEXT:
      return column.texts_size();
    case v1::BLOB:
      return column.blobs_size();
    default:
      return 0;
  }
}

int64_t MostBytes(const v1::Table& table, int64_t columns) {
  const int64_t rows = RowCount(table);
  // A row has its place in a page, and in its header about a byte for each column.
  int64_t bytes = rows * (2 * columns + 24);
  for (const v1::Column& column : table.columns()) {
    // An integer, a real or a NULL takes at most 8 bytes.
    bytes += 8 * rows;
    for (const std::string& text : column.texts()) bytes += static_cast<int64_t>(text.size());
    for (const std::string& blob : column.blobs()) bytes += static_cast<int64_t>(blob.size());
  }
  // Half as much again, for pages that rows do not fill.
  return bytes + bytes / 2;
}

absl::Status InsertRows(Database& database, std::string_view name, const v1::Table& table,
                        const ExtraColumn& extra) {
  const int64_t rows = RowCount(table);
  if (rows == 0) return absl::OkStatus();
  absl::StatusOr<Statement> insert = PrepareInsert(database, name, table, extra);
  if (!insert.ok()) return insert.status();
  RowReader reader(table);
  for (int64_t row = 0; row < rows; ++row) {
    int code = reader.BindNext(insert->get());
    if (code == SQLITE_OK) {
      sqlite3_step(insert->get());
      code = sqlite3_reset(insert->get());
    }
    if (code != SQLITE_OK) return RowError(code, database, name, row);
  }
  return absl::OkStatus();
}

absl::StatusOr<UpdateEffect> UpdateRows(Database& database, std::string_view name,
                                        const v1::Table& table,
                                        const google::protobuf::RepeatedPtrField<std::string>& keys,
                                        const ExtraColumn& extra) {
  UpdateEffect effect;
  const int64_t rows = RowCount(table);
  if (rows == 0) return effect;
  absl::StatusOr<std::vector<Key>> found = FindKeys(database, name, table, keys);
  if (!found.ok()) return found.status();
  if (absl::Status status = IndexKeys(database, name, table, *found); !status.ok()) return status;
  bool sets = false;
  absl::StatusOr<Statement> update = PrepareUpdate(database, name, table, *found, extra, &sets);
  if (!update.ok()) return update.status();
  absl::StatusOr<Statement> insert = PrepareInsert(database, name, table, extra);
  if (!insert.ok()) return insert.status();
  RowReader update_reader(table);
  RowReader insert_reader(table);
  for (int64_t row = 0; row < rows; ++row) {
    int code = update_reader.BindNext(update->get());
    if (code == SQLITE_OK) code = insert_reader.BindNext(insert->get());
    if (code != SQLITE_OK) return RowError(code, database, name, row);
    const bool is_there = sqlite3_step(update->get()) == SQLITE_ROW;
    code = sqlite3_reset(update->get());
    if (code != SQLITE_OK) return RowError(code, database, name, row);
    const int64_t changed = sets ? database.Changes() : 0;
    effect.rows_changed += changed;
    if (is_there || changed > 0) continue;
    sqlite3_step(insert->get());
    code = sqlite3_reset(insert->get());
    if (code != SQLITE_OK) return RowError(code, database, name, row);
    ++effect.rows_added;
  }
  return effect;
}

}  // namespace qasino::tables
