#ifndef QASINO_ADAPTERS_LEGACY_RESULT_WRITER_H_
#define QASINO_ADAPTERS_LEGACY_RESULT_WRITER_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "qasino/v1/query.pb.h"

namespace qasino::legacy {

// The shapes of an answer:
//
//   kJson    the original's: {"response_op":"result_table","identity":…,"table":
//            {"column_names":[…],"rows":[[…]]},"max_widths":{"0":n,…}}, every cell a
//            string and NULL the empty one; DESC has no max_widths. Widths are those of
//            DisplayWidth
//   kText    the original's: right-justified columns, `=` under the header, then
//            `N rows returned`; lines end in LF. Control characters and those that change
//            the direction of text are shown as \n, \x1b, \u202e, so that a row is a line
//   kHtml    a table, as a page that stands alone
//   kCsv     RFC 4180 with a header, lines end in CRLF; NULL is nothing, empty text is "";
//            blobs in hexadecimal; a text that begins with `#` has quotes
//   kNdjson  an object a row, typed: numbers are numbers and NULL is null; blobs are
//            strings in hexadecimal; of columns of one name the later have :1, :2 behind.
//            A name of more than 256 bytes is cut, with … behind: each row repeats it
//   kTableList  the values of get_table_list, from kTableListSql:
//            {"<table>":{"updates":n,"nr_rows":n,"last_update_epoch":real},…}
//
// Reals are written as SQLite writes them, but for kNdjson and kTableList, where they have
// all their digits. A blob in hexadecimal is X'00ff'; kJson, kText and kHtml do that only
// with one that is not UTF-8, and show others as text, as the original did.
enum class Format { kJson, kText, kHtml, kCsv, kNdjson, kTableList };

// Content-Type, with a charset but for JSON, which has none: it is UTF-8.
std::string_view ContentType(Format format);

// Writes one answer, part by part, behind what `out` has.
//
//   Part for each part of the AsyncQuery; after the one with the summary it is whole
//
// or, when an error ends it after the first part, Fail: kJson and kTableList stay
// unclosed, kText, kHtml, kCsv and kNdjson end with a line that tells the error
// (kCsv a record `#error,…`; kNdjson {"error":{"code":…,"message":…}}).
//
// Memory: kText needs the widths of all cells before the first line, and holds the rows
// until they are known; from kTextBytes on the widths are those of the rows so far, and
// later cells that are wider stick out. So do those of a column that is so wide that blanks
// would make many times the text of the rows, beyond 16 MiB. The others hold nothing.
//
// Not thread-safe.
class ResultWriter {
 public:
  static constexpr size_t kTextBytes = 4 << 20;

  virtual ~ResultWriter() = default;
  // `part` is checked, as AsyncQuery gives it.
  virtual void Part(const v1::QueryResponse& part, std::string* out) = 0;
  virtual void Fail(const absl::Status& status, std::string* out) = 0;
};

// `identity`: the server's, in kJson. `sql`: decides whether it is a DESC.
std::unique_ptr<ResultWriter> MakeResultWriter(Format format, std::string_view identity,
                                               std::string_view sql);

// The columns that a terminal takes for valid UTF-8 `text` (wide and combining characters
// counted as they show); bytes that are not UTF-8 count one each.
size_t DisplayWidth(std::string_view text);

// {"response_op":"tables_list","identity":…}, the first of the two objects of
// get_table_list.
std::string TableListHead(std::string_view identity);

// {"identity":…}: the answer to `quit;`.
std::string GoodbyeBody(std::string_view identity);

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_RESULT_WRITER_H_
