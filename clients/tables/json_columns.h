#ifndef QASINO_CLIENTS_TABLES_JSON_COLUMNS_H_
#define QASINO_CLIENTS_TABLES_JSON_COLUMNS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "clients/cpp/cells.h"
#include "clients/tables/table_limits.h"
#include "qasino/v1/table.pb.h"

namespace qasino::publish {

// Rows on their way into columns. What the columns' types are may become known before or
// after the rows: a cell is kept as it is written, and at the end the columns are adjusted to
// their types.
//
//   JsonColumns columns(limits);
//   columns.BeginRow();
//   columns.Integer(1);
//   columns.Text("x");
//   columns.EndRow();
//   absl::Status status = columns.Finish(types, &table);
//
// The first thing that is wrong is kept for Finish; what comes later is not stored any more.
// Not thread-safe.
class JsonColumns {
 public:
  explicit JsonColumns(const TableLimits& limits) : limits_(limits) {}

  void BeginRow() { cell_ = 0; }
  void EndRow();

  // The next cell of the row.
  void Null() { Next(client::CellKind::kNull); }
  void Integer(int64_t value) {
    if (Column* column = Next(client::CellKind::kInteger)) {
      column->cells.mutable_integers()->Add(value);
    }
  }
  // `written`: the number's text.
  void Real(double value, std::string_view written) {
    if (Column* column = Next(client::CellKind::kReal)) {
      column->cells.mutable_reals()->Add(value);
      if (!(value > -kTooLarge && value < kTooLarge)) KeepLarge(written, column);
    }
  }
  // Valid UTF-8.
  void Text(std::string_view text) {
    if (Column* column = Next(client::CellKind::kText)) {
      column->cells.mutable_texts()->Add()->assign(text.data(), text.size());
    }
  }
  // A text that comes in pieces: the string to which they are to be appended until the next
  // call of any function; null: they are not wanted.
  std::string* LongText() {
    Column* column = Next(client::CellKind::kText);
    return column == nullptr ? nullptr : column->cells.mutable_texts()->Add();
  }
  // What is no cell: "an array".
  void NoCell(std::string_view what);
  // Where a row should be.
  void NoRow();

  // What the cells so far take in memory, about, without the bytes of their texts.
  size_t held_bytes() const;

  // Gives `table`, which has the columns with names and types, the cells. INVALID_ARGUMENT
  // names the row, and the column if it is a cell that is wrong, both from 1;
  // RESOURCE_EXHAUSTED the limit passed. Once.
  absl::Status Finish(v1::Table* table);

 private:
  // The smallest number that is too large for an integer of 64 bits.
  static constexpr double kTooLarge = 9223372036854775808.0;

  struct Column {
    v1::Column cells;
    // Of every cell so far, unless `mixed`: then cells.kinds has them.
    client::CellKind kind = client::CellKind::kNull;
    bool mixed = false;
    // The first number that does not fit into 64 bits, and its row; -1: none.
    int64_t large_row = -1;
    std::string large;
  };

  // Where the next cell, which is of this kind, belongs; null: it is not stored.
  Column* Next(client::CellKind kind) {
    if (cell_ >= columns_.size() && !AddColumn()) {
      ++cell_;
      return nullptr;
    }
    Column* column = &columns_[cell_++];
    if (column->kind != kind || column->mixed) AddKind(kind, column);
    return column;
  }

  // Only the first row has columns to add.
  bool AddColumn();
  void AddKind(client::CellKind kind, Column* column);
  void KeepLarge(std::string_view written, Column* column);
  void Fail(absl::Status status);

  TableLimits limits_;
  std::vector<Column> columns_;
  int64_t rows_ = 0;  // that are whole
  size_t cell_ = 0;   // of the row
  // Cells of the first row; and, if there is one, of the first row that has another number.
  size_t width_ = 0;
  int64_t ragged_row_ = -1;
  size_t ragged_width_ = 0;
  absl::Status status_;
  bool failed_ = false;
};

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_JSON_COLUMNS_H_
