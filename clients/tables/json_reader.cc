#include "clients/tables/json_reader.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "clients/cpp/table_builder.h"
#include "clients/tables/is_name.h"
#include "clients/tables/json_handler.h"
#include "clients/tables/shown.h"

namespace qasino::publish {
namespace {

namespace json = boost::json;

using Kind = JsonTableFault::Kind;

constexpr size_t kMaxDepth = 32;

json::parse_options ParserOptions() {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  return options;
}

JsonTableFault Wrong(std::string message) {
  return {.status = absl::InvalidArgumentError(message)};
}

JsonTableFault TooMuch(std::string message) {
  return {.status = absl::ResourceExhaustedError(message)};
}

JsonTableFault Missing(const char* key) {
  return {Kind::kMissingKey, key,
          absl::InvalidArgumentError(absl::StrCat("the table has no '", key, "'"))};
}

// Looks at what was read of a table, in the order in which its keys would be asked for.
class Check {
 public:
  Check(const JsonShape& shape, JsonTableParts& parts) : shape_(shape), parts_(parts) {}

  // False: `fault` says why.
  bool Run(v1::Table* table, JsonTableFault* fault) {
    return Keys(fault) && Columns(table, fault) && Rows(table, fault);
  }

 private:
  static bool Refuse(JsonTableFault because, JsonTableFault* fault) {
    *fault = std::move(because);
    return false;
  }

  bool Words(const char* key, const JsonTableParts::Words& words, JsonTableFault* fault) {
    if (!words.present) return Refuse(Missing(key), fault);
    if (!words.is_array) {
      return Refuse(Wrong(absl::StrCat("the table's '", key, "' is not an array")), fault);
    }
    return true;
  }

  bool Keys(JsonTableFault* fault) {
    if (!parts_.has_name) return Refuse(Missing("tablename"), fault);
    if (!parts_.name_is_text) {
      return Refuse(Wrong("the table's 'tablename' is not a string"), fault);
    }
    if (parts_.name_is_too_long) return Refuse(TooMuch(TooLong("'tablename'")), fault);
    if (!Words("column_names", parts_.names, fault)) return false;
    if (!Words("column_types", parts_.types, fault)) return false;
    if (!parts_.has_rows) return Refuse(Missing("rows"), fault);
    if (!parts_.rows_is_array) {
      return Refuse(Wrong("the table's 'rows' is not an array"), fault);
    }
    return true;
  }

  std::string TooLong(const std::string& what) const {
    return absl::StrCat(what, ": it has more than ", shape_.max_name_bytes, " bytes");
  }

  // The word is a string that was kept.
  bool Word(const char* key, const JsonTableParts::Words& words, size_t at, JsonTableFault* fault) {
    const std::string what = absl::StrCat("'", key, "', column ", at + 1);
    if (words.not_text == at) return Refuse(Wrong(what + ": it is not a string"), fault);
    if (words.too_long == at) return Refuse(TooMuch(TooLong(what)), fault);
    return true;
  }

  bool Columns(v1::Table* table, JsonTableFault* fault) {
    const size_t columns = parts_.names.count;
    if (columns == 0) return Refuse(Wrong("the table has no columns"), fault);
    if (columns > shape_.limits.max_columns) {
      return Refuse(
          TooMuch(absl::StrCat("the table has more than ", shape_.limits.max_columns, " columns")),
          fault);
    }
    if (parts_.types.count != columns) {
      return Refuse(Wrong(absl::StrCat(parts_.types.count, " 'column_types' for ", columns,
                                       " 'column_names'")),
                    fault);
    }
    table->set_name(parts_.name);
    table->mutable_columns()->Reserve(static_cast<int>(columns));
    for (size_t i = 0; i < columns; ++i) {
      if (!Word("column_names", parts_.names, i, fault)) return false;
      std::string& name = parts_.names.words[i];
      if (shape_.checks_names && !IsName(name)) {
        return Refuse({Kind::kBadColumnName, name,
                       absl::InvalidArgumentError(absl::StrCat(
                           "'column_names', column ", i + 1, ": ", Shown(name), " is not a name"))},
                      fault);
      }
      table->add_columns()->set_name(std::move(name));
    }
    for (size_t i = 0; i < columns; ++i) {
      if (!Word("column_types", parts_.types, i, fault)) return false;
      const std::string& word = parts_.types.words[i];
      const absl::StatusOr<v1::ColumnType> type = client::ParseColumnType(word);
      if (!type.ok()) {
        return Refuse(
            {Kind::kBadColumnType, word,
             absl::InvalidArgumentError(absl::StrCat("'column_types', column ", i + 1, ": ",
                                                     Shown(word), " is ", kNoColumnType))},
            fault);
      }
      table->mutable_columns(static_cast<int>(i))->set_type(*type);
    }
    return true;
  }

