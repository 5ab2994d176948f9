#include "adapters/legacy/csv_message.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "adapters/legacy/names.h"
#include "clients/tables/csv_table.h"
#include "clients/tables/is_name.h"
#include "clients/tables/shown.h"

namespace qasino::legacy {
namespace {

using publish::CsvFault;
using publish::Excerpt;

// Of what is quoted from the text.
constexpr size_t kMostBytes = 200;

// The line of that number, from 1, without its end.
std::string_view Line(std::string_view text, int64_t number) {
  for (; number > 1; --number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// What is wrong, in the original's words.
std::string Told(const CsvFault& fault, std::string_view text) {
  const std::string found = Excerpt(fault.found, kMostBytes);
  const std::string on_line = absl::StrCat("on line ", fault.line);
  switch (fault.kind) {
    case CsvFault::Kind::kBadColumnType:
      return absl::StrCat("Unsupported type in type list ''", found, "'' or parse error");
    case CsvFault::Kind::kTooFewCells:
      return absl::StrCat("Wrong number of rows ", on_line, ": '",
                          Excerpt(Line(text, fault.line), kMostBytes), "'");
    case CsvFault::Kind::kTooManyCells:
      return absl::StrCat("Could not find type for column ", fault.column, " ", on_line, "!");
    case CsvFault::Kind::kNotAnInteger:
      return absl::StrCat("Parse error ", on_line, ": invalid literal for int() with base 10: '",
                          found, "'");
    case CsvFault::Kind::kNotANumber:
      return absl::StrCat("Parse error ", on_line, ": could not convert string to float: ", found);
    case CsvFault::Kind::kOther:
      break;
  }
  const std::string column = fault.column > 0 ? absl::StrCat(", column ", fault.column) : "";
  return absl::StrCat("Parse error ", on_line, column, ": ", fault.message);
}

}  // namespace

absl::StatusOr<v1::PublishRequest> ParseCsvMessage(std::string_view text,
                                                   const MessageLimits& limits) {
  CsvFault fault;
  absl::StatusOr<v1::PublishRequest> request =
      publish::ParseCsvTable(text,
                             {.max_bytes = limits.max_bytes,
                              .max_columns = limits.max_columns,
                              .max_cells = limits.max_cells},
                             &fault);
  if (absl::IsInvalidArgument(request.status())) {
    return absl::InvalidArgumentError(Told(fault, text));
  }
  if (!request.ok()) return request;
  if (!publish::IsName(request->table().name())) return InvalidTableName(request->table().name());
  for (const v1::Column& column : request->table().columns()) {
    if (!publish::IsName(column.name())) return InvalidColumnName(column.name());
  }
  return request;
}

}  // namespace qasino::legacy
