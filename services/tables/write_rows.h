#ifndef QASINO_SERVICES_TABLES_WRITE_ROWS_H_
#define QASINO_SERVICES_TABLES_WRITE_ROWS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "qasino/v1/table.pb.h"
#include "services/sqlite/database.h"

// Writes tables as they travel into tables of an SQLite database that have (at least)
// their columns. Names are quoted here; tables are valid (services/names, ValidatePublish).
//
// None of this is whole or nothing by itself: after an error the caller rolls back.
namespace qasino::tables {

// "INTEGER", "REAL", "TEXT", "BLOB": how a column is declared.
const char* DeclaredType(v1::ColumnType type);

// Binds the cells of one column to a statement's parameter, row after row. The column must
// outlive it, and the bindings point into the column.
class CellReader {
 public:
  CellReader(const v1::Column& column, int parameter);
  // Binds the cell of the row that comes next; SQLite's result code.
  int BindNext(sqlite3_stmt* statement);

 private:
  const v1::Column* column_;
  int parameter_;
  const char* kinds_;
  int kind_;
  int64_t row_ = 0;
  int next_[4] = {};
};

// Rows of a table that is valid.
int64_t RowCount(const v1::Table& table);

// What the rows take at the most in a table of an SQLite database that has `columns` columns;
// indexes not counted.
int64_t MostBytes(const v1::Table& table, int64_t columns);

// A column that the table has besides those published, and its value in rows that are
// written. No name: there is none.
struct ExtraColumn {
  std::string name;
  int64_t value = 0;
};

// Inserts all rows. Columns of `name` that `table` lacks become NULL.
absl::Status InsertRows(sqlite::Database& database, std::string_view name, const v1::Table& table,
                        const ExtraColumn& extra = {});

// For each row: the rows of `name` that have its values in `keys` (as IS compares, with the
// columns' affinities) get its values in the other columns, and the extra column's; where
// there are none, it is inserted. No keys: all columns of `table`. Keys are columns of
// `table`, without case.
//
// It makes an index for the keys, named kKeyIndexPrefix and the keys' own, which stays;
// RESOURCE_EXHAUSTED when the table has kMostKeyIndexes others.
struct UpdateEffect {
  int64_t rows_added = 0;
  int64_t rows_changed = 0;
};
inline constexpr std::string_view kKeyIndexPrefix = "qasino_server_key_";
inline constexpr int kMostKeyIndexes = 4;
absl::StatusOr<UpdateEffect> UpdateRows(sqlite::Database& database, std::string_view name,
                                        const v1::Table& table,
                                        const google::protobuf::RepeatedPtrField<std::string>& keys,
                                        const ExtraColumn& extra = {});

}  // namespace qasino::tables

#endif  // QASINO_SERVICES_TABLES_WRITE_ROWS_H_
