#ifndef QASINO_SERVICES_PAGES_ROW_WRITER_H_
#define QASINO_SERVICES_PAGES_ROW_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "qasino/v1/table.pb.h"
#include "services/pages/encoding.h"
#include "services/pages/number_texts.h"
#include "services/pages/page_space.h"
#include "services/pages/table_pages.h"

namespace qasino::pages {

// Appends the rows of tables as they travel to pages, as SQLite's INSERT would store them:
// each cell becomes what its column's declared type makes of it. Tables are valid (see
// ValidateTable).
//
//   writer.Begin(published, targets);
//   if (writer.MostRecordBytes() > limit) ...  // or Measure, which knows exactly
//   writer.AppendTo(space, table);
//
// All that can fail is in Begin, which changes nothing. Between the calls the published table
// stays as it is. Keeps memory of the size of a row; used by one thread at a time.
class RowWriter {
 public:
  // Where a published column's cells go: the column's place in the table, from 0, and how it is
  // declared there.
  struct Target {
    int place;
    v1::ColumnType type;
  };

  // `targets` has one for each column of `published`, at different places. Other columns of the
  // table are NULL. Takes time for each cell, but little. RESOURCE_EXHAUSTED when there is no
  // memory.
  absl::Status Begin(const v1::Table& published, std::span<const Target> targets);

  int64_t rows() const { return rows_; }
  // Upper bounds: of one row's record, and of the pages that the rows take.
  size_t MostRecordBytes() const { return most_header_ + 3 + most_body_; }
  int64_t MostPages() const;

  // The same exactly, in the time that writing takes. `row` is the first whose record is larger
  // than `limit`, or rows() when there is none; where there is one, `pages` says nothing.
  struct Measured {
    int64_t row = 0;
    int64_t pages = 0;
  };
  Measured Measure(const TablePages& table, size_t limit);

  // The space must have room for MostPages or what Measure says.
  void AppendTo(PageSpace& space, TablePages& table);

 private:
  // How the next cell of a row is made. The first ones are for columns without kinds.
  enum class Make : uint8_t {
    kInteger,
    kIntegerInReal,
    kRealInInteger,
    kRealInReal,
    kReal,
    kText,
    kBlob,
    kNulls,  // of columns that are not published
    kAny,    // looks what it is
  };

  // A text that is a number in its column.
  struct Number {
    uint32_t text;  // its place among the column's
    bool is_integer;
    union {
      int64_t integer;
      double real;
    };
  };

  // A column, and, for kAny, what comes next in it: its pointers go along with the rows.
  struct Cells {
    Make make;
    uint8_t type;  // declared in the table, a v1::ColumnType
    uint8_t kind;  // where there are no kinds
    int nulls = 0;
    const char* kinds = nullptr;
    const int64_t* integers = nullptr;
    const double* reals = nullptr;
    const std::string* const* texts = nullptr;
    const std::string* const* blobs = nullptr;
    uint32_t text = 0;         // texts gone by
    uint32_t next_number = 0;  // in numbers_
    uint32_t end_numbers = 0;
  };

  struct Encoded {
    uint8_t* begin;
    size_t size;
  };

  absl::Status AddColumn(const v1::Column& column, const Target& target);
  absl::Status FindNumbers(const v1::Column& column, bool is_real_column, Cells& cells);
  // Goes back to the first row.
  void Rewind();
  // Rows come one after the other.
  Encoded EncodeRow(int64_t row);
  RecordCursor EncodeAny(Cells& cells, RecordCursor at);
  void EncodeText(Cells& cells, RecordCursor& at);

  int64_t rows_ = 0;
  size_t most_header_ = 0;  // without its length
  size_t most_body_ = 0;
  int64_t text_bytes_ = 0;   // of all rows
  size_t number_bytes_ = 0;  // what else is in a body at the most
  std::vector<Cells> columns_;
  std::vector<Cells> next_;
  std::vector<Number> numbers_;
  NumberTexts number_texts_;
  std::vector<int> order_;  // published columns by their places
  // A row is made here; what follows it is garbage.
  std::vector<uint8_t> row_;
  uint8_t* header_ = nullptr;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_ROW_WRITER_H_