  bool Rows(v1::Table* table, JsonTableFault* fault) {
    absl::Status status = parts_.rows->Finish(table);
    return status.ok() || Refuse({.status = std::move(status)}, fault);
  }

  const JsonShape& shape_;
  JsonTableParts& parts_;
};

}  // namespace

struct JsonReader::State {
  explicit State(JsonShape s) : shape(std::move(s)), parser(ParserOptions(), &shape) {}

  // Gives the parser a piece, the last one if there is no more.
  void Parse(std::string_view piece, bool more) {
    try {
      json::error_code error;
      size_t read = parser.write_some(more, piece.data(), piece.size(), error);
      read = std::min(read, piece.size());
      // Blanks at the end belong to the value; anything else does not.
      if (!error && read < piece.size()) error = json::error::extra_data;
      Advance(piece.substr(0, read));
      if (error) {
        status = absl::InvalidArgumentError(absl::StrCat("line ", line, ", column ", column,
                                                         ": this is not JSON: ", error.message()));
      }
    } catch (const std::exception& e) {
      status = absl::ResourceExhaustedError(absl::StrCat("reading JSON: ", e.what()));
    }
  }

  void Advance(std::string_view read) {
    const size_t newline = read.rfind('\n');
    if (newline == std::string_view::npos) {
      column += read.size();
      return;
    }
    line += std::count(read.begin(), read.end(), '\n');
    column = read.size() - newline;
  }

  const JsonShape shape;
  json::basic_parser<JsonHandler> parser;
  size_t bytes = 0;
  // Of the next byte, from 1.
  size_t line = 1;
  size_t column = 1;
  absl::Status status;
};

JsonReader::JsonReader(JsonShape shape) : state_(std::make_unique<State>(std::move(shape))) {}

JsonReader::~JsonReader() = default;

size_t JsonReader::held_bytes() const {
  const std::optional<JsonColumns>& rows = state_->parser.handler().table().rows;
  return rows.has_value() ? rows->held_bytes() : 0;
}

bool JsonReader::Write(std::string_view piece) {
  State& state = *state_;
  if (!state.status.ok()) return false;
  state.bytes += piece.size();
  if (state.bytes > state.shape.limits.max_bytes) {
    state.status = absl::ResourceExhaustedError(
        absl::StrCat("the ", state.shape.has_envelope ? "message" : "table", " is longer than ",
                     state.shape.limits.max_bytes, " bytes"));
    return false;
  }
  state.Parse(piece, /*more=*/true);
  return state.status.ok();
}

absl::Status JsonReader::Finish() {
  if (state_->status.ok()) state_->Parse({}, /*more=*/false);
  return state_->status;
}

bool JsonReader::is_object() const { return state_->parser.handler().is_object(); }

const JsonField& JsonReader::field(size_t at) const { return state_->parser.handler().field(at); }

bool JsonReader::has_table() const { return state_->parser.handler().table().present; }

bool JsonReader::TakeTable(v1::Table* table, JsonTableFault* fault) {
  JsonTableParts& parts = state_->parser.handler().table();
  if (parts.present && !parts.is_object) {
    *fault = Wrong("'table' is not an object");
    return false;
  }
  return Check(state_->shape, parts).Run(table, fault);
}

}  // namespace qasino::publish
