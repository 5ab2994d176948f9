#include "services/ingest/ingest_service.h"

#include <grpcpp/grpcpp.h>

#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/calls.h"
#include "services/ingest/publish_call.h"
#include "services/ingest/publish_stream_call.h"
#include "services/ingest/running_shard_call.h"
#include "services/ingest/watch_call.h"

namespace qasino::ingest {
namespace {

// The methods with texts in their requests take bytes: gRPC would answer a request that does
// not parse with UNIMPLEMENTED and no word.
using ServiceMethods = v1::Ingest::WithRawCallbackMethod_PublishStream<
    v1::Ingest::WithRawCallbackMethod_Publish<v1::Ingest::WithCallbackMethod_WatchGenerations<
        v1::Ingest::WithCallbackMethod_GetRunningShard<v1::Ingest::Service>>>>;

}  // namespace

class IngestService::Service final : public ServiceMethods {
 public:
  Service(const Options& options, Collector& collector, Clock& clock, Metrics& metrics)
      : shared_{.options = options, .collector = collector, .clock = clock, .metrics = metrics} {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return BeginPublish(shared_, context, request, response);
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublishStream(
      grpc::CallbackServerContext*) override {
    return BeginPublishStream(shared_);
  }

  grpc::ServerWriteReactor<v1::WatchGenerationsResponse>* WatchGenerations(
      grpc::CallbackServerContext*, const v1::WatchGenerationsRequest*) override {
    return BeginWatch(shared_);
  }

  grpc::ServerWriteReactor<v1::GetShardResponse>* GetRunningShard(
      grpc::CallbackServerContext* context, const v1::GetRunningShardRequest*) override {
    return BeginRunningShard(shared_, context);
  }

  Streams& streams() { return shared_.streams; }

 private:
  Shared shared_;
};

IngestService::IngestService(const Options& options, Collector& collector, Clock& clock,
                             Metrics& metrics)
    : service_(std::make_unique<Service>(options, collector, clock, metrics)) {}

IngestService::~IngestService() = default;

grpc::Service& IngestService::service() { return *service_; }

void IngestService::Announce(int64_t generation) { service_->streams().Tell(generation); }

void IngestService::Stop() { service_->streams().Stop(); }

bool IngestService::AwaitEnd(absl::Time deadline) { return service_->streams().AwaitEnd(deadline); }

}  // namespace qasino::ingest
