#ifndef QASINO_CLIENTS_TABLES_JSON_HANDLER_H_
#define QASINO_CLIENTS_TABLES_JSON_HANDLER_H_

#include <boost/json/error.hpp>
#include <boost/json/string_view.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clients/tables/json_columns.h"
#include "clients/tables/json_reader.h"

namespace qasino::publish {

// What has been read of a table.
struct JsonTableParts {
  struct Words {
    bool present = false;
    bool is_array = false;
    // Elements, of which the first TableLimits::max_columns are in `words`.
    size_t count = 0;
    std::vector<std::string> words;
    // The first element that is no string, and the first that is too long.
    std::optional<size_t> not_text;
    std::optional<size_t> too_long;
  };

  bool present = false;
  bool is_object = false;
  bool has_name = false;
  bool name_is_text = false;
  bool name_is_too_long = false;
  std::string name;
  Words names;
  Words types;
  bool has_rows = false;
  bool rows_is_array = false;
  std::optional<JsonColumns> rows;
};

// What Boost.JSON's parser tells of a text, part by part, put where it belongs. The parser
// checks the grammar and UTF-8, so each event comes where it may.
//
// The functions are those that boost::json::basic_parser asks for; the ones of cells are here
// for the compiler to see.
class JsonHandler {
 public:
  static constexpr size_t max_array_size = -1;
  static constexpr size_t max_object_size = -1;
  static constexpr size_t max_string_size = -1;
  static constexpr size_t max_key_size = -1;

  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  explicit JsonHandler(const JsonShape* shape);

  bool is_object() const { return is_object_; }
  const JsonField& field(size_t at) const { return fields_[at]; }
  JsonTableParts& table() { return table_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_array_begin(error_code&) {
    if (place_ == Place::kRows) {
      place_ = Place::kRow;
      table_.rows->BeginRow();
    } else {
      BeginArray();
    }
    return true;
  }
  bool on_array_end(size_t n, error_code&) {
    if (place_ == Place::kRow) {
      place_ = Place::kRows;
      table_.rows->EndRow();
    } else {
      EndArray(n);
    }
    return true;
  }
  bool on_object_begin(error_code&) {
    BeginObject();
    return true;
  }
  bool on_object_end(size_t n, error_code&) {
    EndObject(n);
    return true;
  }
  bool on_string_part(string_view s, size_t, error_code&) {
    TextPart({s.data(), s.size()});
    return true;
  }
  bool on_string(string_view s, size_t, error_code&) {
    const std::string_view text(s.data(), s.size());
    if (place_ == Place::kRow && !in_long_text_) {
      table_.rows->Text(text);
    } else {
      EndText(text);
    }
    return true;
  }
  bool on_key_part(string_view s, size_t, error_code&) {
    KeyPart({s.data(), s.size()});
    return true;
  }
  bool on_key(string_view s, size_t, error_code&) {
    KeyPart({s.data(), s.size()});
    EndKey();
    return true;
  }
  bool on_number_part(string_view s, error_code&) {
    number_.append(s.data(), s.size());
    return true;
  }
  bool on_int64(int64_t i, string_view s, error_code&) {
    if (place_ == Place::kRow) {
      table_.rows->Integer(i);
      number_.clear();
    } else {
      Number({s.data(), s.size()}, i != 0);
    }
    return true;
  }
  bool on_uint64(uint64_t u, string_view s, error_code&) {
    // Boost gives what fits into an int64 as one.
    Real({s.data(), s.size()}, static_cast<double>(u));
    return true;
  }
  bool on_double(double d, string_view s, error_code&) {
    Real({s.data(), s.size()}, d);
    return true;
  }
  bool on_bool(bool b, error_code&) {
    if (place_ == Place::kRow) {
      table_.rows->Integer(b ? 1 : 0);
    } else {
      Other(JsonField::Kind::kBool, b ? "true" : "false", b);
    }
    return true;
  }
  bool on_null(error_code&) {
    if (place_ == Place::kRow) {
      table_.rows->Null();
    } else {
      Other(JsonField::Kind::kNull, "null", false);
    }
    return true;
  }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  // Where the next event belongs.
  enum class Place {
    kOutside,   // before and behind the outermost value
    kEnvelope,  // in the outer object, at the value of key_
    kTable,     // in the table, at the value of key_
    kNames,     // in the array of column_names
    kTypes,     // in the array of column_types
    kRows,      // in the array of rows, where a row begins
    kRow,       // in a row, where a cell begins
    kSkipped,   // in what is passed over, or copied for a field
  };

  // Which member of the envelope or the table key_ is.
  enum class Member { kOther, kField, kTable, kName, kNames, kTypes, kRows };

  void BeginArray();
  void EndArray(size_t size);
  void BeginObject();
  void EndObject(size_t size);
  void TextPart(std::string_view text);
  void EndText(std::string_view end);
  void KeyPart(std::string_view text);
  void EndKey();
  // `end`: the last part of the number's text.
  void Number(std::string_view end, bool truthy);
  void Real(std::string_view end, double nearly);
  // A value that is no string, array or object, and not in a row; `text` is its JSON.
  void Other(JsonField::Kind kind, std::string_view text, bool truthy);

  // The array or object that begins is not read but for a field.
  void Skip(char open);
  void EndSkipped(char close, size_t size);
  void BeginTable();
  void BeginWords(JsonTableParts::Words* words, Place place);
  void AddWord(const std::string* word);
  // What is neither an array nor an object, where a row or a word should be.
  void Misplaced();

  // A field gets the JSON of what is skipped.
  bool copies() const { return place_ == Place::kSkipped && member_ == Member::kField; }
  // How much of a string that is no cell is wanted; one byte more tells that it is too long.
  size_t TextLimit() const;
  // Copies a value, a key or what opens one into the field, behind a comma where one belongs.
  void Copy(std::string_view token);

  const JsonShape& shape_;
  Place place_ = Place::kOutside;
  bool is_object_ = false;
  std::vector<JsonField> fields_;
  JsonTableParts table_;

  // The latest of the envelope or the table, cut when it is too long to be a known one; and
  // which it is.
  std::string key_;
  Member member_ = Member::kOther;
  size_t field_ = 0;  // when it is a field

  std::string text_;    // of a string that is no cell, so far
  std::string number_;  // the parts of a number but the last
  // A cell that comes in parts, and where they go; null: nowhere.
  bool in_long_text_ = false;
  std::string* long_text_ = nullptr;

  // Of what is skipped: how deep it is nested, and where it began.
  size_t depth_ = 0;
  Place return_to_ = Place::kOutside;
  bool needs_comma_ = false;
};

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_JSON_HANDLER_H_
