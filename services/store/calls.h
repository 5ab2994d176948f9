#ifndef QASINO_SERVICES_STORE_CALLS_H_
#define QASINO_SERVICES_STORE_CALLS_H_

#include <cstddef>
#include <functional>

#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/server/worker_pool.h"
#include "services/store/byte_budget.h"
#include "services/store/data_folder.h"
#include "services/store/shard_info.h"
#include "services/store/snapshot_keeper.h"
#include "services/store/store_metrics.h"
#include "services/store/stream_set.h"
#include "services/tables/validate_table.h"

namespace grpc {
class ByteBuffer;
class CallbackServerContext;
template <class Request>
class ServerReadReactor;
template <class Response>
class ServerWriteReactor;
class ServerUnaryReactor;
}  // namespace grpc

namespace qasino::store {

// What the store's calls work with. All of it outlives every call.
struct Calls {
  ShardLimits limits;
  tables::TableLimits table_limits;
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
  // Changes of static and persistent tables, and the memory that they take.
  StreamSet changes;
  ByteBudget changing;
};

// Each is the reactor of one call, which deletes itself. They parse their messages
// themselves: see messages.h.

// SnapshotStore.PutShard.
grpc::ServerReadReactor<grpc::ByteBuffer>* StartPutShard(Calls* calls,
                                                         grpc::CallbackServerContext* context,
                                                         grpc::ByteBuffer* response);

// SnapshotStore.GetShard.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartGetShard(Calls* calls,
                                                          grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request);

// SnapshotStore.GetCarriedShard.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartGetCarriedShard(
    Calls* calls, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request);

// SnapshotStore.WatchSnapshots.
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartWatchSnapshots(
    Calls* calls, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request);

// SnapshotStore.PutStaticTable, and the others that change tables.
grpc::ServerUnaryReactor* StartPutStaticTable(Calls* calls, grpc::CallbackServerContext* context,
                                              const grpc::ByteBuffer* request,
                                              grpc::ByteBuffer* response);
grpc::ServerUnaryReactor* StartDropStaticTable(Calls* calls, grpc::CallbackServerContext* context,
                                               const grpc::ByteBuffer* request,
                                               grpc::ByteBuffer* response);
grpc::ServerUnaryReactor* StartPutPersistentTable(Calls* calls,
                                                  grpc::CallbackServerContext* context,
                                                  const grpc::ByteBuffer* request,
                                                  grpc::ByteBuffer* response);
grpc::ServerUnaryReactor* StartDropPersistentTable(Calls* calls,
                                                   grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request,
                                                   grpc::ByteBuffer* response);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_CALLS_H_
