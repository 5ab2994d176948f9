#include "clients/cpp/table_builder.h"

#include <array>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::client {
namespace {

constexpr std::pair<std::string_view, v1::ColumnType> kTypeWords[] = {
    {"integer", v1::INTEGER}, {"int", v1::INTEGER}, {"ll", v1::INTEGER}, {"time", v1::INTEGER},
    {"bigint", v1::INTEGER},  {"real", v1::REAL},   {"float", v1::REAL}, {"double", v1::REAL},
    {"text", v1::TEXT},       {"string", v1::TEXT}, {"str", v1::TEXT},   {"ip", v1::TEXT},
    {"varchar", v1::TEXT},    {"blob", v1::BLOB},
};

void Append(const Cell& cell, v1::Column* column) {
  switch (cell.kind()) {
    case CellKind::kNull:
      break;
    case CellKind::kInteger:
      column->add_integers(cell.integer());
      break;
    case CellKind::kReal:
      column->add_reals(cell.real());
      break;
    case CellKind::kText:
      column->add_texts(cell.text().data(), cell.text().size());
      break;
    case CellKind::kBlob:
      column->add_blobs(cell.blob().data(), cell.blob().size());
      break;
  }
}

}  // namespace

absl::StatusOr<v1::ColumnType> ParseColumnType(std::string_view word) {
  const std::string lower = absl::AsciiStrToLower(Absl(word));
  for (const auto& [name, type] : kTypeWords) {
    if (lower == name) return type;
  }
  constexpr size_t kMaxShown = 40;
  return absl::InvalidArgumentError(absl::StrCat(
      "'", Absl(word.substr(0, kMaxShown)), word.size() > kMaxShown ? "…" : "",
      "' is not a column type; the types are integer (int, ll, time, bigint), real (float, "
      "double), text (string, str, ip, varchar) and blob"));
}

TableBuilder::TableBuilder(std::string_view name) { table_.set_name(name.data(), name.size()); }

absl::Status TableBuilder::AddColumn(std::string_view name, v1::ColumnType type) {
  if (rows_ > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("column '", Absl(name), "' comes after the first row"));
  }
  if (type < v1::INTEGER || type > v1::BLOB) {
    return absl::InvalidArgumentError(absl::StrCat("column '", Absl(name), "' has no type"));
  }
  v1::Column* column = table_.add_columns();
  column->set_name(name.data(), name.size());
  column->set_type(type);
  return absl::OkStatus();
}

absl::Status TableBuilder::AddRow(absl::Span<const Cell> cells) {
  if (cells.size() != static_cast<size_t>(table_.columns_size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("a row of ", cells.size(), " cells for ", table_.columns_size(), " columns"));
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].kind() == CellKind::kText && !IsUtf8(cells[i].text())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "column '", table_.columns(static_cast<int>(i)).name(), "': the text is not UTF-8"));
    }
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    v1::Column* column = table_.mutable_columns(static_cast<int>(i));
    const int kind = static_cast<int>(cells[i].kind());
    if (column->kinds().empty() && kind != static_cast<int>(column->type())) {
      // The first cell that is not of the column's type: until now all were.
      column->mutable_kinds()->assign(rows_, static_cast<char>(column->type()));
      column->mutable_kinds()->push_back(static_cast<char>(kind));
    } else if (!column->kinds().empty()) {
      column->mutable_kinds()->push_back(static_cast<char>(kind));
    }
    Append(cells[i], column);
  }
  ++rows_;
  return absl::OkStatus();
}

absl::Status TableBuilder::AddRow(std::initializer_list<Cell> cells) {
  return AddRow(absl::MakeConstSpan(cells.begin(), cells.size()));
}

v1::Table TableBuilder::Build() {
  rows_ = 0;
  return std::exchange(table_, v1::Table());
}

}  // namespace qasino::client
