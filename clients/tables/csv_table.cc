#include "clients/tables/csv_table.h"

#include <csv.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/cells.h"
#include "clients/cpp/table_builder.h"
#include "clients/cpp/utf8.h"
#include "clients/tables/parse_real.h"
#include "clients/tables/shown.h"

namespace qasino::publish {
namespace {

using client::Absl;
using client::Cell;

// Records before the first row.
enum Record { kOptions, kName, kColumns, kTypes, kDescriptions, kFirstRow };

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool IsOn(std::string_view value) {
  const std::string lower = absl::AsciiStrToLower(Absl(value));
  return !(lower.empty() || lower == "false" || lower == "no" || lower == "0");
}

// The cells of a file, gathered into a table record by record.
class Reader {
 public:
  explicit Reader(const TableLimits& limits) : limits_(limits), builder_("") {}

  bool ok() const { return status_.ok(); }

  void AddCell(std::string_view text) {
    if (!ok()) return;
    if (cells_.size() >= limits_.max_columns) {
      status_ = absl::ResourceExhaustedError(
          absl::StrCat("line ", line_, ": more than ", limits_.max_columns, " cells"));
      return;
    }
    newlines_ += std::count(text.begin(), text.end(), '\n');
    cells_.emplace_back(bytes_.size(), text.size());
    bytes_.append(text);
  }

  // The record that the cells since the last one make; none: a blank line.
  void EndRecord() {
    if (!ok()) return;
    switch (record_) {
      case kOptions:
        ReadOptions();
        break;
      case kName:
        ReadName();
        break;
      case kColumns:
        ReadColumns();
        break;
      case kTypes:
        ReadTypes();
        break;
      case kDescriptions:
        break;
      default:
        ReadRow();
    }
    record_ = std::min<int>(record_ + 1, kFirstRow);
    line_ += 1 + newlines_;
    newlines_ = 0;
    cells_.clear();
    bytes_.clear();
  }

  // After the last byte, when it may be inside a quote. See ParseCsvTable for `fault`.
  absl::StatusOr<v1::PublishRequest> Finish(bool open_quote, CsvFault* fault) {
    if (ok() && open_quote) Fail("a quote is not closed before the end of the file");
    if (ok() && !cells_.empty()) EndRecord();
    if (ok() && record_ <= kTypes) {
      static constexpr const char* kMissing[] = {"options", "table's name", "column names",
                                                 "column types"};
      Fail(absl::StrCat("the file ends before its ", kMissing[record_]));
    }
    if (!ok()) {
      if (fault != nullptr) *fault = std::move(fault_);
      return status_;
    }
    v1::Table table = builder_.Build();
    request_.mutable_table()->mutable_columns()->Swap(table.mutable_columns());
    if (!request_.update()) request_.clear_keycols();
    return std::move(request_);
  }

 private:
  std::string_view cell(size_t at) const {
    return std::string_view(bytes_).substr(cells_[at].first, cells_[at].second);
  }

  // The record is wrong.
  void Fail(const std::string& why, CsvFault::Kind kind = CsvFault::Kind::kOther) {
    status_ = absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", why));
    fault_ = {.kind = kind, .line = line_, .message = why};
  }

  // The cell is wrong, in which `found` was found.
  void Fail(size_t column, const std::string& why, CsvFault::Kind kind = CsvFault::Kind::kOther,
            std::string_view found = {}) {
    const auto number = static_cast<int64_t>(column) + 1;
    status_ =
        absl::InvalidArgumentError(absl::StrCat("line ", line_, ", column ", number, ": ", why));
    fault_ = {kind, line_, number, std::string(found), why};
  }

  // The cells without the empty ones at the end, with which spreadsheets fill up.
  size_t CellsInUse() const {
    size_t count = cells_.size();
    while (count > 0 && cells_[count - 1].second == 0) --count;
    return count;
  }

