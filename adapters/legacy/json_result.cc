// The original's JSON.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "adapters/legacy/json_text.h"
#include "adapters/legacy/row_writer.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/display_text.h"
#include "clients/cpp/real_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::legacy {
namespace {

using client::Cell;
using client::CellKind;

// As query sees it.
bool IsDesc(std::string_view sql) {
  constexpr std::string_view kBlanks = " \t\r\n";
  sql.remove_prefix(std::min(sql.find_first_not_of(kBlanks), sql.size()));
  const std::string_view word = sql.substr(0, sql.find_first_of(" \t\r\n;'\""));
  return absl::EqualsIgnoreCase(client::Absl(word), "desc") ||
         absl::EqualsIgnoreCase(client::Absl(word), "describe");
}

class JsonResult final : public RowWriter {
 public:
  JsonResult(std::string_view identity, std::string_view sql)
      : identity_(identity), has_widths_(!IsDesc(sql)) {}

 private:
  void Begin(const v1::QueryHeader& header, Block* block) override {
    block->Put(R"({"response_op":"result_table","identity":)");
    PutJsonString(identity_, block);
    block->Put(R"(,"table":{"column_names":[)");
    for (const v1::ColumnInfo& column : header.columns()) {
      if (!widths_.empty()) block->Put(',');
      PutJsonString(column.name(), block);
      widths_.push_back(client::DisplayWidth(column.name()));
    }
    block->Put(R"(],"rows":[)");
  }

  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    widths_.resize(columns.size());
    for (uint64_t row = 0; row < rows; ++row) {
      if (!first_) block->Put(',');
      first_ = false;
      block->Put('[');
      for (size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) block->Put(',');
        widths_[i] = std::max(widths_[i], PutCell(columns[i].Next(), block));
      }
      block->Put(']');
    }
  }

  // Returns its width.
  static size_t PutCell(const Cell& cell, Block* block) {
    switch (cell.kind()) {
      case CellKind::kNull:
        block->Put("\"\"");
        return 0;
      case CellKind::kInteger: {
        constexpr size_t kMost = 22;
        char* const to = block->Room(kMost);
        *to = '"';
        char* const end = std::to_chars(to + 1, to + kMost, cell.integer()).ptr;
        *end = '"';
        block->Use(end + 1);
        return end - to - 1;
      }
      case CellKind::kReal: {
        char* const to = block->Room(client::kMostRealText + 2);
        *to = '"';
        char* const end = client::PutRealText(cell.real(), to + 1);
        *end = '"';
        block->Use(end + 1);
        return end - to - 1;
      }
      case CellKind::kText:
        return PutText(cell.text(), block);
      case CellKind::kBlob:
        if (client::IsUtf8(cell.blob())) return PutText(cell.blob(), block);
        block->Put('"');
        const size_t size = PutHex(cell.blob(), block);
        block->Put('"');
        return size;
    }
    return 0;
  }

  static size_t PutText(std::string_view text, Block* block) {
    return PutJsonString(text, block) ? text.size() : client::DisplayWidth(text);
  }

  void End(const v1::QuerySummary&, Block* block) override {
    block->Put("]}");
    if (has_widths_) {
      block->Put(R"(,"max_widths":{)");
      for (size_t i = 0; i < widths_.size(); ++i) {
        block->Put(i > 0 ? ",\"" : "\"");
        PutInteger(static_cast<int64_t>(i), block);
        block->Put("\":");
        PutInteger(static_cast<int64_t>(widths_[i]), block);
      }
      block->Put('}');
    }
    block->Put('}');
  }

  // What is not closed is not whole.
  void EndByError(const absl::Status&, Block*) override {}

  const std::string identity_;
  const bool has_widths_;
  std::vector<size_t> widths_;
  bool first_ = true;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeJsonResult(std::string_view identity, std::string_view sql) {
  return std::make_unique<JsonResult>(identity, sql);
}

}  // namespace qasino::legacy
