// RFC 4180.

#include <algorithm>

#include "adapters/legacy/eight_bytes.h"
#include "adapters/legacy/row_writer.h"

namespace qasino::legacy {
namespace {

using client::CellKind;

// Blanks at its ends are dropped by some who read it, unless there are quotes.
bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Empty text is told from NULL by its quotes, and a first `#` from the record of an error.
bool NeedsQuotes(std::string_view text) {
  if (text.empty() || IsBlank(text.front()) || IsBlank(text.back()) || text.front() == '#') {
    return true;
  }
  const char* at = text.data();
  const char* const end = at + text.size();
  for (; end - at >= 8; at += 8) {
    const EightBytes bytes(at);
    if ((bytes.Has(',') | bytes.Has('"') | bytes.Has('\n') | bytes.Has('\r')) != 0) return true;
  }
  return std::any_of(at, end,
                     [](char c) { return c == ',' || c == '"' || c == '\n' || c == '\r'; });
}

void PutText(std::string_view text, Block* block) {
  if (!NeedsQuotes(text)) {
    block->Put(text);
    return;
  }
  block->Put('"');
  while (true) {
    const size_t quote = text.find('"');
    block->Put(text.substr(0, quote));
    if (quote == text.npos) break;
    block->Put("\"\"");
    text.remove_prefix(quote + 1);
  }
  block->Put('"');
}

class CsvResult final : public RowWriter {
  void Begin(const v1::QueryHeader& header, Block* block) override {
    bool first = true;
    for (const v1::ColumnInfo& column : header.columns()) {
      if (!first) block->Put(',');
      first = false;
      PutText(column.name(), block);
    }
    block->Put("\r\n");
  }

  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    for (uint64_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < columns.size(); ++i) {
        if (i > 0) block->Put(',');
        const client::Cell cell = columns[i].Next();
        switch (cell.kind()) {
          case CellKind::kNull:
            break;
          case CellKind::kInteger:
            PutInteger(cell.integer(), block);
            break;
          case CellKind::kReal:
            PutReal(cell.real(), block);
            break;
          case CellKind::kText:
            PutText(cell.text(), block);
            break;
          case CellKind::kBlob:
            PutHex(cell.blob(), block);
            break;
        }
      }
      block->Put("\r\n");
    }
  }

  void End(const v1::QuerySummary&, Block*) override {}

  void EndByError(const absl::Status& status, Block* block) override {
    block->Put("#error,");
    PutText(CodeName(status), block);
    block->Put(',');
    PutText({status.message().data(), status.message().size()}, block);
    block->Put("\r\n");
  }
};

}  // namespace

std::unique_ptr<ResultWriter> MakeCsvResult() { return std::make_unique<CsvResult>(); }

}  // namespace qasino::legacy
