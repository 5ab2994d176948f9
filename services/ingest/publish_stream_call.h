#ifndef QASINO_SERVICES_INGEST_PUBLISH_STREAM_CALL_H_
#define QASINO_SERVICES_INGEST_PUBLISH_STREAM_CALL_H_

#include <grpcpp/support/server_callback.h>

namespace qasino::ingest {

struct Shared;

// Ingest.PublishStream: hands a whole message at a time to the collector, has several under
// way, and writes the results in the order of the publishes, those that are ready as one
// message. The reactor owns itself.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* BeginPublishStream(Shared& shared);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_PUBLISH_STREAM_CALL_H_
