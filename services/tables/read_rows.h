#ifndef QASINO_SERVICES_TABLES_READ_ROWS_H_
#define QASINO_SERVICES_TABLES_READ_ROWS_H_

#include <vector>

#include "absl/status/status.h"
#include "qasino/v1/table.pb.h"
#include "services/sqlite/database.h"

namespace qasino::tables {

// One of a statement's columns, from 0, and where its cells go. The column has its type, and
// no cells.
struct ColumnTarget {
  int from;
  v1::Column* to;
};

// Steps through all rows of a statement and appends their cells, so that writing them again
// (write_rows.h) stores the same. Resets the statement.
absl::Status ReadRows(sqlite::Statement& statement, const std::vector<ColumnTarget>& columns);

}  // namespace qasino::tables

#endif  // QASINO_SERVICES_TABLES_READ_ROWS_H_
