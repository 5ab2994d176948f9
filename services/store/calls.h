#ifndef QASINO_SERVICES_STORE_CALLS_H_
#define QASINO_SERVICES_STORE_CALLS_H_

#include <cstddef>
#include <functional>

#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/server/worker_pool.h"
#include "services/store/data_folder.h"
#include "services/store/shard_info.h"
#include "services/store/snapshot_keeper.h"
#include "services/store/store_metrics.h"
#include "services/store/stream_set.h"

namespace grpc {
class ByteBuffer;
class CallbackServerContext;
template <class Request>
class ServerReadReactor;
template <class Response>
class ServerWriteReactor;
}  // namespace grpc

namespace qasino::store {

// What the store's calls work with. All of it outlives every call.
struct Calls {
  ShardLimits limits;
  // A peer that neither sends nor takes anything for so long is given up.
  absl::Duration idle_limit;
  size_t chunk_bytes;  // sent at a time; at most 1 MiB
  std::function<absl::Time()> steady_clock;

  DataFolder* folder;
  SnapshotKeeper* keeper;
  server::WorkerPool* pool;
  StoreMetrics* metrics;

  StreamSet puts;
  StreamSet gets;
  StreamSet watches;
};

// SnapshotStore.PutShard: the reactor of one call, which deletes itself. It parses the
// messages itself, on the pool.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartPutShard(Calls* calls,
                                                         grpc::CallbackServerContext* context,
                                                         grpc::ByteBuffer* response);

// SnapshotStore.GetShard, likewise.
grpc::ServerWriteReactor<v1::GetShardResponse>* StartGetShard(Calls* calls,
                                                              grpc::CallbackServerContext* context,
                                                              const v1::GetShardRequest& request);

// SnapshotStore.WatchSnapshots, likewise.
grpc::ServerWriteReactor<v1::WatchSnapshotsResponse>* StartWatchSnapshots(
    Calls* calls, grpc::CallbackServerContext* context, const v1::WatchSnapshotsRequest& request);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_CALLS_H_
