#include "services/tables/read_rows.h"

#include <sqlite3.h>

#include <cstddef>

#include "absl/status/statusor.h"

namespace qasino::tables {
namespace {

// Appends the cell of a row, before which the column has `rows`.
void AppendCell(sqlite3_stmt* statement, int from, size_t rows, v1::Column& column) {
  int kind = 0;
  const auto bytes = [&](const void* data) {
    // An empty blob has no address.
    return data == nullptr
               ? std::string()
               : std::string(static_cast<const char*>(data),
                             static_cast<size_t>(sqlite3_column_bytes(statement, from)));
  };
  switch (sqlite3_column_type(statement, from)) {
    case SQLITE_INTEGER:
      kind = v1::INTEGER;
      column.add_integers(sqlite3_column_int64(statement, from));
      break;
    case SQLITE_FLOAT:
      kind = v1::REAL;
      column.add_reals(sqlite3_column_double(statement, from));
      break;
    case SQLITE_TEXT:
      kind = v1::TEXT;
      column.add_texts(bytes(sqlite3_column_text(statement, from)));
      break;
    case SQLITE_BLOB:
      kind = v1::BLOB;
      column.add_blobs(bytes(sqlite3_column_blob(statement, from)));
      break;
    default:
      break;
  }
  if (column.kinds().empty()) {
    if (kind == column.type()) return;
    column.set_kinds(std::string(rows, static_cast<char>(column.type())));
  }
  column.mutable_kinds()->push_back(static_cast<char>(kind));
}

}  // namespace

absl::Status ReadRows(sqlite::Statement& statement, const std::vector<ColumnTarget>& columns) {
  for (size_t rows = 0;; ++rows) {
    const absl::StatusOr<bool> row = statement.Step();
    if (!row.ok() || !*row) {
      statement.Reset();
      return row.status();
    }
    for (const ColumnTarget& column : columns) {
      AppendCell(statement.get(), column.from, rows, *column.to);
    }
  }
}

}  // namespace qasino::tables
