#ifndef QASINO_CLIENTS_CPP_UNARY_CALL_H_
#define QASINO_CLIENTS_CPP_UNARY_CALL_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"

namespace qasino::client {

// Makes a unary call that may be repeated, and waits for its answer: UNAVAILABLE is tried
// again within the time limit, as RetryPolicy says. When the time ends while the server is
// away, the error is its UNAVAILABLE.
//
//   return CallUnary<v1::PublishResponse>(*channel, call, [&](auto* context, auto* response) {
//     return stub->Publish(context, request, response);
//   });
template <typename Response, typename Call>
absl::StatusOr<Response> CallUnary(const Channel& channel, const CallOptions& options,
                                   const Call& call) {
  const absl::Time deadline = channel.Deadline(options);
  Backoff backoff(channel.options().retry);
  absl::Status unavailable;
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    SetDeadline(deadline, &context);
    Response response;
    absl::Status status = channel.ToStatus(call(&context, &response));
    if (status.ok()) return response;
    if (status.code() == absl::StatusCode::kDeadlineExceeded && !unavailable.ok()) {
      return unavailable;
    }
    if (status.code() != absl::StatusCode::kUnavailable) return status;
    unavailable = std::move(status);
    if (attempt >= channel.options().retry.attempts) return unavailable;
    const absl::Duration wait = backoff.Next();
    if (absl::Now() + wait >= deadline) return unavailable;
    absl::SleepFor(wait);
  }
}

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_UNARY_CALL_H_
