#include "clients/tables/json_columns.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"
#include "clients/tables/shown.h"

namespace qasino::publish {
namespace {

using client::Absl;
using client::CellKind;

absl::Status Ragged(int64_t row, size_t cells, size_t columns) {
  return absl::InvalidArgumentError(
      absl::StrCat("row ", row + 1, ": ", cells, " cells for ", columns, " columns"));
}

// The column has the cells as they were written; for a BLOB column texts are bytes.
void TextsToBlobs(v1::Column* cells) {
  cells->mutable_blobs()->Swap(cells->mutable_texts());
  std::replace(cells->mutable_kinds()->begin(), cells->mutable_kinds()->end(),
               static_cast<char>(CellKind::kText), static_cast<char>(CellKind::kBlob));
}

}  // namespace

void JsonColumns::EndRow() {
  if (failed_) return;
  if (rows_ == 0) {
    width_ = cell_;
  } else if (cell_ != width_) {
    ragged_row_ = rows_;
    ragged_width_ = cell_;
    // Finish knows how many there should have been.
    return Fail(absl::OkStatus());
  }
  ++rows_;
  if (width_ > 0 && rows_ > limits_.max_cells / static_cast<int64_t>(width_)) {
    Fail(absl::ResourceExhaustedError(
        absl::StrCat("the table has more than ", limits_.max_cells, " cells")));
  }
}

void JsonColumns::NoCell(std::string_view what) {
  ++cell_;
  if (failed_) return;
  Fail(absl::InvalidArgumentError(
      absl::StrCat("row ", rows_ + 1, ", column ", cell_, ": ", Absl(what), " is not a cell")));
}

void JsonColumns::NoRow() {
  if (failed_) return;
  Fail(absl::InvalidArgumentError(absl::StrCat("row ", rows_ + 1, " is not an array")));
}

bool JsonColumns::AddColumn() {
  if (failed_ || rows_ > 0) return false;
  if (columns_.size() >= limits_.max_columns) {
    Fail(absl::ResourceExhaustedError(
        absl::StrCat("the table has more than ", limits_.max_columns, " columns")));
    return false;
  }
  columns_.emplace_back();
  return true;
}

void JsonColumns::AddKind(CellKind kind, Column* column) {
  if (rows_ == 0) {
    column->kind = kind;
    return;
  }
  std::string* kinds = column->cells.mutable_kinds();
  if (!column->mixed) {
    kinds->assign(rows_, static_cast<char>(column->kind));
    column->mixed = true;
  }
  kinds->push_back(static_cast<char>(kind));
}

void JsonColumns::KeepLarge(std::string_view written, Column* column) {
  if (column->large_row >= 0) return;
  column->large_row = rows_;
  column->large = Excerpt(written, 40);
}

void JsonColumns::Fail(absl::Status status) {
  failed_ = true;
  status_ = std::move(status);
  columns_ = {};
}

size_t JsonColumns::held_bytes() const {
  // A text is a string and a pointer to it.
  constexpr size_t kText = sizeof(std::string) + sizeof(std::string*);
  size_t bytes = 0;
  for (const Column& column : columns_) {
    const v1::Column& cells = column.cells;
    bytes += sizeof(Column) + sizeof(int64_t) * cells.integers_size() +
             sizeof(double) * cells.reals_size() + kText * cells.texts_size() +
             cells.kinds().size();
  }
  return bytes;
}

absl::Status JsonColumns::Finish(v1::Table* table) {
  const auto columns = static_cast<size_t>(table->columns_size());
  if (rows_ > 0 && width_ != columns) return Ragged(0, width_, columns);
  if (ragged_row_ >= 0) return Ragged(ragged_row_, ragged_width_, columns);
  if (failed_) return status_;
  if (rows_ == 0) return absl::OkStatus();

  const Column* large = nullptr;
  for (size_t i = 0; i < columns; ++i) {
    const Column& column = columns_[i];
    if (table->columns(static_cast<int>(i)).type() != v1::INTEGER || column.large_row < 0) continue;
    if (large == nullptr || column.large_row < large->large_row) large = &column;
  }
  if (large != nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("row ", large->large_row + 1, ", column ",
                                                   large - columns_.data() + 1, ": ", large->large,
                                                   " does not fit into 64 bits"));
  }

  for (size_t i = 0; i < columns; ++i) {
    Column& column = columns_[i];
    v1::Column* finished = table->mutable_columns(static_cast<int>(i));
    const v1::ColumnType type = finished->type();
    column.cells.mutable_name()->swap(*finished->mutable_name());
    column.cells.set_type(type);
    if (type == v1::BLOB) {
      TextsToBlobs(&column.cells);
      if (column.kind == CellKind::kText) column.kind = CellKind::kBlob;
    }
    if (!column.mixed && static_cast<int>(column.kind) != static_cast<int>(type)) {
      column.cells.mutable_kinds()->assign(rows_, static_cast<char>(column.kind));
    }
    finished->Swap(&column.cells);
  }
  return absl::OkStatus();
}

}  // namespace qasino::publish
