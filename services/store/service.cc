#include "services/store/service.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/store/grpc_status.h"

namespace qasino::store {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// PutShard takes bytes; see StartPutShard.
using ServiceMethods = v1::SnapshotStore::WithRawCallbackMethod_PutShard<
    v1::SnapshotStore::WithCallbackMethod_WatchSnapshots<
        v1::SnapshotStore::WithCallbackMethod_GetShard<
            v1::SnapshotStore::WithCallbackMethod_GetManifest<
                v1::SnapshotStore::WithCallbackMethod_ListGenerations<
                    v1::SnapshotStore::WithCallbackMethod_PutStaticTable<
                        v1::SnapshotStore::WithCallbackMethod_DropStaticTable<
                            v1::SnapshotStore::WithCallbackMethod_PutPersistentTable<
                                v1::SnapshotStore::WithCallbackMethod_DropPersistentTable<
                                    v1::SnapshotStore::Service>>>>>>>>>;

class Service : public ServiceMethods {
 public:
  explicit Service(Calls* calls) : calls_(calls) {}

  grpc::ServerReadReactor<grpc::ByteBuffer>* PutShard(CallbackServerContext* context,
                                                      grpc::ByteBuffer* response) override {
    return StartPutShard(calls_, context, response);
  }

  grpc::ServerWriteReactor<v1::WatchSnapshotsResponse>* WatchSnapshots(
      CallbackServerContext* context, const v1::WatchSnapshotsRequest* request) override {
    return StartWatchSnapshots(calls_, context, *request);
  }

  grpc::ServerWriteReactor<v1::GetShardResponse>* GetShard(
      CallbackServerContext* context, const v1::GetShardRequest* request) override {
    return StartGetShard(calls_, context, *request);
  }

  ServerUnaryReactor* GetManifest(CallbackServerContext* context,
                                  const v1::GetManifestRequest* request,
                                  v1::Manifest* response) override {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    const auto manifest = calls_->keeper->GetManifest(request->generation());
    if (manifest.ok()) *response = **manifest;
    reactor->Finish(ToGrpc(manifest.status()));
    return reactor;
  }

  ServerUnaryReactor* ListGenerations(CallbackServerContext* context,
                                      const v1::ListGenerationsRequest*,
                                      v1::ListGenerationsResponse* response) override {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    *response = calls_->keeper->ListGenerations();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  ServerUnaryReactor* PutStaticTable(CallbackServerContext* context,
                                     const v1::PutStaticTableRequest*,
                                     v1::PutStaticTableResponse*) override {
    return NotOffered(context, "PutStaticTable: this store keeps no static tables");
  }

  ServerUnaryReactor* DropStaticTable(CallbackServerContext* context,
                                      const v1::DropStaticTableRequest*,
                                      v1::DropStaticTableResponse*) override {
    return NotOffered(context, "DropStaticTable: this store keeps no static tables");
  }

  ServerUnaryReactor* PutPersistentTable(CallbackServerContext* context,
                                         const v1::PutPersistentTableRequest*,
                                         v1::PutPersistentTableResponse*) override {
    return NotOffered(context, "PutPersistentTable: this store keeps no persistent tables");
  }

  ServerUnaryReactor* DropPersistentTable(CallbackServerContext* context,
                                          const v1::DropPersistentTableRequest*,
                                          v1::DropPersistentTableResponse*) override {
    return NotOffered(context, "DropPersistentTable: this store keeps no persistent tables");
  }

 private:
  static ServerUnaryReactor* NotOffered(CallbackServerContext* context, const char* message) {
    ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, message));
    return reactor;
  }

  Calls* const calls_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewSnapshotStoreService(Calls* calls) {
  return std::make_unique<Service>(calls);
}

}  // namespace qasino::store