  void ReadOptions() {
    const std::string_view version = cells_.empty() ? "" : Trim(cell(0));
    if (version.empty() || version.find_first_not_of("0123456789.") != std::string_view::npos) {
      return Fail(0, absl::StrCat(Shown(version), " is not a version number, such as 1"));
    }
    for (size_t i = 1; i < cells_.size(); ++i) {
      if (!client::IsUtf8(cell(i))) return Fail(i, "the text is not UTF-8");
      const std::string_view option = Trim(cell(i));
      const size_t equals = option.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view name = option.substr(0, equals);
      const std::string_view value = option.substr(equals + 1);
      if (name == "identity") {
        request_.set_identity(value.data(), value.size());
      } else if (name == "static") {
        request_.set_static_(IsOn(value));
      } else if (name == "persist") {
        request_.set_persist(IsOn(value));
      } else if (name == "update") {
        request_.set_update(IsOn(value));
      } else if (name == "keycols") {
        request_.clear_keycols();
        for (const absl::string_view column : absl::StrSplit(Absl(value), ';', absl::SkipEmpty())) {
          if (static_cast<size_t>(request_.keycols_size()) >= limits_.max_columns) {
            status_ = absl::ResourceExhaustedError(absl::StrCat(
                "line ", line_, ": 'keycols' has more than ", limits_.max_columns, " names"));
            return;
          }
          request_.add_keycols(std::string(column));
        }
      }
    }
  }

  void ReadName() {
    if (CellsInUse() == 0) return Fail(0, "the table's name is missing");
    if (CellsInUse() > 1) {
      return Fail(1, absl::StrCat(Shown(cell(1)), " stands behind the table's name"));
    }
    const std::string_view name = Trim(cell(0));
    if (!client::IsUtf8(name)) return Fail(0, "the text is not UTF-8");
    request_.mutable_table()->set_name(name.data(), name.size());
  }

  void ReadColumns() {
    if (cells_.empty()) return Fail("the column names are missing");
    for (size_t i = 0; i < cells_.size(); ++i) {
      const std::string_view name = Trim(cell(i));
      if (name.empty()) return Fail(i, "the column's name is missing");
      if (!client::IsUtf8(name)) return Fail(i, "the text is not UTF-8");
      names_.emplace_back(name);
    }
  }

  void ReadTypes() {
    if (cells_.size() != names_.size()) {
      return Fail(absl::StrCat(cells_.size(), " types for ", names_.size(), " columns"));
    }
    for (size_t i = 0; i < cells_.size(); ++i) {
      const absl::StatusOr<v1::ColumnType> type = client::ParseColumnType(Trim(cell(i)));
      if (!type.ok()) {
        const std::string_view word = Trim(cell(i));
        return Fail(i, absl::StrCat(Shown(word), " is ", kNoColumnType),
                    CsvFault::Kind::kBadColumnType, word);
      }
      types_.push_back(*type);
      if (const absl::Status status = builder_.AddColumn(names_[i], *type); !status.ok()) {
        return Fail(i, std::string(status.message()));
      }
    }
  }

  void ReadRow() {
    if (cells_.empty()) {
      return Fail(absl::StrCat("a blank line; the table has ", types_.size(), " columns"),
                  CsvFault::Kind::kTooFewCells);
    }
    if (cells_.size() != types_.size()) {
      Fail(absl::StrCat(cells_.size(), " cells for ", types_.size(), " columns"),
           CsvFault::Kind::kTooFewCells);
      if (cells_.size() > types_.size()) {
        fault_.kind = CsvFault::Kind::kTooManyCells;
        fault_.column = static_cast<int64_t>(types_.size()) + 1;
      }
      return;
    }
    if ((builder_.rows() + 1) * static_cast<int64_t>(types_.size()) > limits_.max_cells) {
      status_ = absl::ResourceExhaustedError(
          absl::StrCat("line ", line_, ": the table has more than ", limits_.max_cells, " cells"));
      return;
    }
    row_.clear();
    for (size_t i = 0; i < types_.size(); ++i) {
      const std::optional<Cell> value = Value(i);
      if (!value) return;
      row_.push_back(*value);
    }
    if (const absl::Status status = builder_.AddRow(row_); !status.ok()) {
      Fail(std::string(status.message()));
    }
  }

  // The cell as its column's type has it; none after Fail.
  std::optional<Cell> Value(size_t column) {
    const std::string_view text = cell(column);
    switch (types_[column]) {
      case v1::INTEGER:
        return Integer(column, Trim(text));
      case v1::REAL:
        return Real(column, Trim(text));
      case v1::BLOB:
        return Cell::Blob(text);
      default:
        if (!client::IsUtf8(text)) {
          Fail(column, "the text is not UTF-8");
          return std::nullopt;
        }
        return Cell::Text(text);
    }
  }

