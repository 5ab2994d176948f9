#include "services/store/service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/store/grpc_status.h"
#include "services/store/messages.h"

namespace qasino::store {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using grpc::ServerWriteReactor;

// All take bytes; see messages.h.
using ServiceMethods = v1::SnapshotStore::WithRawCallbackMethod_PutShard<
    v1::SnapshotStore::WithRawCallbackMethod_WatchSnapshots<
        v1::SnapshotStore::WithRawCallbackMethod_GetShard<
            v1::SnapshotStore::WithRawCallbackMethod_GetManifest<
                v1::SnapshotStore::WithRawCallbackMethod_ListGenerations<
                    v1::SnapshotStore::WithRawCallbackMethod_GetCarriedShard<
                        v1::SnapshotStore::WithRawCallbackMethod_PutStaticTable<
                            v1::SnapshotStore::WithRawCallbackMethod_DropStaticTable<
                                v1::SnapshotStore::WithRawCallbackMethod_PutPersistentTable<
                                    v1::SnapshotStore::WithRawCallbackMethod_DropPersistentTable<
                                        v1::SnapshotStore::Service>>>>>>>>>>;

class Service : public ServiceMethods {
 public:
  explicit Service(Calls* calls) : calls_(calls) {}

  grpc::ServerReadReactor<ByteBuffer>* PutShard(CallbackServerContext* context,
                                                ByteBuffer* response) override {
    return StartPutShard(calls_, context, response);
  }

  ServerWriteReactor<ByteBuffer>* WatchSnapshots(CallbackServerContext* context,
                                                 const ByteBuffer* request) override {
    return StartWatchSnapshots(calls_, context, request);
  }

  ServerWriteReactor<ByteBuffer>* GetShard(CallbackServerContext* context,
                                           const ByteBuffer* request) override {
    return StartGetShard(calls_, context, request);
  }

  ServerWriteReactor<ByteBuffer>* GetCarriedShard(CallbackServerContext* context,
                                                  const ByteBuffer* request) override {
    return StartGetCarriedShard(calls_, context, request);
  }

  ServerUnaryReactor* GetManifest(CallbackServerContext* context, const ByteBuffer* message,
                                  ByteBuffer* response) override {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    v1::GetManifestRequest request;
    absl::Status status = ParseSmallMessage(*message, request);
    if (status.ok()) {
      const auto manifest = calls_->keeper->GetManifest(request.generation());
      status = manifest.status();
      if (status.ok()) {
        reactor->Finish(WriteMessage(**manifest, response));
        return reactor;
      }
    }
    reactor->Finish(ToGrpc(status));
    return reactor;
  }

  ServerUnaryReactor* ListGenerations(CallbackServerContext* context, const ByteBuffer* message,
                                      ByteBuffer* response) override {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    v1::ListGenerationsRequest request;
    const absl::Status status = ParseSmallMessage(*message, request);
    reactor->Finish(status.ok() ? WriteMessage(calls_->keeper->ListGenerations(), response)
                                : ToGrpc(status));
    return reactor;
  }

  ServerUnaryReactor* PutStaticTable(CallbackServerContext* context, const ByteBuffer* request,
                                     ByteBuffer* response) override {
    return StartPutStaticTable(calls_, context, request, response);
  }

  ServerUnaryReactor* DropStaticTable(CallbackServerContext* context, const ByteBuffer* request,
                                      ByteBuffer* response) override {
    return StartDropStaticTable(calls_, context, request, response);
  }

  ServerUnaryReactor* PutPersistentTable(CallbackServerContext* context, const ByteBuffer* request,
                                         ByteBuffer* response) override {
    return StartPutPersistentTable(calls_, context, request, response);
  }

  ServerUnaryReactor* DropPersistentTable(CallbackServerContext* context, const ByteBuffer* request,
                                          ByteBuffer* response) override {
    return StartDropPersistentTable(calls_, context, request, response);
  }

 private:
  Calls* const calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewSnapshotStoreService(Calls* calls) {
  return std::make_unique<Service>(calls);
}

}  // namespace qasino::store
