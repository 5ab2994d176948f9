#include "adapters/http/errors.h"

#include <utility>

#include "adapters/legacy/result_writer.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

Response ErrorResponse(int status, legacy::Format format) {
  Response response;
  response.status = status;
  response.content_type = legacy::ContentType(format);
  // It passes by itself.
  if (status == 429 || status == 503) response.headers = "Retry-After: 1\r\n";
  return response;
}

int StatusOfBody(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return 413;
    case absl::StatusCode::kDeadlineExceeded:
      return 408;
    case absl::StatusCode::kUnimplemented:
      return 415;
    case absl::StatusCode::kFailedPrecondition:
      return 417;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 400;
  }
}

}  // namespace

Task<bool> SendError(Exchange& exchange, const Service& service, int status, std::string message) {
  log::Debug("http", "error answered", {{"status", status}, {"error", message}});
  const Response response = ErrorResponse(status, legacy::Format::kJson);
  exchange.body() = legacy::ErrorBody(service.identity, message);
  co_return co_await exchange.Send(response);
}

Task<bool> SendTextError(Exchange& exchange, int status, std::string message) {
  log::Debug("http", "error answered", {{"status", status}, {"error", message}});
  const Response response = ErrorResponse(status, legacy::Format::kText);
  exchange.body() = std::move(message);
  co_return co_await exchange.Send(response);
}

Task<bool> SendTold(Exchange& exchange, const Service& service, legacy::Told told, bool text) {
  if (text) return SendTextError(exchange, told.http_status, std::move(told.text_message));
  return SendError(exchange, service, told.http_status, std::move(told.json_message));
}

Task<bool> SendBodyError(Exchange& exchange, const Service& service, absl::Status status) {
  if (status.code() == absl::StatusCode::kCancelled) co_return false;
  co_return co_await SendError(exchange, service, StatusOfBody(status),
                               std::string(status.message()));
}

}  // namespace qasino::http