  std::optional<Cell> Integer(size_t column, std::string_view text) {
    if (text.empty()) return Cell();
    std::string_view digits = text;
    if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error == std::errc::result_out_of_range) {
      Fail(column, absl::StrCat(Shown(text), " does not fit into 64 bits"));
      return std::nullopt;
    }
    if (error != std::errc() || end != digits.data() + digits.size()) {
      Fail(column, absl::StrCat(Shown(text), " is not an integer"), CsvFault::Kind::kNotAnInteger,
           text);
      return std::nullopt;
    }
    return Cell(value);
  }

  std::optional<Cell> Real(size_t column, std::string_view text) {
    if (text.empty()) return Cell();
    std::string_view digits = text;
    if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
    double value = 0;
    if (!ParseReal(digits, &value)) {
      Fail(column, absl::StrCat(Shown(text), " is not a number"), CsvFault::Kind::kNotANumber,
           text);
      return std::nullopt;
    }
    return Cell(value);
  }

  const TableLimits limits_;
  absl::Status status_;
  CsvFault fault_;  // when status_ is INVALID_ARGUMENT
  v1::PublishRequest request_;
  client::TableBuilder builder_;
  std::vector<std::string> names_;
  std::vector<v1::ColumnType> types_;

  int record_ = kOptions;
  int64_t line_ = 1;                              // on which the record begins
  int64_t newlines_ = 0;                          // inside the record's cells
  std::string bytes_;                             // of the record's cells
  std::vector<std::pair<size_t, size_t>> cells_;  // where in bytes_, and how long
  std::vector<Cell> row_;
};

extern "C" {

void OnCell(void* bytes, size_t size, void* reader) {
  static_cast<Reader*>(reader)->AddCell({static_cast<const char*>(bytes), size});
}

void OnRecord(int, void* reader) { static_cast<Reader*>(reader)->EndRecord(); }

// libcsv drops "space" around cells: only the CR of a CRLF, as blanks are data.
int IsCarriageReturn(unsigned char c) { return c == CSV_CR; }

int IsLineFeed(unsigned char c) { return c == CSV_LF; }

}  // extern "C"

// Owns what libcsv has allocated.
class Parser {
 public:
  Parser() : usable_(csv_init(&parser_, CSV_REPALL_NL) == 0) {
    if (!usable_) return;
    csv_set_space_func(&parser_, IsCarriageReturn);
    csv_set_term_func(&parser_, IsLineFeed);
    csv_set_blk_size(&parser_, 64 << 10);
  }
  ~Parser() {
    if (usable_) csv_free(&parser_);
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  bool usable() const { return usable_; }
  csv_parser* get() { return &parser_; }

 private:
  csv_parser parser_;
  const bool usable_;
};

}  // namespace

absl::StatusOr<v1::PublishRequest> ParseCsvTable(std::string_view text, const TableLimits& limits,
                                                 CsvFault* fault) {
  if (text.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the table is longer than ", limits.max_bytes, " bytes"));
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

  Reader reader(limits);
  Parser parser;
  if (!parser.usable()) return absl::ResourceExhaustedError("no memory for reading CSV");
  // In pieces, so that an error at the beginning of a long text ends it there.
  constexpr size_t kPiece = 64 << 10;
  while (!text.empty() && reader.ok()) {
    const std::string_view piece = text.substr(0, kPiece);
    if (csv_parse(parser.get(), piece.data(), piece.size(), OnCell, OnRecord, &reader) !=
        piece.size()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("reading CSV: ", csv_strerror(csv_error(parser.get()))));
    }
    text.remove_prefix(piece.size());
  }
  // Only now strict, which is how libcsv tells of a quote that was not closed.
  csv_set_opts(parser.get(), CSV_REPALL_NL | CSV_STRICT | CSV_STRICT_FINI);
  const bool open_quote = csv_fini(parser.get(), OnCell, nullptr, &reader) != 0;
  return reader.Finish(open_quote, fault);
}

}  // namespace qasino::publish
