#ifndef QASINO_SERVICES_INGEST_PUBLISH_CALL_H_
#define QASINO_SERVICES_INGEST_PUBLISH_CALL_H_

namespace grpc {
class ByteBuffer;
class CallbackServerContext;
class ServerUnaryReactor;
}  // namespace grpc

namespace qasino::ingest {

struct Shared;

// Ingest.Publish: looks the message through, parses it when the queue has room, and hands it
// to the collector, whose answer ends the call. `request` and `response` are the call's; its
// reactor owns itself.
grpc::ServerUnaryReactor* BeginPublish(Shared& shared, grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_PUBLISH_CALL_H_
