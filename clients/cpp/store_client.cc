#include "clients/cpp/store_client.h"

#include <grpcpp/channel.h>

#include <utility>

#include "clients/cpp/channel.h"
#include "clients/cpp/unary_call.h"
#include "qasino/v1/snapshot.grpc.pb.h"

namespace qasino::client {

struct StoreClient::State {
  explicit State(std::shared_ptr<const Channel> the_channel)
      : channel(std::move(the_channel)), stub(v1::SnapshotStore::NewStub(channel->grpc())) {}

  const std::shared_ptr<const Channel> channel;
  const std::unique_ptr<v1::SnapshotStore::Stub> stub;
};

absl::StatusOr<std::unique_ptr<StoreClient>> StoreClient::Create(const ConnectOptions& options) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel = Channel::Create(options, "qasino-store");
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<StoreClient>(
      new StoreClient(std::make_unique<State>(*std::move(channel))));
}

StoreClient::StoreClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
StoreClient::~StoreClient() = default;

absl::StatusOr<v1::DropStaticTableResponse> StoreClient::DropStaticTable(
    std::string_view table_name, const CallOptions& call) {
  v1::DropStaticTableRequest request;
  request.set_table_name(table_name.data(), table_name.size());
  return CallUnary<v1::DropStaticTableResponse>(
      *state_->channel, call, [&](auto* context, auto* response) {
        return state_->stub->DropStaticTable(context, request, response);
      });
}

absl::StatusOr<v1::DropPersistentTableResponse> StoreClient::DropPersistentTable(
    std::string_view identity, std::string_view table_name, const CallOptions& call) {
  v1::DropPersistentTableRequest request;
  request.set_identity(identity.data(), identity.size());
  request.set_table_name(table_name.data(), table_name.size());
  return DropPersistentTable(request, call);
}

absl::StatusOr<v1::DropPersistentTableResponse> StoreClient::DropPersistentTable(
    const v1::DropPersistentTableRequest& request, const CallOptions& call) {
  return CallUnary<v1::DropPersistentTableResponse>(
      *state_->channel, call, [&](auto* context, auto* response) {
        return state_->stub->DropPersistentTable(context, request, response);
      });
}

absl::StatusOr<v1::ListGenerationsResponse> StoreClient::ListGenerations(const CallOptions& call) {
  return CallUnary<v1::ListGenerationsResponse>(
      *state_->channel, call, [&](auto* context, auto* response) {
        return state_->stub->ListGenerations(context, v1::ListGenerationsRequest(), response);
      });
}

}  // namespace qasino::client
