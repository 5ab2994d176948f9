#include "adapters/legacy/message.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/names.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/utf8.h"
#include "clients/tables/is_name.h"
#include "clients/tables/json_reader.h"

namespace qasino::legacy {
namespace {

using client::Absl;
using publish::JsonField;
using publish::JsonReader;
using publish::JsonTableFault;

// The members of a message beside its table, in the order of Shape's fields.
enum Field { kOp, kSql, kUseWriteDb, kIdentity, kPersist, kStatic, kUpdate, kKeycols };

publish::JsonShape Shape(const MessageLimits& limits) {
  return {
      .limits = {.max_bytes = limits.max_bytes,
                 .max_columns = limits.max_columns,
                 .max_cells = limits.max_cells},
      .max_name_bytes = limits.max_name_bytes,
      .has_envelope = true,
      .fields = {{"op", limits.max_name_bytes},
                 {"sql", limits.max_bytes},
                 {"use_write_db"},
                 {"identity", limits.max_name_bytes},
                 {"persist"},
                 {"static"},
                 {"update"},
                 {"keycols", limits.max_bytes}},
      .checks_names = true,
  };
}

absl::Status TooLong(std::string_view field, const MessageLimits& limits) {
  return absl::ResourceExhaustedError(
      absl::StrCat("'", Absl(field), "' has more than ", limits.max_name_bytes, " bytes"));
}

// In the legacy's words where it has some.
absl::Status Told(const JsonTableFault& fault) {
  switch (fault.kind) {
    case JsonTableFault::Kind::kMissingKey:
      return absl::InvalidArgumentError(absl::StrCat("'", fault.subject, "'"));
    case JsonTableFault::Kind::kBadColumnName:
      return InvalidColumnName(fault.subject);
    case JsonTableFault::Kind::kBadColumnType:
      return InvalidColumnType(fault.subject);
    case JsonTableFault::Kind::kOther:
      break;
  }
  return fault.status;
}

absl::StatusOr<v1::PublishRequest> Publish(const MessageLimits& limits, JsonReader* reader) {
  if (!reader->has_table()) return absl::InvalidArgumentError("'table'");
  v1::PublishRequest request;
  JsonTableFault fault;
  if (!reader->TakeTable(request.mutable_table(), &fault)) return Told(fault);
  if (!publish::IsName(request.table().name())) return InvalidTableName(request.table().name());

  const JsonField& identity = reader->field(kIdentity);
  if (identity.too_long) return TooLong("identity", limits);
  switch (identity.kind) {
    case JsonField::Kind::kString:
    case JsonField::Kind::kNumber:
      request.set_identity(identity.text);
      break;
    case JsonField::Kind::kBool:
    case JsonField::Kind::kContainer:
      return absl::InvalidArgumentError("'identity' is not a string");
    case JsonField::Kind::kAbsent:
    case JsonField::Kind::kNull:
      break;
  }
  request.set_persist(reader->field(kPersist).truthy);
  request.set_static_(reader->field(kStatic).truthy);
  request.set_update(reader->field(kUpdate).truthy);
  const JsonField& keycols = reader->field(kKeycols);
  if (!request.update() || !keycols.truthy) return request;
  if (keycols.kind != JsonField::Kind::kString) {
    return absl::InvalidArgumentError("'keycols' is not a string");
  }
  int64_t count = 0;
  for (const absl::string_view column :
       absl::StrSplit(absl::string_view(keycols.text), ';', absl::SkipWhitespace())) {
    if (++count > static_cast<int64_t>(limits.max_columns)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("'keycols' has more than ", limits.max_columns, " names"));
    }
    request.add_keycols(std::string(absl::StripAsciiWhitespace(column)));
  }
  return request;
}

// Of `\w`, in ASCII.
bool IsWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_';
  });
}

void AddTextColumn(std::string_view name, std::string_view cell, v1::Table* table) {
  v1::Column* column = table->add_columns();
  column->set_name(name.data(), name.size());
  column->set_type(v1::TEXT);
  column->add_texts(cell.data(), cell.size());
}

}  // namespace

struct MessageParser::State {
  explicit State(const MessageLimits& l) : limits(l), reader(Shape(l)) {}

  const MessageLimits limits;
  JsonReader reader;
};

MessageParser::MessageParser(const MessageLimits& limits)
    : state_(std::make_unique<State>(limits)) {}

MessageParser::~MessageParser() = default;

bool MessageParser::Write(std::string_view piece) { return state_->reader.Write(piece); }

size_t MessageParser::held_bytes() const { return state_->reader.held_bytes(); }

absl::StatusOr<Message> MessageParser::Finish() {
  JsonReader& reader = state_->reader;
  if (absl::Status status = reader.Finish(); !status.ok()) return status;
  Message message;
  message.is_object = reader.is_object();
  const JsonField& op = reader.field(kOp);
  if (op.too_long) return TooLong("op", state_->limits);
  if (op.kind != JsonField::Kind::kAbsent && op.kind != JsonField::Kind::kNull) {
    message.op = op.text;
  }
  const JsonField& sql = reader.field(kSql);
  if (sql.kind == JsonField::Kind::kString) message.sql = sql.text;
  message.use_write_db = reader.field(kUseWriteDb).truthy;
  message.publish = Publish(state_->limits, &reader);
  return message;
}

absl::StatusOr<Message> ParseMessage(std::string_view text, const MessageLimits& limits) {
  MessageParser parser(limits);
  parser.Write(text);
  return parser.Finish();
}

absl::StatusOr<v1::PublishRequest> NameValuePublish(std::string_view name, std::string_view value,
                                                    std::string_view identity) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || !IsWord(name.substr(0, dot)) ||
      !IsWord(name.substr(dot + 1))) {
    return absl::InvalidArgumentError(Absl(kInvalidName));
  }
  if (!client::IsUtf8(value) || !client::IsUtf8(identity)) {
    return absl::InvalidArgumentError("the text is not UTF-8");
  }
  v1::PublishRequest request;
  request.set_identity(identity.data(), identity.size());
  v1::Table* table = request.mutable_table();
  table->set_name(name.data(), dot);
  AddTextColumn("identity", identity, table);
  AddTextColumn(name.substr(dot + 1), value, table);
  request.set_update(true);
  request.set_persist(true);
  request.add_keycols("identity");
  return request;
}

}  // namespace qasino::legacy
