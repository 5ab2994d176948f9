#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/legacy/message.h"
#include "clients/cpp/cells.h"
#include "testing/fuzz/oracle.h"
#include "testing/fuzz/publish_oracle.h"

// The bytes are a message of the legacy dialect.
//
//   - It is JSON when Boost's reading into a tree says so.
//   - op, sql and the cells are those of the tree.
//   - Pieces cut anywhere give the same as one piece, byte for byte.
//   - What is to be published is whole and within the limits, or there is a good message.
namespace qasino::fuzz {
namespace {

namespace json = boost::json;

using legacy::Message;
using legacy::MessageLimits;

constexpr size_t kMaxDepth = 32;
// So narrow that they are met.
constexpr MessageLimits kNarrow = {
    .max_bytes = 1024, .max_columns = 3, .max_cells = 12, .max_name_bytes = 16};

absl::StatusOr<Message> InPieces(std::string_view text, size_t size, const MessageLimits& limits) {
  legacy::MessageParser parser(limits);
  while (!text.empty() && parser.Write(text.substr(0, size))) {
    text.remove_prefix(std::min(size, text.size()));
  }
  return parser.Finish();
}

// Where a message that is not JSON stops being it may be told differently.
std::string Summary(const absl::StatusOr<Message>& message) {
  if (!message.ok()) return std::to_string(static_cast<int>(message.status().code()));
  std::string summary = message->publish.ok() ? message->publish->SerializeAsString()
                                              : message->publish.status().ToString();
  summary += message->is_object ? "object" : "value";
  summary += message->use_write_db ? "|write db" : "|";
  return summary + "|" + message->op.value_or("no op") + "|" + message->sql.value_or("no sql");
}

void RequireSameCell(const json::value& value, client::Cell cell, bool is_blob) {
  using client::CellKind;
  switch (value.kind()) {
    case json::kind::null:
      return Require(cell.is_null(), "null is NULL");
    case json::kind::bool_:
      return Require(cell.kind() == CellKind::kInteger && cell.integer() == value.get_bool(),
                     "true and false are 1 and 0");
    case json::kind::int64:
      return Require(cell.kind() == CellKind::kInteger && cell.integer() == value.get_int64(),
                     "an integer is an integer");
    case json::kind::string: {
      const std::string_view text(value.get_string().data(), value.get_string().size());
      return Require(is_blob ? cell.kind() == CellKind::kBlob && cell.blob() == text
                             : cell.kind() == CellKind::kText && cell.text() == text,
                     "a string is a text, or a blob");
    }
    case json::kind::uint64:
    case json::kind::double_:
      return Require(cell.kind() == CellKind::kReal, "any other number is a real");
    default:
      Require(false, "an array or object is no cell");
  }
}

void RequireSameTable(const json::value& message, const v1::Table& table, uint64_t rows) {
  const json::object& tree = message.at("table").as_object();
  const json::array& tree_rows = tree.at("rows").as_array();
  Require(tree.at("tablename").as_string() == table.name(), "the table's name is the one written");
  Require(tree_rows.size() == rows, "there are as many rows as were written");
  for (int i = 0; i < table.columns_size(); ++i) {
    const v1::Column& column = table.columns(i);
    Require(tree.at("column_names").as_array().at(i).as_string() == column.name(),
            "a column's name is the one written");
    absl::StatusOr<client::ColumnReader> reader = client::ColumnReader::Create(column, rows);
    RequireOk(reader.status(), "read a column");
    for (const json::value& row : tree_rows) {
      Require(row.as_array().size() == static_cast<size_t>(table.columns_size()),
              "a row has a cell for each column");
      RequireSameCell(row.as_array().at(i), reader->Next(), column.type() == v1::BLOB);
    }
  }
}

void RequireSame(const json::value& tree, const Message& message, uint64_t rows) {
  Require(message.is_object == tree.is_object(), "an object is an object");
  if (!tree.is_object()) {
    return Require(!message.op && !message.sql && !message.publish.ok(),
                   "what is no object has nothing in it");
  }
  const json::value* op = tree.as_object().if_contains("op");
  Require((op != nullptr && !op->is_null()) == message.op.has_value(), "there is an op");
  if (op != nullptr && op->is_string()) {
    Require(op->as_string() == *message.op, "op is the one written");
  }
  const json::value* sql = tree.as_object().if_contains("sql");
  Require((sql != nullptr && sql->is_string()) == message.sql.has_value(), "there is sql");
  if (message.sql) Require(sql->as_string() == *message.sql, "sql is the one written");
  if (message.publish.ok()) RequireSameTable(tree, message.publish->table(), rows);
}

uint64_t RequireGood(const absl::StatusOr<Message>& message, const MessageLimits& limits) {
  const absl::Status& status = message.ok() ? message->publish.status() : message.status();
  if (status.ok()) return RequireGoodPublish(*message->publish, limits);
  RequireGoodMessage(status);
  Require(absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status),
          "an error has a code of the contract: " + status.ToString());
  return 0;
}

void Try(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code error;
  const json::value tree = json::parse({text.data(), text.size()}, error, {}, options);

  const absl::StatusOr<Message> message = legacy::ParseMessage(text);
  const uint64_t rows = RequireGood(message, {});
  Require(absl::IsResourceExhausted(message.status()) || message.ok() == !error,
          "it is JSON when it is: " + message.status().ToString() + ", " + error.message());
  if (message.ok()) RequireSame(tree, *message, rows);

  const absl::StatusOr<Message> narrow = legacy::ParseMessage(text, kNarrow);
  RequireGood(narrow, kNarrow);
  Require(!narrow.ok() || text.size() <= kNarrow.max_bytes, "the limit of bytes holds");
  if (narrow.ok() && narrow->op) {
    Require(narrow->op->size() <= kNarrow.max_name_bytes, "the limit of names holds");
  }

  const size_t sizes[] = {1, 1 + text.size() / 2, 1 + (text.empty() ? 0 : text.back() % 16u)};
  for (const size_t size : sizes) {
    Require(Summary(InPieces(text, size, {})) == Summary(message),
            "pieces of " + std::to_string(size) + " bytes give the same");
    if (text.size() > kNarrow.max_bytes) continue;
    Require(Summary(InPieces(text, size, kNarrow)) == Summary(narrow),
            "pieces give the same within narrow limits");
  }
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  qasino::fuzz::Try(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
