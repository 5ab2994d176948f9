#include "clients/cpp/publisher.h"

#include <grpcpp/channel.h>

#include <utility>

#include "clients/cpp/channel.h"
#include "clients/cpp/unary_call.h"
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
  return CallUnary<v1::PublishResponse>(*state_->channel, call, [&](auto* context, auto* response) {
    return state_->stub->Publish(context, request, response);
  });
}

}  // namespace qasino::client
