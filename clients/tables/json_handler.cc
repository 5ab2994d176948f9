#include "clients/tables/json_handler.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <utility>

#include "clients/tables/parse_real.h"

namespace qasino::publish {
namespace {

// Longer than every key that is known.
constexpr size_t kMostOfKey = 64;

// Appends so much that `to` has at most `most` bytes.
void AppendUpTo(std::string_view text, size_t most, std::string* to) {
  to->append(text.substr(0, most - std::min(most, to->size())));
}

}  // namespace

JsonHandler::JsonHandler(const JsonShape* shape) : shape_(*shape), fields_(shape->fields.size()) {}

void JsonHandler::BeginArray() {
  switch (place_) {
    case Place::kTable:
      if (member_ == Member::kNames) return BeginWords(&table_.names, Place::kNames);
      if (member_ == Member::kTypes) return BeginWords(&table_.types, Place::kTypes);
      if (member_ == Member::kRows) {
        table_.rows_is_array = true;
        place_ = Place::kRows;
        return;
      }
      break;
    case Place::kRow:
      table_.rows->NoCell("an array");
      break;
    default:
      Misplaced();
  }
  Skip('[');
}

void JsonHandler::EndArray(size_t size) {
  if (place_ == Place::kSkipped) {
    EndSkipped(']', size);
  } else {
    place_ = Place::kTable;
  }
}

void JsonHandler::BeginObject() {
  switch (place_) {
    case Place::kOutside:
      is_object_ = true;
      if (!shape_.has_envelope) return BeginTable();
      place_ = Place::kEnvelope;
      return;
    case Place::kEnvelope:
      if (member_ == Member::kTable) return BeginTable();
      break;
    case Place::kRow:
      table_.rows->NoCell("an object");
      break;
    default:
      Misplaced();
  }
  Skip('{');
}

void JsonHandler::EndObject(size_t size) {
  if (place_ == Place::kSkipped) {
    EndSkipped('}', size);
  } else if (place_ == Place::kTable && shape_.has_envelope) {
    place_ = Place::kEnvelope;
  } else {
    place_ = Place::kOutside;
  }
}

void JsonHandler::BeginTable() {
  table_ = {};
  table_.present = true;
  table_.is_object = true;
  place_ = Place::kTable;
}

void JsonHandler::BeginWords(JsonTableParts::Words* words, Place place) {
  words->is_array = true;
  place_ = place;
}

void JsonHandler::AddWord(const std::string* word) {
  JsonTableParts::Words& words = place_ == Place::kNames ? table_.names : table_.types;
  const size_t at = words.count++;
  if (at >= shape_.limits.max_columns) return;
  words.words.emplace_back();
  if (word == nullptr) {
    if (!words.not_text) words.not_text = at;
  } else if (word->size() > shape_.max_name_bytes) {
    if (!words.too_long) words.too_long = at;
  } else {
    words.words.back() = *word;
  }
}

void JsonHandler::Misplaced() {
  if (place_ == Place::kRows) {
    table_.rows->NoRow();
  } else if (place_ == Place::kNames || place_ == Place::kTypes) {
    AddWord(nullptr);
  }
}

size_t JsonHandler::TextLimit() const {
  switch (place_) {
    case Place::kEnvelope:
    case Place::kSkipped:
      return member_ == Member::kField ? shape_.fields[field_].max_bytes + 1 : 0;
    case Place::kTable:
      return member_ == Member::kName ? shape_.max_name_bytes + 1 : 0;
    case Place::kNames:
    case Place::kTypes:
      return shape_.max_name_bytes + 1;
    default:
      return 0;
  }
}

void JsonHandler::TextPart(std::string_view text) {
  if (place_ != Place::kRow) return AppendUpTo(text, TextLimit(), &text_);
  if (!in_long_text_) {
    in_long_text_ = true;
    long_text_ = table_.rows->LongText();
  }
  if (long_text_ != nullptr) long_text_->append(text);
}

void JsonHandler::EndText(std::string_view end) {
  TextPart(end);
  switch (place_) {
    case Place::kRow:
      in_long_text_ = false;
      break;
    case Place::kRows:
      Misplaced();
      break;
    case Place::kNames:
    case Place::kTypes:
      AddWord(&text_);
      break;
    case Place::kTable:
      if (member_ != Member::kName) break;
      table_.name_is_text = true;
      table_.name_is_too_long = text_.size() > shape_.max_name_bytes;
      table_.name = table_.name_is_too_long ? "" : text_;
      break;
    case Place::kEnvelope:
      if (member_ != Member::kField) break;
      fields_[field_].kind = JsonField::Kind::kString;
      fields_[field_].truthy = !text_.empty();
      fields_[field_].too_long = text_.size() > shape_.fields[field_].max_bytes;
      if (!fields_[field_].too_long) fields_[field_].text = std::move(text_);
      break;
    case Place::kSkipped:
      if (copies()) Copy(boost::json::serialize(string_view(text_)));
      needs_comma_ = true;
      break;
    case Place::kOutside:
      break;
  }
  text_.clear();
}

void JsonHandler::KeyPart(std::string_view text) {
  if (place_ == Place::kSkipped) {
    AppendUpTo(text, TextLimit(), &text_);
  } else {
    AppendUpTo(text, kMostOfKey, &key_);
  }
}

void JsonHandler::EndKey() {
  if (place_ == Place::kSkipped) {
    if (copies()) Copy(boost::json::serialize(string_view(text_)) + ":");
    needs_comma_ = false;
    text_.clear();
    return;
  }
  // What the key had before does not count any more.
  member_ = Member::kOther;
  if (place_ == Place::kEnvelope) {
    if (key_ == "table") {
      member_ = Member::kTable;
      table_ = {};
      table_.present = true;
    }
    for (size_t i = 0; i < shape_.fields.size(); ++i) {
      if (shape_.fields[i].name != key_) continue;
      member_ = Member::kField;
      field_ = i;
      fields_[i] = {};
    }
  } else if (key_ == "tablename") {
    member_ = Member::kName;
    table_.has_name = true;
    table_.name_is_text = false;
  } else if (key_ == "column_names") {
    member_ = Member::kNames;
    table_.names = {.present = true};
  } else if (key_ == "column_types") {
    member_ = Member::kTypes;
    table_.types = {.present = true};
  } else if (key_ == "rows") {
    member_ = Member::kRows;
    table_.has_rows = true;
    table_.rows_is_array = false;
    table_.rows.emplace(shape_.limits);
  }
  key_.clear();
}

void JsonHandler::Number(std::string_view end, bool truthy) {
  number_.append(end);
  Other(JsonField::Kind::kNumber, number_, truthy);
  number_.clear();
}

void JsonHandler::Real(std::string_view end, double nearly) {
  if (place_ != Place::kRow) return Number(end, nearly != 0);
  std::string_view text = end;
  if (!number_.empty()) {
    number_.append(end);
    text = number_;
  }
  // What Boost makes of a number may be off by one in the last digit.
  double value = nearly;
  ParseReal(text, &value);
  table_.rows->Real(value, text);
  number_.clear();
}

void JsonHandler::Other(JsonField::Kind kind, std::string_view text, bool truthy) {
  if (place_ == Place::kEnvelope && member_ == Member::kField) {
    JsonField& field = fields_[field_];
    field.kind = kind;
    field.truthy = truthy;
    field.too_long = text.size() > shape_.fields[field_].max_bytes;
    if (!field.too_long) field.text = text;
  } else if (place_ == Place::kSkipped) {
    if (copies()) Copy(text);
    needs_comma_ = true;
  } else {
    Misplaced();
  }
}

void JsonHandler::Skip(char open) {
  if (place_ != Place::kSkipped) {
    return_to_ = place_;
    place_ = Place::kSkipped;
    needs_comma_ = false;
    // Only of the envelope are there fields.
    if (return_to_ != Place::kEnvelope) member_ = Member::kOther;
    if (copies()) fields_[field_].kind = JsonField::Kind::kContainer;
  }
  ++depth_;
  if (copies()) Copy(std::string_view(&open, 1));
  needs_comma_ = false;
}

void JsonHandler::EndSkipped(char close, size_t size) {
  if (copies()) {
    needs_comma_ = false;
    Copy(std::string_view(&close, 1));
  }
  needs_comma_ = true;
  if (--depth_ > 0) return;
  if (copies()) fields_[field_].truthy = size > 0;
  place_ = return_to_;
}

void JsonHandler::Copy(std::string_view token) {
  JsonField& field = fields_[field_];
  const size_t most = shape_.fields[field_].max_bytes;
  if (field.too_long || field.text.size() + token.size() + needs_comma_ > most) {
    field.too_long = true;
    field.text.clear();
    return;
  }
  if (needs_comma_) field.text += ',';
  field.text += token;
}

}  // namespace qasino::publish
