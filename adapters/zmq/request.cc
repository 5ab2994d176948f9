#include "adapters/zmq/request.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/message.h"
#include "adapters/legacy/result_writer.h"
#include "adapters/legacy/statement.h"

namespace qasino::zeromq {
namespace {

std::string_view Text(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// Answers as the original does, in its words.
class Reader {
 public:
  explicit Reader(std::string_view identity) : identity_(identity) {}

  Request Read(absl::StatusOr<legacy::Message> message) const {
    if (!message.ok()) {
      return absl::IsInvalidArgument(message.status())
                 ? Invalid(Op::kOther,
                           fmt::format("{}{}", legacy::kFailedToParseJson, Text(message.status())))
                 : Refused(Op::kOther, message.status());
    }
    if (!message->is_object || !message->op) {
      return Invalid(Op::kOther, legacy::kUnrecognizedRequest);
    }
    if (*message->op == "query") return Query(*message);
    if (*message->op == "add_table_data") return Publish(std::move(message->publish));
    if (*message->op == "get_table_list") {
      v1::QueryRequest query;
      query.set_sql(std::string(legacy::kTableListSql));
      return {Op::kGetTableList, std::move(query)};
    }
    return Invalid(Op::kOther, fmt::format("Unrecognized op '{}'", *message->op));
  }

 private:
  Request Query(const legacy::Message& message) const {
    if (!message.sql) return Invalid(Op::kQuery, legacy::kMustSpecifySqlByZmq);
    if (legacy::IsGoodbye(*message.sql)) {
      return {Op::kQuery, ReadyAnswer{absl::StatusCode::kOk, legacy::GoodbyeBody(identity_)}};
    }
    std::optional<std::string> sql = legacy::Completed(*message.sql);
    if (!sql) return Invalid(Op::kQuery, legacy::kIncompleteStatement);
    v1::QueryRequest query;
    query.set_sql(*std::move(sql));
    if (message.use_write_db) query.set_running(true);
    return {Op::kQuery, std::move(query)};
  }

  Request Publish(absl::StatusOr<v1::PublishRequest> publish) const {
    if (publish.ok()) return {Op::kAddTableData, *std::move(publish)};
    return Refused(Op::kAddTableData, publish.status());
  }

  Request Invalid(Op op, std::string_view message) const {
    return {op,
            ReadyAnswer{absl::StatusCode::kInvalidArgument, legacy::ErrorBody(identity_, message)}};
  }
  Request Refused(Op op, const absl::Status& status) const {
    return {op, ReadyAnswer{
                    status.code(),
                    legacy::ErrorBody(identity_, legacy::TellPublishError(status).json_message)}};
  }

  const std::string_view identity_;
};

}  // namespace

std::string_view OpName(Op op) {
  switch (op) {
    case Op::kQuery:
      return "query";
    case Op::kAddTableData:
      return "add_table_data";
    case Op::kGetTableList:
      return "get_table_list";
    case Op::kOther:
      break;
  }
  return "other";
}

Request ReadRequest(std::string_view json, std::string_view identity, size_t max_bytes) {
  return Reader(identity).Read(legacy::ParseMessage(json, {.max_bytes = max_bytes}));
}

}  // namespace qasino::zeromq
