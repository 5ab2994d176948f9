#include "services/store/salvage.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/sqlite/database.h"
#include "services/tables/read_rows.h"

namespace qasino::store {
namespace {

// The rows of one table from one identity. A pair has one run of rows in a shard of ours.
absl::StatusOr<v1::Table> ReadTable(sqlite::Database& database, const v1::TableInfo& info,
                                    int64_t first_row, int64_t rows) {
  v1::Table table;
  table.set_name(info.name());
  std::string names;
  for (const v1::ColumnInfo& column : info.columns()) {
    v1::Column& added = *table.add_columns();
    added.set_name(column.name());
    added.set_type(column.type());
    absl::StrAppend(&names, names.empty() ? "" : ", ", sqlite::QuoteName(column.name()));
  }
  // No column is called _rowid_, because names begin with a letter.
  auto statement =
      database.Prepare(absl::StrCat("SELECT ", names, " FROM main.", sqlite::QuoteName(info.name()),
                                    " WHERE _rowid_ >= ?1 AND _rowid_ < ?2 ORDER BY _rowid_"));
  if (!statement.ok()) return statement.status();
  statement->BindInteger(1, first_row);
  statement->BindInteger(2, first_row + rows);
  std::vector<tables::ColumnTarget> targets;
  for (int i = 0; i < table.columns_size(); ++i) targets.push_back({i, table.mutable_columns(i)});
  if (absl::Status status = tables::ReadRows(*statement, targets); !status.ok()) return status;
  return table;
}

}  // namespace

absl::StatusOr<std::vector<JournalRecord>> SalvageTables(const std::string& path,
                                                         const v1::ShardInfo& info,
                                                         int64_t generation) {
  auto database = sqlite::Database::OpenFile(path);
  if (!database.ok()) return database.status();
  auto runs = database->Prepare(
      "SELECT identity, first_rowid, nr_rows, last_update_epoch FROM main.qasino_server_publishes "
      "WHERE tablename = ?1 ORDER BY rowid");
  if (!runs.ok()) return runs.status();
  std::vector<JournalRecord> records;
  for (const v1::TableInfo& described : info.tables()) {
    runs->BindText(1, described.name());
    for (;;) {
      const auto row = runs->Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      auto table = ReadTable(*database, described, runs->Integer(1), runs->Integer(2));
      if (!table.ok()) return table.status();
      JournalRecord& record = records.emplace_back();
      const double epoch = runs->Real(3);
      record.mutable_time()->set_seconds(static_cast<int64_t>(std::floor(epoch)));
      record.mutable_time()->set_nanos(static_cast<int32_t>((epoch - std::floor(epoch)) * 1e9));
      if (info.kind() == v1::STATIC) {
        record.mutable_put_static()->set_identity(std::string(runs->Text(0)));
        *record.mutable_put_static()->mutable_table() = *std::move(table);
      } else {
        record.mutable_put_persistent()->set_identity(std::string(runs->Text(0)));
        record.mutable_put_persistent()->set_generation(generation);
        *record.mutable_put_persistent()->mutable_table() = *std::move(table);
      }
    }
    runs->Reset();
  }
  return records;
}

}  // namespace qasino::store
