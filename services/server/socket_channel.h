#ifndef QASINO_SERVICES_SERVER_SOCKET_CHANNEL_H_
#define QASINO_SERVICES_SERVER_SOCKET_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class Channel;
class Server;
}  // namespace grpc

namespace qasino::server {

// A connection to a server of this process, by a pair of sockets that nobody else has.
// `name` is for messages. For streams: gRPC's channel without a socket loses the last message
// of an answer whose status comes before the client asks for it, and never ends such a call.
// Messages have no limit on the client's side. Calls after the server's end are UNAVAILABLE;
// it does not connect again. RESOURCE_EXHAUSTED when the system gives no socket.
absl::StatusOr<std::shared_ptr<grpc::Channel>> SocketChannel(grpc::Server& server,
                                                             const std::string& name);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_SOCKET_CHANNEL_H_
