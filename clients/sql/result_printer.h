#ifndef QASINO_CLIENTS_SQL_RESULT_PRINTER_H_
#define QASINO_CLIENTS_SQL_RESULT_PRINTER_H_

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/cells.h"

namespace qasino::sql {

enum class Format { kTable, kCsv, kJson };

// Writes one result while it is read, whatever its length:
//
//   Begin, Row for each row, End.
class ResultPrinter {
 public:
  virtual ~ResultPrinter() = default;

  virtual void Begin(const std::vector<std::string>& columns) = 0;
  // One cell a column.
  virtual void Row(const std::vector<client::Cell>& cells) = 0;
  // After the last row that came, also when an error ended them.
  virtual void End() = 0;
};

// A printer of one result to `out`, which outlives it. `to_terminal`: whoever reads must
// be safe from control characters in the data; tables are safe always.
//
//   kTable  as psql: numbers right, text left, columns as wide as the first thousand rows
//           need (later cells that are wider stick out); then `(3 rows)`.
//   kCsv    RFC 4180 with a header; NULL is nothing, empty text is "".
//   kJson   one object a row and line; a name that comes again has :1, :2 behind it;
//           blobs are strings as in the table.
std::unique_ptr<ResultPrinter> MakeResultPrinter(Format format, bool to_terminal,
                                                 std::ostream* out);

}  // namespace qasino::sql

#endif  // QASINO_CLIENTS_SQL_RESULT_PRINTER_H_
