#ifndef QASINO_SERVICES_INGEST_WATCH_CALL_H_
#define QASINO_SERVICES_INGEST_WATCH_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "qasino/v1/ingest.pb.h"

namespace qasino::ingest {

struct Shared;

// Ingest.WatchGenerations. The reactor owns itself.
grpc::ServerWriteReactor<v1::WatchGenerationsResponse>* BeginWatch(Shared& shared);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_WATCH_CALL_H_
