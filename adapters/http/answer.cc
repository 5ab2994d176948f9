#include "adapters/http/answer.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "adapters/http/basic_auth.h"
#include "adapters/http/errors.h"
#include "adapters/http/negotiation.h"
#include "adapters/http/query_answer.h"
#include "adapters/http/url.h"
#include "adapters/legacy/csv_message.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/message.h"
#include "adapters/legacy/result_writer.h"
#include "adapters/legacy/statement.h"

namespace qasino::http {
namespace {

constexpr std::string_view kAllow = "Allow: GET, HEAD, POST, OPTIONS\r\n";
constexpr std::string_view kAllowProbe = "Allow: GET, HEAD\r\n";
constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

// Reads a message as it arrives.
class MessageSink final : public BodySink {
 public:
  explicit MessageSink(const legacy::MessageLimits& limits) : parser_(limits) {}

  bool Write(std::string_view piece) override { return parser_.Write(piece); }
  size_t held_bytes() const override { return parser_.held_bytes(); }
  absl::StatusOr<legacy::Message> Finish() { return parser_.Finish(); }

 private:
  legacy::MessageParser parser_;
};

legacy::MessageLimits Limits(const Service& service) {
  return {.max_bytes = service.max_body_bytes};
}

Response JsonResponse() {
  Response response;
  response.content_type = legacy::ContentType(legacy::Format::kJson);
  return response;
}

Task<void> SendJson(Exchange& exchange, std::string body) {
  const Response response = JsonResponse();
  exchange.body() = std::move(body);
  co_await exchange.Send(response);
}

// /livez, /readyz.
Task<void> AnswerProbe(Exchange& exchange, const Service& service) {
  exchange.SetOperation(Operation::kHealth);
  Response response;
  response.content_type = kPlainText;
  response.headers = "Cache-Control: no-store\r\n";
  const Method method = exchange.request().method;
  if (method != Method::kGet && method != Method::kHead) {
    response.status = method == Method::kOptions ? 204 : 405;
    response.headers = kAllowProbe;
    if (response.status == 204) response.content_type = {};
    exchange.body() = response.status == 204 ? "" : "only GET and HEAD\n";
    co_await exchange.Send(response);
    co_return;
  }
  exchange.body() = "ok\n";
  if (exchange.request().path == "/readyz") {
    const absl::Status ready = service.upstream->Ready();
    if (!ready.ok()) {
      response.status = 503;
      exchange.body() = std::string(ready.message()) + "\n";
    }
  }
  co_await exchange.Send(response);
}

// Whether the request may go on; else it has been answered.
Task<bool> CheckUser(Exchange& exchange, const Service& service) {
  if (!exchange.request().needs_user) co_return true;
  absl::StatusOr<Credentials> credentials = ParseBasicAuth(exchange.request().authorization);
  absl::Status checked = credentials.status();
  if (credentials.ok()) {
    const auto check = [&](auto done) {
      service.users->Check(credentials->user, credentials->password, std::move(done));
    };
    checked = co_await Await<absl::Status>(exchange.executor(), check);
    if (checked.ok()) co_return true;
  }
  if (absl::IsResourceExhausted(checked) || absl::IsCancelled(checked)) {
    co_await SendError(exchange, service, 503, std::string(checked.message()));
    co_return false;
  }
  Response response = JsonResponse();
  response.status = 401;
  response.headers = "WWW-Authenticate: Basic realm=\"qasino\", charset=\"UTF-8\"\r\n";
  exchange.body() = legacy::ErrorBody(service.identity, std::string(checked.message()));
  co_await exchange.Send(response);
  co_return false;
}

// Ends a publish, or says why it cannot be sent.
Task<void> AnswerPublish(Exchange& exchange, const Service& service,
                         absl::StatusOr<v1::PublishRequest> request) {
  if (!request.ok()) {
    legacy::Told told = legacy::TellPublishError(request.status());
    // Nothing is overloaded: the table itself is too large.
    if (absl::IsResourceExhausted(request.status())) told.http_status = 413;
    co_await SendTold(exchange, service, std::move(told), false);
    co_return;
  }
  const auto publish = [&](auto done) { service.upstream->Publish(*request, std::move(done)); };
  const absl::StatusOr<v1::PublishResponse> answer =
      co_await Await<absl::StatusOr<v1::PublishResponse>>(exchange.executor(), publish);
  if (!answer.ok()) {
    co_await SendTold(exchange, service, legacy::TellPublishError(answer.status()), false);
    co_return;
  }
  const Response response = JsonResponse();
  exchange.body() = service.ok_body;
  co_await exchange.Send(response);
}

Task<void> AnswerNameValue(Exchange& exchange, const Service& service,
                           const Parameters& parameters) {
  exchange.SetOperation(Operation::kNameValue);
  const auto name = parameters.Find("name");
  const auto value = parameters.Find("value");
  if (!name || !value) {
    co_await SendError(exchange, service, 200, std::string(legacy::kUnrecognizedOperation));
    co_return;
  }
  absl::StatusOr<v1::PublishRequest> request =
      legacy::NameValuePublish(*name, *value, parameters.Find("identity").value_or("unknown"));
  if (!request.ok()) {
    co_await SendError(exchange, service, 200, std::string(request.status().message()));
    co_return;
  }
  co_await AnswerPublish(exchange, service, std::move(request));
}

// A statement, by GET or POST.
Task<void> AnswerStatement(Exchange& exchange, const Service& service, const Parameters& parameters,
                           std::optional<std::string> sql, bool running) {
  exchange.SetOperation(Operation::kQuery);
  const absl::StatusOr<legacy::Format> format =
      ChooseFormat(parameters.Find("format"), exchange.request().accept);
  if (!format.ok()) {
    co_await SendError(exchange, service, 200, std::string(format.status().message()));
    co_return;
  }
  const bool text_errors = *format == legacy::Format::kText;
  std::string message(legacy::kMustSpecifySql);
  if (sql && !sql->empty()) {
    std::optional<std::string> complete = legacy::Completed(*sql);
    if (complete && legacy::IsGoodbye(*complete)) {
      co_await SendJson(exchange, legacy::GoodbyeBody(service.identity));
      co_return;
    }
    if (complete) {
      Question question;
      question.sql = std::move(*complete);
      question.format = *format;
      question.running = running;
      question.text_errors = text_errors;
      question.cacheable = exchange.request().method != Method::kPost;
      co_await AnswerQuery(exchange, service, std::move(question));
      co_return;
    }
    message = legacy::kIncompleteStatement;
  } else if (text_errors) {
    message += ".";
  }
  if (text_errors) {
    co_await SendTextError(exchange, 200, std::move(message));
  } else {
    co_await SendError(exchange, service, 200, std::move(message));
  }
}

Task<void> AnswerGet(Exchange& exchange, const Service& service, const Parameters& parameters) {
  const std::string_view op = *parameters.Find("op");
  if (op == "query") {
    std::optional<std::string> sql;
    if (const auto given = parameters.Find("sql")) sql = *given;
    co_await AnswerStatement(exchange, service, parameters, std::move(sql), false);
  } else if (op == "name_value_update" && exchange.request().method == Method::kGet) {
    co_await AnswerNameValue(exchange, service, parameters);
  } else {
    co_await SendError(exchange, service, 200, std::string(legacy::kUnrecognizedOperation));
  }
}

Task<void> AnswerCsv(Exchange& exchange, const Service& service) {
  exchange.SetOperation(Operation::kAddCsvTable);
  StringSink sink;
  const absl::Status read = co_await exchange.ReadBody(sink);
  if (!read.ok()) {
    co_await SendBodyError(exchange, service, read);
    co_return;
  }
  absl::StatusOr<v1::PublishRequest> request =
      legacy::ParseCsvMessage(sink.text(), Limits(service));
  co_await AnswerPublish(exchange, service, std::move(request));
}

Task<void> AnswerPost(Exchange& exchange, const Service& service, const Parameters& parameters) {
  const std::string_view op = *parameters.Find("op");
  if (op == "add_csv_table_data") {
    co_await AnswerCsv(exchange, service);
    co_return;
  }
  if (op == "query") {
    exchange.SetOperation(Operation::kQuery);
  } else if (op == "add_table_data") {
    exchange.SetOperation(Operation::kAddTable);
  } else if (op == "get_table_list") {
    exchange.SetOperation(Operation::kTableList);
  } else {
    co_await SendError(exchange, service, 200, std::string(legacy::kUnrecognizedOperation));
    co_return;
  }

  auto sink = std::make_unique<MessageSink>(Limits(service));
  const absl::Status read = co_await exchange.ReadBody(*sink);
  if (!read.ok()) {
    co_await SendBodyError(exchange, service, read);
    co_return;
  }
  absl::StatusOr<legacy::Message> message = sink->Finish();
  // What it holds is not needed while the answer is made and sent.
  sink = nullptr;
  if (!message.ok()) {
    const int status = absl::IsResourceExhausted(message.status()) ? 413 : 200;
    std::string text(legacy::kCouldNotParsePostBody);
    text += std::string_view(message.status().message().data(), message.status().message().size());
    co_await SendError(exchange, service, status, std::move(text));
    co_return;
  }
  if (op == "add_table_data") {
    co_await AnswerPublish(exchange, service, std::move(message->publish));
    co_return;
  }
  // A table that came with a statement is of no use, and its answer may take long.
  message->publish = absl::CancelledError();
  if (op == "query") {
    co_await AnswerStatement(exchange, service, parameters, std::move(message->sql),
                             message->use_write_db);
  } else {
    Question question;
    question.sql = legacy::kTableListSql;
    question.format = legacy::Format::kTableList;
    question.prefix = legacy::TableListHead(service.identity);
    co_await AnswerQuery(exchange, service, std::move(question));
  }
}

}  // namespace

Task<void> Answer(Exchange& exchange, const Service& service) {
  const Request& request = exchange.request();
  if (request.path == "/livez" || request.path == "/readyz") {
    co_await AnswerProbe(exchange, service);
    co_return;
  }
  if (request.path != "/request" && !(request.path == "*" && request.method == Method::kOptions)) {
    co_await SendError(exchange, service, 404, "there is no such page");
    co_return;
  }
  if (request.method == Method::kOptions || request.method == Method::kOther) {
    Response response;
    response.status = 204;
    response.headers = kAllow;
    if (request.method == Method::kOther) {
      response.status = 405;
      response.content_type = legacy::ContentType(legacy::Format::kJson);
      exchange.body() = legacy::ErrorBody(service.identity, "the method is not allowed here");
    }
    co_await exchange.Send(response);
    co_return;
  }
  if (!co_await CheckUser(exchange, service)) co_return;
  absl::StatusOr<Parameters> parameters = Parameters::Parse(request.query);
  if (!parameters.ok()) {
    co_await SendError(exchange, service, 400, std::string(parameters.status().message()));
    co_return;
  }
  const auto op = parameters->Find("op");
  if (!op || op->empty()) {
    co_await SendError(exchange, service, 200, std::string(legacy::kNoOp));
  } else if (request.method == Method::kPost) {
    co_await AnswerPost(exchange, service, *parameters);
  } else {
    co_await AnswerGet(exchange, service, *parameters);
  }
}

}  // namespace qasino::http
