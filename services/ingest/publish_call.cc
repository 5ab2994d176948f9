#include "services/ingest/publish_call.h"

#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <memory>
#include <optional>
#include <utility>

#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/calls.h"
#include "services/ingest/validate.h"
#include "services/ingest/wire_scan.h"

namespace qasino::ingest {
namespace {

absl::Status NoPublishRequest() {
  return absl::InvalidArgumentError(
      "the message is not a PublishRequest (texts must be valid UTF-8)");
}

// What the message takes in memory, when that is within the limits. It is not parsed for it.
absl::StatusOr<WireSize> ScanPublish(grpc::ByteBuffer* message, const Limits& limits) {
  grpc::ProtoBufferReader reader(message);
  if (!reader.status().ok()) return NoPublishRequest();
  const auto size = ScanPublishRequest(reader, static_cast<int64_t>(message->Length()));
  if (!size.has_value()) return NoPublishRequest();
  const absl::Status status = CheckPublish(*size, limits);
  if (!status.ok()) return status;
  return *size;
}

class UnaryBatch : public PublishBatch {
 public:
  UnaryBatch(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response)
      : reactor_(reactor), response_(response) {}

  // Reads the message, for which room was reserved, and validates the publish.
  absl::Status Parse(grpc::ByteBuffer* message, const WireSize& size, Shared& shared) {
    bytes = size.memory;
    publishes = size.publishes;
    const auto length = static_cast<int64_t>(message->Length());
    auto* request = google::protobuf::Arena::CreateMessage<v1::PublishRequest>(&arena_);
    grpc::ProtoBufferReader reader(message);
    if (!reader.status().ok() || !request->ParseFromZeroCopyStream(&reader)) {
      return NoPublishRequest();
    }
    shared.metrics.bytes.Increment(static_cast<double>(length));
    shared.collector.CountReceived(request->update());
    items.resize(1);
    items[0].publish = request;
    return ValidatePublish(*request, length, shared.options.limits);
  }

  // Once it is parsed.
  bool IsUpdate() const { return !items.empty() && items[0].publish->update(); }

  void Answer() override {
    const PublishItem& item = items[0];
    if (!item.status.ok()) {
      reactor_->Finish(ToGrpc(item.status));
      return;
    }
    v1::PublishResponse response;
    response.set_generation(item.generation);
    response.set_duplicate(item.duplicate);
    bool own_buffer = false;
    reactor_->Finish(grpc::SerializationTraits<v1::PublishResponse>::Serialize(response, response_,
                                                                               &own_buffer));
  }

 private:
  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* response_;
  google::protobuf::Arena arena_;
};

// Hands the publish to the collector, or says why not.
absl::Status Take(Shared& shared, const grpc::ByteBuffer& message,
                  std::unique_ptr<UnaryBatch> batch) {
  grpc::ByteBuffer copy(message);  // of the reference; reading needs one that is not const
  const absl::StatusOr<WireSize> size = ScanPublish(&copy, shared.options.limits);
  if (!size.ok()) return size.status();
  absl::Status status = shared.collector.Reserve(size->memory, size->publishes);
  if (!status.ok()) return status;
  status = batch->Parse(&copy, *size, shared);
  const bool update = batch->IsUpdate();
  if (status.ok()) {
    status = shared.collector.Submit(std::move(batch));
  } else {
    batch.reset();
    shared.collector.Release(size->memory, size->publishes);
  }
  if (!status.ok() && update) shared.collector.CountUpdateErrors(1);
  return status;
}

}  // namespace

grpc::ServerUnaryReactor* BeginPublish(Shared& shared, grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::Status status =
      Take(shared, *request, std::make_unique<UnaryBatch>(reactor, response));
  if (!status.ok()) {
    shared.metrics.CountRefused(status.code());
    reactor->Finish(ToGrpc(status));
  }
  return reactor;
}

}  // namespace qasino::ingest
