#ifndef QASINO_SERVICES_INGEST_RUNNING_SHARD_CALL_H_
#define QASINO_SERVICES_INGEST_RUNNING_SHARD_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "qasino/v1/snapshot.pb.h"

namespace qasino::ingest {

struct Shared;

// Ingest.GetRunningShard. A reader that takes nothing for too long is given up, with its copy.
// The reactor owns itself.
grpc::ServerWriteReactor<v1::GetShardResponse>* BeginRunningShard(
    Shared& shared, grpc::CallbackServerContext* context);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_RUNNING_SHARD_CALL_H_
