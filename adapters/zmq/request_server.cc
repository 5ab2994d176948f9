#include "adapters/zmq/request_server.h"

#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/result_writer.h"
#include "adapters/zmq/answer_collector.h"
#include "adapters/zmq/envelope.h"

namespace qasino::zeromq {
namespace {

// Longer messages are read by the pool, not by the thread on which all others come.
constexpr size_t kShortMessage = 64 << 10;
constexpr int kReaders = 2;
// What is refused is small, and so may be what waits of it.
constexpr Load::Limits kRefusals = {.requests = 10'000,
                                    .bytes = 16 << 20,
                                    .requests_per_client = 5'000,
                                    .bytes_per_client = 8 << 20};
constexpr int64_t kRefusalBytes = 512;

std::string_view Text(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

RequestServer::RequestServer(const Options& options, adapters::Upstream* upstream, Metrics* metrics,
                             Send send)
    : options_(options),
      upstream_(upstream),
      metrics_(metrics),
      send_(std::move(send)),
      load_({.requests = options.max_requests,
             .bytes = options.max_bytes,
             .requests_per_client = options.max_requests / 2,
             .bytes_per_client = options.max_bytes / 2}),
      refused_(kRefusals),
      pool_("zmq", kReaders, static_cast<size_t>(options.max_requests)) {}

void RequestServer::Receive(Received message) {
  std::vector<size_t> sizes;
  int64_t bytes = 0;
  for (const ::zmq::message_t& part : message.parts) {
    sizes.push_back(part.size());
    bytes += static_cast<int64_t>(part.size());
  }
  const Shape shape = ShapeOf(sizes, message.cut);
  if (sizes.size() < 2) {
    metrics_->dropped.Increment();
    return;
  }
  auto call = std::make_shared<Call>();
  call->parts = std::move(message.parts);
  call->envelope = shape.envelope;
  const std::string_view client = call->parts[0].to_string_view();

  absl::Status status;
  if (refusing_) {
    status = absl::UnavailableError("the server is stopping");
  } else {
    absl::StatusOr<std::unique_ptr<Load::Lease>> lease = load_.Admit(client, bytes);
    status = lease.status();
    if (lease.ok()) call->lease = *std::move(lease);
  }
  if (!status.ok()) {
    int64_t kept = kRefusalBytes;
    for (size_t i = 0; i < shape.envelope; ++i) kept += static_cast<int64_t>(sizes[i]);
    absl::StatusOr<std::unique_ptr<Load::Lease>> lease = refused_.Admit(client, kept);
    if (!lease.ok()) {
      metrics_->dropped.Increment();
      return;
    }
    call->lease = *std::move(lease);
    return AnswerError(*call, Op::kOther, status.code(), Text(status));
  }
  if (!shape.sound) {
    return AnswerError(*call, Op::kOther, absl::StatusCode::kInvalidArgument,
                       "Wrong number of message parts: behind the envelope there must be one, "
                       "of JSON");
  }
  if (sizes.back() <= kShortMessage) return Run(std::move(call));
  if (absl::Status queued = pool_.Submit([this, call]() mutable { Run(std::move(call)); });
      !queued.ok()) {
    AnswerError(*call, Op::kOther, queued.code(), Text(queued));
  }
}

void RequestServer::Run(std::shared_ptr<Call> call) {
  const Request request = ReadRequest(call->parts.back().to_string_view(), options_.identity,
                                      static_cast<size_t>(options_.max_message_bytes));
  call->parts.pop_back();
  if (const auto* answer = std::get_if<ReadyAnswer>(&request.action)) {
    return Answer(*call, request.op, answer->code, {answer->body});
  }
  if (const auto* query = std::get_if<v1::QueryRequest>(&request.action)) {
    return Query(std::move(call), request.op, *query);
  }
  Publish(std::move(call), std::get<v1::PublishRequest>(request.action));
}

void RequestServer::Query(std::shared_ptr<Call> call, Op op, const v1::QueryRequest& query) {
  const bool is_list = op == Op::kGetTableList;
  auto writer = legacy::MakeResultWriter(
      is_list ? legacy::Format::kTableList : legacy::Format::kJson, options_.identity, query.sql());
  CollectAnswer(
      upstream_->Query(query), std::move(writer), options_.max_answer_bytes,
      [call](int64_t more_bytes) { return call->lease->Grow(more_bytes); },
      [this, call, is_list, op, sql = query.sql()](absl::StatusOr<std::string> answer) {
        if (!answer.ok()) {
          return AnswerError(*call, op, answer.status().code(),
                             legacy::TellQueryError(answer.status(), sql).json_message);
        }
        std::vector<std::string> bodies;
        if (is_list) bodies.push_back(legacy::TableListHead(options_.identity));
        bodies.push_back(*std::move(answer));
        Answer(*call, op, absl::StatusCode::kOk, std::move(bodies));
      });
}

void RequestServer::Publish(std::shared_ptr<Call> call, const v1::PublishRequest& publish) {
  upstream_->Publish(publish, [this, call](absl::StatusOr<v1::PublishResponse> response) {
    if (!response.ok()) {
      return AnswerError(*call, Op::kAddTableData, response.status().code(),
                         legacy::TellPublishError(response.status()).json_message);
    }
    Answer(*call, Op::kAddTableData, absl::StatusCode::kOk, {legacy::OkBody(options_.identity)});
  });
}

void RequestServer::Answer(Call& call, Op op, absl::StatusCode code,
                           std::vector<std::string> bodies) {
  metrics_->CountRequest(op, code);
  call.parts.resize(call.envelope);
  int64_t bytes = 0;
  for (const ::zmq::message_t& part : call.parts) bytes += static_cast<int64_t>(part.size());
  for (const std::string& body : bodies) bytes += static_cast<int64_t>(body.size());
  call.lease->Resize(bytes);
  send_({std::move(call.parts), std::move(bodies), std::move(call.lease)});
}

void RequestServer::AnswerError(Call& call, Op op, absl::StatusCode code,
                                std::string_view message) {
  Answer(call, op, code, {legacy::ErrorBody(options_.identity, message)});
}

}  // namespace qasino::zeromq
