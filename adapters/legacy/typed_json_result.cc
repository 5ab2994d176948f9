// Rows as JSON with types: a line each, or the table list.

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "adapters/legacy/json_text.h"
#include "adapters/legacy/row_writer.h"
#include "clients/tables/shown.h"

namespace qasino::legacy {
namespace {

using client::Cell;
using client::CellKind;

// With as many digits as the value needs to be read as the same.
void PutNumber(double value, Block* block) {
  if (!std::isfinite(value)) {
    // JSON has no infinity; this is what overflows to it, as SQLite writes it.
    block->Put(std::isnan(value) ? "null" : (value > 0 ? "9.0e+999" : "-9.0e+999"));
    return;
  }
  // Whole ones stay real numbers for those who tell them from integers.
  if (std::abs(value) < 1e15 && value == std::trunc(value)) {
    PutInteger(static_cast<int64_t>(value), block);
    block->Put(".0");
    return;
  }
  constexpr size_t kMost = 32;
  char* const to = block->Room(kMost);
  block->Use(std::to_chars(to, to + kMost, value).ptr);
}

void PutCell(const Cell& cell, Block* block) {
  switch (cell.kind()) {
    case CellKind::kNull:
      block->Put("null");
      return;
    case CellKind::kInteger:
      PutInteger(cell.integer(), block);
      return;
    case CellKind::kReal:
      PutNumber(cell.real(), block);
      return;
    case CellKind::kText:
      PutJsonString(cell.text(), block);
      return;
    case CellKind::kBlob:
      block->Put('"');
      PutHex(cell.blob(), block);
      block->Put('"');
      return;
  }
}

// What every row repeats of a column's name. That of an expression may be as long as a
// statement.
constexpr size_t kMostNameBytes = 256;

// The columns' names; one that came before gets :1, :2, … behind it, the first that none has.
std::vector<std::string> UniqueNames(const v1::QueryHeader& header) {
  std::vector<std::string> names;
  for (const v1::ColumnInfo& column : header.columns()) {
    names.push_back(publish::Excerpt(column.name(), kMostNameBytes));
  }
  std::set<std::string> taken(names.begin(), names.end());
  std::map<std::string, int> repeated;
  std::set<std::string> used;
  for (std::string& name : names) {
    if (used.contains(name)) {
      const std::string same = name;
      int& number = repeated[same];
      do {
        name = same + ":" + std::to_string(++number);
      } while (taken.contains(name));
      taken.insert(name);
    }
    used.insert(name);
  }
  return names;
}

class NdjsonResult final : public RowWriter {
  void Begin(const v1::QueryHeader& header, Block*) override {
    for (const std::string& name : UniqueNames(header)) {
      std::string& key = keys_.emplace_back(keys_.empty() ? "{" : ",");
      AppendJsonString(name, &key);
      key += ':';
    }
  }

  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    if (columns.size() != keys_.size()) return;
    for (uint64_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < columns.size(); ++i) {
        block->Put(keys_[i]);
        PutCell(columns[i].Next(), block);
      }
      block->Put("}\n");
    }
  }

  void End(const v1::QuerySummary&, Block*) override {}

  void EndByError(const absl::Status& status, Block* block) override {
    block->Put(R"({"error":{"code":)");
    PutJsonString(CodeName(status), block);
    block->Put(R"(,"message":)");
    PutJsonString({status.message().data(), status.message().size()}, block);
    block->Put("}}\n");
  }

  std::vector<std::string> keys_;  // with what stands before and behind them
};

class TableListResult final : public RowWriter {
  void Begin(const v1::QueryHeader&, Block* block) override { block->Put('{'); }

  // The columns of kTableListSql.
  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    constexpr std::array<std::string_view, 4> kKeys = {"", R"(:{"updates":)", R"(,"nr_rows":)",
                                                       R"(,"last_update_epoch":)"};
    if (columns.size() != kKeys.size()) return;
    for (uint64_t row = 0; row < rows; ++row) {
      if (!first_) block->Put(',');
      first_ = false;
      PutJsonString(columns[0].Next().text(), block);
      for (size_t i = 1; i < columns.size(); ++i) {
        block->Put(kKeys[i]);
        PutCell(columns[i].Next(), block);
      }
      block->Put('}');
    }
  }

  void End(const v1::QuerySummary&, Block* block) override { block->Put('}'); }

  // What is not closed is not whole.
  void EndByError(const absl::Status&, Block*) override {}

  bool first_ = true;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeNdjsonResult() { return std::make_unique<NdjsonResult>(); }

std::unique_ptr<ResultWriter> MakeTableListResult() { return std::make_unique<TableListResult>(); }

}  // namespace qasino::legacy
