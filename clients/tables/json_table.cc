#include "clients/tables/json_table.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/cells.h"
#include "clients/cpp/table_builder.h"

namespace qasino::publish {
namespace {

namespace json = boost::json;

using client::Absl;
using client::Cell;

constexpr size_t kMaxDepth = 32;
// The smallest number that is too large for an integer.
constexpr double kTooLarge = 9223372036854775808.0;

std::string_view View(const json::string& text) { return {text.data(), text.size()}; }

absl::StatusOr<json::value> ParseJson(std::string_view text) {
  try {
    json::parse_options options;
    options.max_depth = kMaxDepth;
    json::parser parser({}, options);
    json::error_code error;
    size_t read = parser.write_some(text.data(), text.size(), error);
    if (!error && read < text.size()) {
      // Blanks at the end belong to the value; anything else does not.
      error = json::error::extra_data;
    }
    if (!error) return parser.release();
    read = std::min(read, text.size());
    const std::string_view before = text.substr(0, read);
    const size_t line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t column = read - (before.rfind('\n') + 1) + 1;
    return absl::InvalidArgumentError(
        absl::StrCat("line ", line, ", column ", column, ": this is not JSON: ", error.message()));
  } catch (const std::exception& e) {
    return absl::ResourceExhaustedError(absl::StrCat("reading JSON: ", e.what()));
  }
}

absl::StatusOr<const json::array*> Array(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the table has no '", key, "'"));
  }
  const json::array* array = value->if_array();
  if (array == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("the table's '", key, "' is not an array"));
  }
  return array;
}

absl::StatusOr<std::string_view> Text(const json::array& array, size_t at, const char* key) {
  const json::string* text = array[at].if_string();
  if (text == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", key, "', column ", at + 1, ": it is not a string"));
  }
  return View(*text);
}

// The cell, or a word about why it is none.
absl::StatusOr<Cell> Value(const json::value& value, v1::ColumnType type) {
  switch (value.kind()) {
    case json::kind::null:
      return Cell();
    case json::kind::bool_:
      return Cell(static_cast<int64_t>(value.get_bool()));
    case json::kind::int64:
      return Cell(static_cast<int64_t>(value.get_int64()));
    case json::kind::uint64:
      if (type == v1::REAL) return Cell(static_cast<double>(value.get_uint64()));
      return absl::InvalidArgumentError(
          absl::StrCat(value.get_uint64(), " does not fit into 64 bits"));
    case json::kind::double_: {
      const double real = value.get_double();
      if (type == v1::INTEGER && !(std::abs(real) < kTooLarge)) {
        return absl::InvalidArgumentError(absl::StrCat(real, " does not fit into 64 bits"));
      }
      return Cell(real);
    }
    case json::kind::string: {
      const std::string_view text = View(value.get_string());
      return type == v1::BLOB ? Cell::Blob(text) : Cell::Text(text);
    }
    case json::kind::array:
      return absl::InvalidArgumentError("an array is not a cell");
    case json::kind::object:
      return absl::InvalidArgumentError("an object is not a cell");
  }
  return absl::InternalError("a JSON value of unknown kind");
}

absl::StatusOr<v1::Table> ToTable(const json::value& value, const TableLimits& limits) {
  const json::object* object = value.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("the JSON is not an object");

  const json::value* name = object->if_contains("tablename");
  if (name == nullptr) return absl::InvalidArgumentError("the table has no 'tablename'");
  if (!name->is_string()) {
    return absl::InvalidArgumentError("the table's 'tablename' is not a string");
  }
  const absl::StatusOr<const json::array*> names = Array(*object, "column_names");
  if (!names.ok()) return names.status();
  const absl::StatusOr<const json::array*> types = Array(*object, "column_types");
  if (!types.ok()) return types.status();
  const absl::StatusOr<const json::array*> rows = Array(*object, "rows");
  if (!rows.ok()) return rows.status();

  const size_t columns = (*names)->size();
  if (columns == 0) return absl::InvalidArgumentError("the table has no columns");
  if (columns > limits.max_columns) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the table has more than ", limits.max_columns, " columns"));
  }
  if ((*types)->size() != columns) {
    return absl::InvalidArgumentError(
        absl::StrCat((*types)->size(), " 'column_types' for ", columns, " 'column_names'"));
  }
  if ((*rows)->size() > static_cast<size_t>(limits.max_cells) / columns) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the table has more than ", limits.max_cells, " cells"));
  }

  client::TableBuilder builder(View(name->get_string()));
  std::vector<v1::ColumnType> column_types;
  for (size_t i = 0; i < columns; ++i) {
    const absl::StatusOr<std::string_view> column = Text(**names, i, "column_names");
    if (!column.ok()) return column.status();
    const absl::StatusOr<std::string_view> word = Text(**types, i, "column_types");
    if (!word.ok()) return word.status();
    const absl::StatusOr<v1::ColumnType> type = client::ParseColumnType(*word);
    if (!type.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'column_types', column ", i + 1, ": ", type.status().message()));
    }
    column_types.push_back(*type);
    if (absl::Status status = builder.AddColumn(*column, *type); !status.ok()) return status;
  }

  std::vector<Cell> cells(columns);
  for (size_t r = 0; r < (*rows)->size(); ++r) {
    const json::array* row = (**rows)[r].if_array();
    if (row == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("row ", r + 1, " is not an array"));
    }
    if (row->size() != columns) {
      return absl::InvalidArgumentError(
          absl::StrCat("row ", r + 1, ": ", row->size(), " cells for ", columns, " columns"));
    }
    for (size_t i = 0; i < columns; ++i) {
      const absl::StatusOr<Cell> cell = Value((*row)[i], column_types[i]);
      if (!cell.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("row ", r + 1, ", column ", i + 1, ": ", cell.status().message()));
      }
      cells[i] = *cell;
    }
    if (absl::Status status = builder.AddRow(cells); !status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("row ", r + 1, ": ", status.message()));
    }
  }
  return builder.Build();
}

}  // namespace

absl::StatusOr<v1::Table> ParseJsonTable(std::string_view text, const TableLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the table is longer than ", limits.max_bytes, " bytes"));
  }
  const absl::StatusOr<json::value> value = ParseJson(text);
  if (!value.ok()) return value.status();
  return ToTable(*value, limits);
}

}  // namespace qasino::publish
