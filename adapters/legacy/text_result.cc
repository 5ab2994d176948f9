// The original's text: right-justified columns.

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "adapters/legacy/errors.h"
#include "adapters/legacy/row_writer.h"
#include "clients/cpp/display_text.h"
#include "clients/cpp/real_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::legacy {
namespace {

using client::Cell;
using client::CellKind;

// What blanks may make of the text: so many bytes, or times its size when that is more.
constexpr uint64_t kMostPaddedBytes = 16 << 20;
constexpr uint64_t kMostPadding = 16;

class TextResult final : public RowWriter {
 public:
  explicit TextResult(std::string_view sql) : sql_(sql) {}

 private:
  // What is shown of a cell; the view lasts until the next one.
  struct Shown {
    std::string_view text;
    size_t width = 0;
  };

  void Begin(const v1::QueryHeader& header, Block*) override {
    for (const v1::ColumnInfo& column : header.columns()) {
      client::DisplayText shown = client::Displayed(column.name());
      widths_.push_back(shown.width);
      header_.push_back(std::move(shown));
    }
  }

  void Rows(Columns& columns, uint64_t rows, Block* block) override {
    if (columns.size() != widths_.size()) return;
    if (sized_) Narrow(rows, 0);
    for (uint64_t row = 0; row < rows; ++row, ++rows_) {
      for (size_t i = 0; i < columns.size(); ++i) {
        const Shown shown = Show(columns[i].Next());
        if (sized_) {
          PutCell(i, shown, block);
          continue;
        }
        widths_[i] = std::max(widths_[i], shown.width);
        waiting_ += shown.text;
        waiting_ += '\0';
      }
      if (sized_) {
        block->Put('\n');
      } else if (++waiting_rows_; waiting_.size() >= kTextBytes) {
        Size(block);
        Narrow(rows - row, 0);
      }
    }
  }

  void End(const v1::QuerySummary&, Block* block) override {
    if (!sized_) Size(block);
    PutInteger(static_cast<int64_t>(rows_), block);
    block->Put(" rows returned\n");
  }

  void EndByError(const absl::Status& status, Block* block) override {
    if (!sized_) Size(block);
    block->Put(client::Displayed(TellQueryError(status, sql_).text_message).text);
    block->Put('\n');
  }

  // The widths are known: what waited is written.
  void Size(Block* block) {
    sized_ = true;
    Narrow(waiting_rows_, waiting_.size());
    for (size_t i = 0; i < header_.size(); ++i) {
      PutCell(i, {header_[i].text, header_[i].width}, block);
    }
    block->Put('\n');
    for (size_t i = 0; i < widths_.size(); ++i) {
      if (i > 0) block->Put("  ");
      block->Put(widths_[i], '=');
    }
    block->Put('\n');
    const char* at = waiting_.data();
    const char* const end = at + waiting_.size();
    while (at != end) {
      for (size_t i = 0; i < widths_.size(); ++i) {
        const std::string_view text(at);  // up to the zero byte
        PutCell(i, {text, client::DisplayWidth(text)}, block);
        at += text.size() + 1;
      }
      block->Put('\n');
    }
    waiting_.clear();
    waiting_.shrink_to_fit();
  }

  // Before so many rows with so much text are written: makes the widest columns narrower when
  // nearly all would be blanks. One long cell among many short ones would fill the memory.
  void Narrow(uint64_t rows, size_t text_bytes) {
    const uint64_t most = std::max<uint64_t>(kMostPaddedBytes, kMostPadding * text_bytes);
    while (true) {
      uint64_t line = 0;
      size_t widest = 0;
      for (const size_t width : widths_) {
        line += width;
        widest = std::max(widest, width);
      }
      if (widest == 0 || line <= most / std::max<uint64_t>(rows, 1)) return;
      for (size_t& width : widths_) width = std::min(width, widest / 2);
    }
  }

  void PutCell(size_t column, const Shown& shown, Block* block) {
    size_t blanks = widths_[column] > shown.width ? widths_[column] - shown.width : 0;
    if (column > 0) blanks += 2;
    block->Put(blanks, ' ');
    block->Put(shown.text);
  }

  Shown Show(const Cell& cell) {
    switch (cell.kind()) {
      case CellKind::kNull:
        break;
      case CellKind::kInteger: {
        const char* const end =
            std::to_chars(number_, number_ + sizeof(number_), cell.integer()).ptr;
        return {{number_, end}, static_cast<size_t>(end - number_)};
      }
      case CellKind::kReal: {
        const char* const end = client::PutRealText(cell.real(), number_);
        return {{number_, end}, static_cast<size_t>(end - number_)};
      }
      case CellKind::kText:
        return ShowText(cell.text());
      case CellKind::kBlob:
        if (client::IsUtf8(cell.blob())) return ShowText(cell.blob());
        shown_ = {HexText(cell.blob()), 3 + 2 * cell.blob().size()};
        return {shown_.text, shown_.width};
    }
    return {};
  }

  Shown ShowText(std::string_view text) {
    if (client::IsPlainAscii(text)) return {text, text.size()};
    shown_ = client::Displayed(text);
    return {shown_.text, shown_.width};
  }

  const std::string sql_;
  std::vector<client::DisplayText> header_;
  std::vector<size_t> widths_;
  bool sized_ = false;
  // Until the widths are known: the cells as they are shown, a zero byte behind each, which
  // none of them has inside.
  std::string waiting_;
  uint64_t waiting_rows_ = 0;
  uint64_t rows_ = 0;
  client::DisplayText shown_;
  char number_[client::kMostRealText];
};

}  // namespace

std::unique_ptr<ResultWriter> MakeTextResult(std::string_view sql) {
  return std::make_unique<TextResult>(sql);
}

}  // namespace qasino::legacy
