#include "clients/sql/result_printer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <set>
#include <string_view>
#include <utility>

#include "clients/cpp/display_text.h"
#include "clients/cpp/real_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::sql {
namespace {

using client::BlobText;
using client::Cell;
using client::CellKind;
using client::Displayed;
using client::DisplayedCell;
using client::DisplayText;
using client::RealText;

bool IsNumber(const Cell& cell) {
  return cell.kind() == CellKind::kInteger || cell.kind() == CellKind::kReal;
}

class TablePrinter final : public ResultPrinter {
 public:
  explicit TablePrinter(std::ostream* out) : out_(*out) {}

  void Begin(const std::vector<std::string>& columns) override {
    for (const std::string& name : columns) {
      header_.push_back(Displayed(name));
      widths_.push_back(header_.back().width);
    }
  }

  void Row(const std::vector<Cell>& cells) override {
    ++rows_;
    if (sized_) {
      Put(cells);
      return;
    }
    std::vector<Shown>& row = waiting_.emplace_back();
    row.reserve(cells.size());
    for (size_t i = 0; i < cells.size(); ++i) {
      const Shown& shown = row.emplace_back(DisplayedCell(cells[i]), IsNumber(cells[i]));
      widths_[i] = std::max(widths_[i], shown.first.width);
      waiting_bytes_ += shown.first.text.size() + sizeof(Shown);
    }
    if (waiting_.size() >= kSampleRows || waiting_bytes_ >= kSampleBytes) Size();
  }

  void End() override {
    if (!sized_) Size();
    out_ << '(' << rows_ << (rows_ == 1 ? " row)\n" : " rows)\n");
  }

 private:
  using Shown = std::pair<DisplayText, bool>;  // and whether it is a number

  static constexpr size_t kSampleRows = 1000;
  static constexpr size_t kSampleBytes = 4 << 20;

  void Size() {
    sized_ = true;
    line_.clear();
    for (size_t i = 0; i < header_.size(); ++i) {
      if (i > 0) line_ += '|';
      const size_t blanks = widths_[i] - header_[i].width;
      line_.append(1 + blanks / 2, ' ');
      line_ += header_[i].text;
      line_.append(1 + blanks - blanks / 2, ' ');
    }
    PutLine();
    for (size_t i = 0; i < widths_.size(); ++i) {
      if (i > 0) line_ += '+';
      line_.append(widths_[i] + 2, '-');
    }
    PutLine();
    for (const std::vector<Shown>& row : waiting_) {
      for (size_t i = 0; i < row.size(); ++i) PutCell(i, row[i].first, row[i].second);
      PutLine();
    }
    waiting_.clear();
    waiting_.shrink_to_fit();
  }

  void Put(const std::vector<Cell>& cells) {
    for (size_t i = 0; i < cells.size(); ++i)
      PutCell(i, DisplayedCell(cells[i]), IsNumber(cells[i]));
    PutLine();
  }

  void PutCell(size_t column, const DisplayText& shown, bool right) {
    if (column > 0) line_ += '|';
    line_ += ' ';
    const size_t blanks = widths_[column] > shown.width ? widths_[column] - shown.width : 0;
    if (right) line_.append(blanks, ' ');
    line_ += shown.text;
    if (!right) line_.append(blanks, ' ');
    line_ += ' ';
  }

  void PutLine() {
    line_.erase(line_.find_last_not_of(' ') + 1);
    line_ += '\n';
    out_.write(line_.data(), static_cast<std::streamsize>(line_.size()));
    line_.clear();
  }

  std::ostream& out_;
  std::vector<DisplayText> header_;
  std::vector<size_t> widths_;
  bool sized_ = false;
  std::vector<std::vector<Shown>> waiting_;  // until the widths are known
  size_t waiting_bytes_ = 0;
  uint64_t rows_ = 0;
  std::string line_;
};

class CsvPrinter final : public ResultPrinter {
 public:
  CsvPrinter(bool to_terminal, std::ostream* out) : to_terminal_(to_terminal), out_(*out) {}

  void Begin(const std::vector<std::string>& columns) override {
    for (const std::string& name : columns) PutText(name);
    PutLine();
  }

  void Row(const std::vector<Cell>& cells) override {
    for (const Cell& cell : cells) {
      switch (cell.kind()) {
        case CellKind::kNull:
          Separate();
          break;
        case CellKind::kInteger:
          PutText(std::to_string(cell.integer()));
          break;
        case CellKind::kReal:
          PutText(RealText(cell.real()));
          break;
        case CellKind::kText:
          PutText(cell.text());
          break;
        case CellKind::kBlob:
          PutText(BlobText(cell.blob()));
          break;
      }
    }
    PutLine();
  }

