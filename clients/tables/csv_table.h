#ifndef QASINO_CLIENTS_TABLES_CSV_TABLE_H_
#define QASINO_CLIENTS_TABLES_CSV_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "clients/tables/table_limits.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::publish {

// What is wrong with a table, for who has other words for it.
struct CsvFault {
  enum class Kind {
    kOther,
    kBadColumnType,  // `found` is the word
    kTooFewCells,    // a blank line too
    kTooManyCells,   // `column` is the first that is too much
    kNotAnInteger,   // `found` is the cell, without blanks around it
    kNotANumber,     // the same
  };
  Kind kind = Kind::kOther;
  // On which the record begins, and the cell; from 1, 0: it has none.
  int64_t line = 0;
  int64_t column = 0;
  // As it was written, of any length and any bytes.
  std::string found;
  // Without line and column: "'x' is not an integer".
  std::string message;
};

// Reads a table from Qasino's CSV:
//
//   1,identity=web1,persist=1        a version number, and options
//   disks                            the table's name
//   mount,used_bytes,load            the columns' names
//   text,int,float                   their types
//   Mount point,Bytes in use,Load    descriptions, which are ignored
//   /var,123456,0.5                  the rows
//   "/mnt/a, ""b""",,
//
// Options are identity, static, persist, update and keycols (names separated by ';',
// heeded with update only), without blanks; `false`, `no` and `0` are off; others are
// ignored. Lines end in LF or CRLF. Cells are quoted as usual in CSV, a newline inside
// quotes is part of the cell, and blanks are kept. An empty cell of an integer or real
// column is NULL. Text is UTF-8.
//
// The result has the identity and options of line 1, or none. The error is
// INVALID_ARGUMENT with the line and the column, both from 1, or RESOURCE_EXHAUSTED
// with the limit that was passed. With INVALID_ARGUMENT, `fault`, unless it is null, has the
// same in parts.
absl::StatusOr<v1::PublishRequest> ParseCsvTable(std::string_view text,
                                                 const TableLimits& limits = {},
                                                 CsvFault* fault = nullptr);

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_CSV_TABLE_H_
