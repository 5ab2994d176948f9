// A page with a table.

#include <string>

#include "adapters/legacy/errors.h"
#include "adapters/legacy/row_writer.h"
#include "clients/cpp/utf8.h"

namespace qasino::legacy {
namespace {

using client::Cell;
using client::CellKind;

constexpr std::string_view kHead =
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Qasino</title>\n"
    "<style>body{font-family:sans-serif}table{border-collapse:collapse}"
    "th,td{border:1px solid #bbb;padding:.2em .5em;text-align:left;white-space:pre-wrap;"
    "unicode-bidi:isolate}.n{text-align:right}.error{color:#a00}</style></head>\n"
    "<body><table>\n<thead><tr>";

// What may drive a page is escaped; control characters, which a page may not have, are
// shown as U+FFFD.
void PutText(std::string_view text, Block* block) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::string_view instead;
    switch (c) {
      case '&':
        instead = "&amp;";
        break;
      case '<':
        instead = "&lt;";
        break;
      case '>':
        instead = "&gt;";
        break;
      case '"':
        instead = "&quot;";
        break;
      case '\'':
        instead = "&#39;";
        break;
      default:
        if ((c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f) instead = kReplacement;
    }
    if (instead.empty()) continue;
    block->Put(text.substr(plain, i - plain));
    block->Put(instead);
    plain = i + 1;
  }
  block->Put(text.substr(plain));
}

class HtmlResult final : public RowWriter {
 public:
  explicit HtmlResult(std::string_view sql) : sql_(sql) {}

 private:
  void Begin(const v1::QueryHeader& header, Block* block) override {
    block->Put(kHead);
    for (const v1::ColumnInfo& column : header.columns()) {
      block->Put("<th>");
      PutText(column.name(), block);
      block->Put("</th>");
    }
    block->Put("</tr></thead>\n<tbody>\n");
  }

  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    rows_ += rows;
    for (uint64_t row = 0; row < rows; ++row) {
      block->Put("<tr>");
      for (client::ColumnReader& column : columns) PutCell(column.Next(), block);
      block->Put("</tr>\n");
    }
  }

  static void PutCell(const Cell& cell, Block* block) {
    const bool is_number = cell.kind() == CellKind::kInteger || cell.kind() == CellKind::kReal;
    block->Put(is_number ? "<td class=\"n\">" : "<td>");
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
        PutText(client::IsUtf8(cell.blob()) ? std::string(cell.blob()) : HexText(cell.blob()),
                block);
        break;
    }
    block->Put("</td>");
  }

  void End(const v1::QuerySummary&, Block* block) override {
    block->Put("</tbody></table>\n<p>");
    PutInteger(static_cast<int64_t>(rows_), block);
    block->Put(" rows returned</p>\n</body></html>\n");
  }

  void EndByError(const absl::Status& status, Block* block) override {
    block->Put("</tbody></table>\n<p class=\"error\">");
    PutText(TellQueryError(status, sql_).text_message, block);
    block->Put("</p>\n</body></html>\n");
  }

  const std::string sql_;
  uint64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<ResultWriter> MakeHtmlResult(std::string_view sql) {
  return std::make_unique<HtmlResult>(sql);
}

}  // namespace qasino::legacy