  void End() override {}

 private:
  void Separate() {
    if (!first_) line_ += ',';
    first_ = false;
  }

  void PutText(std::string_view text) {
    Separate();
    std::string shown;
    if (to_terminal_) {
      shown = Displayed(text).text;
      text = shown;
    }
    const bool quoted = text.empty() || text.find_first_of(",\"\r\n") != std::string_view::npos ||
                        text.front() == ' ' || text.back() == ' ';
    if (!quoted) {
      line_ += text;
      return;
    }
    line_ += '"';
    for (const char c : text) {
      if (c == '"') line_ += '"';
      line_ += c;
    }
    line_ += '"';
  }

  void PutLine() {
    line_ += '\n';
    out_.write(line_.data(), static_cast<std::streamsize>(line_.size()));
    line_.clear();
    first_ = true;
  }

  const bool to_terminal_;
  std::ostream& out_;
  std::string line_;
  bool first_ = true;
};

class JsonPrinter final : public ResultPrinter {
 public:
  explicit JsonPrinter(std::ostream* out) : out_(*out) {}

  void Begin(const std::vector<std::string>& columns) override {
    std::set<std::string> taken(columns.begin(), columns.end());
    std::set<std::string> used;
    for (const std::string& column : columns) {
      std::string name = column;
      for (int n = 1; used.contains(name) || (n > 1 && taken.contains(name)); ++n) {
        name = column + ":" + std::to_string(n);
      }
      used.insert(name);
      std::string key;
      AppendString(name, &key);
      keys_.push_back(key + ":");
    }
  }

  void Row(const std::vector<Cell>& cells) override {
    line_ = "{";
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line_ += ',';
      line_ += keys_[i];
      const Cell& cell = cells[i];
      switch (cell.kind()) {
        case CellKind::kNull:
          line_ += "null";
          break;
        case CellKind::kInteger:
          line_ += std::to_string(cell.integer());
          break;
        case CellKind::kReal:
          AppendReal(cell.real());
          break;
        case CellKind::kText:
          AppendString(cell.text(), &line_);
          break;
        case CellKind::kBlob:
          AppendString(BlobText(cell.blob()), &line_);
          break;
      }
    }
    line_ += "}\n";
    out_.write(line_.data(), static_cast<std::streamsize>(line_.size()));
  }

  void End() override {}

 private:
  void AppendReal(double value) {
    if (!std::isfinite(value)) {
      // JSON has no infinity; this is what overflows to it, as SQLite writes it.
      line_ += std::isnan(value) ? "null" : (value > 0 ? "9.0e+999" : "-9.0e+999");
      return;
    }
    std::array<char, 40> text;
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
    const std::string_view digits(text.data(), end - text.data());
    line_ += digits;
    if (digits.find_first_of(".e") == std::string_view::npos) line_ += ".0";
  }

  // Escapes what JSON demands, and the control characters that it does not.
  static void AppendString(std::string_view text, std::string* out) {
    *out += '"';
    while (!text.empty()) {
      char32_t c = 0;
      size_t length = client::DecodeUtf8(text, &c);
      if (length == 0) {
        length = 1;
        *out += "\\ufffd";
      } else if (c == '"' || c == '\\') {
        *out += '\\';
        *out += static_cast<char>(c);
      } else if (c == '\n') {
        *out += "\\n";
      } else if (c == '\t') {
        *out += "\\t";
      } else if (c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
        char escaped[8];
        std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
        *out += escaped;
      } else {
        *out += text.substr(0, length);
      }
      text.remove_prefix(length);
    }
    *out += '"';
  }

  std::ostream& out_;
  std::vector<std::string> keys_;  // quoted, with their colon
  std::string line_;
};

}  // namespace

std::unique_ptr<ResultPrinter> MakeResultPrinter(Format format, bool to_terminal,
                                                 std::ostream* out) {
  switch (format) {
    case Format::kCsv:
      return std::make_unique<CsvPrinter>(to_terminal, out);
    case Format::kJson:
      return std::make_unique<JsonPrinter>(out);
    case Format::kTable:
      break;
  }
  return std::make_unique<TablePrinter>(out);
}

}  // namespace qasino::sql
