#include "clients/cpp/publisher.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"
#include "qasino/v1/ingest.grpc.pb.h"

namespace qasino::client {

struct Publisher::State {
  explicit State(std::shared_ptr<const Channel> the_channel)
      : channel(std::move(the_channel)), stub(v1::Ingest::NewStub(channel->grpc())) {}

  const std::shared_ptr<const Channel> channel;
  const std::unique_ptr<v1::Ingest::Stub> stub;
};

absl::StatusOr<std::unique_ptr<Publisher>> Publisher::Create(const ConnectOptions& options) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel =
      Channel::Create(options, "qasino-ingest");
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<Publisher>(new Publisher(std::make_unique<State>(*std::move(channel))));
}

Publisher::Publisher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Publisher::~Publisher() = default;

absl::StatusOr<v1::PublishResponse> Publisher::Publish(const v1::PublishRequest& request,
                                                       const CallOptions& call) {
  const Channel& channel = *state_->channel;
  const absl::Time deadline = channel.Deadline(call);
  Backoff backoff(channel.options().retry);
  absl::Status unavailable;
  for (int attempt = 1;; ++attempt) {
    grpc::ClientContext context;
    SetDeadline(deadline, &context);
    v1::PublishResponse response;
    absl::Status status = channel.ToStatus(state_->stub->Publish(&context, request, &response));
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
