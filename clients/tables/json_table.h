#ifndef QASINO_CLIENTS_TABLES_JSON_TABLE_H_
#define QASINO_CLIENTS_TABLES_JSON_TABLE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "clients/tables/table_limits.h"
#include "qasino/v1/table.pb.h"

namespace qasino::publish {

// Reads a table from Qasino's JSON:
//
//   {"tablename": "disks",
//    "column_names": ["mount", "used_bytes"],
//    "column_types": ["text", "int"],
//    "rows": [["/var", 123456], ["/mnt", null]]}
//
// Other keys are ignored. Cells are strings, numbers, null, true (1) and false (0); a
// cell need not be of its column's type, but a number in an integer column must fit
// into 64 bits.
//
// The error is INVALID_ARGUMENT with the line and column of what is not JSON, or the
// row and column, all from 1, of a cell; or RESOURCE_EXHAUSTED with the limit that was
// passed.
absl::StatusOr<v1::Table> ParseJsonTable(std::string_view text, const TableLimits& limits = {});

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_JSON_TABLE_H_
