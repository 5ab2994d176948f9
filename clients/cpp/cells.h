#ifndef QASINO_CLIENTS_CPP_CELLS_H_
#define QASINO_CLIENTS_CPP_CELLS_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "qasino/v1/table.pb.h"

namespace qasino::client {

// What a cell holds. The numbers are those of Column.kinds.
enum class CellKind : uint8_t { kNull = 0, kInteger = 1, kReal = 2, kText = 3, kBlob = 4 };

// One value. Text and blobs are views: whoever made the cell says how long they last.
// Small; pass it by value.
class Cell {
 public:
  Cell() = default;  // NULL
  // Implicit, so that a row can be written {"web1", 42, 0.5, nullptr}.
  Cell(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  template <std::integral T>
  requires(!std::same_as<T, bool> && (sizeof(T) < 8 || std::signed_integral<T>))
      Cell(T value)  // NOLINT(google-explicit-constructor)
      : kind_(CellKind::kInteger), integer_(value) {}
  Cell(double value)  // NOLINT(google-explicit-constructor)
      : kind_(CellKind::kReal), real_(value) {}
  template <std::convertible_to<std::string_view> T>
  requires(!std::same_as<T, std::nullptr_t>)
      Cell(const T& value)  // NOLINT(google-explicit-constructor)
      : Cell(CellKind::kText, std::string_view(value)) {}
  static Cell Text(std::string_view value) { return Cell(CellKind::kText, value); }
  static Cell Blob(std::string_view bytes) { return Cell(CellKind::kBlob, bytes); }

  CellKind kind() const { return kind_; }
  bool is_null() const { return kind_ == CellKind::kNull; }

  // Each gives the value of its own kind; of another kind, zero or empty.
  int64_t integer() const { return kind_ == CellKind::kInteger ? integer_ : 0; }
  double real() const { return kind_ == CellKind::kReal ? real_ : 0; }
  std::string_view text() const { return kind_ == CellKind::kText ? bytes() : ""; }
  std::string_view blob() const { return kind_ == CellKind::kBlob ? bytes() : ""; }

 private:
  Cell(CellKind kind, std::string_view bytes)
      : kind_(kind), size_(bytes.size()), data_(bytes.data()) {}
  std::string_view bytes() const { return std::string_view(data_, size_); }

  CellKind kind_ = CellKind::kNull;
  size_t size_ = 0;
  union {
    int64_t integer_ = 0;
    double real_;
    const char* data_;
  };
};

// Reads the cells of a column from first to last. The column outlives it and is not
// changed meanwhile; cells point into it. Not thread-safe.
class ColumnReader {
 public:
  // Checks the whole column: `kinds` and the arrays make exactly `rows` cells. The error
  // is INVALID_ARGUMENT and says what does not add up, without naming the column.
  static absl::StatusOr<ColumnReader> Create(const v1::Column& column, uint64_t rows);

  // The next cell. Past the last one it is NULL for ever.
  Cell Next();

 private:
  ColumnReader(const v1::Column& column, uint64_t rows) : column_(&column), rows_(rows) {}

  const v1::Column* column_;
  uint64_t rows_;
  uint64_t row_ = 0;
  int integers_ = 0;
  int reals_ = 0;
  int texts_ = 0;
  int blobs_ = 0;
};

// Inline, for programs that read millions of cells.
inline Cell ColumnReader::Next() {
  if (row_ >= rows_) return Cell();
  const int kind = column_->kinds().empty() ? static_cast<int>(column_->type())
                                            : static_cast<int>(column_->kinds()[row_]);
  ++row_;
  switch (static_cast<CellKind>(kind)) {
    case CellKind::kInteger:
      return Cell(static_cast<int64_t>(column_->integers(integers_++)));
    case CellKind::kReal:
      return Cell(column_->reals(reals_++));
    case CellKind::kText:
      return Cell::Text(column_->texts(texts_++));
    case CellKind::kBlob:
      return Cell::Blob(column_->blobs(blobs_++));
    case CellKind::kNull:
      break;
  }
  return Cell();
}

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_CELLS_H_
