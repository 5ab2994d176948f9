#ifndef QASINO_SERVICES_SERVER_LOCAL_LISTENER_H_
#define QASINO_SERVICES_SERVER_LOCAL_LISTENER_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"

namespace grpc {
class Channel;
class ServerBuilder;
namespace experimental {
class ExternalConnectionAcceptor;
}
}  // namespace grpc

namespace qasino::server {

// By what a gRPC server is reached from within its own process: a Unix socket without a file, on
// which connections of other processes are closed unanswered. gRPC's channel without a socket
// will not do: it loses the last message of an answer whose status comes before the client asks
// for it, never ends such a call, and crashes when it is used after the server's end.
//
//   grpc::ServerBuilder builder;
//   auto listener = LocalListener::Create(builder);
//   auto server = builder.BuildAndStart();
//   auto stub = v1::Ingest::NewStub((*listener)->NewChannel());
//
// Who is of another process, the kernel tells by its number (SO_PEERCRED); where a sandbox in the
// kernel's place does not, all who share its network namespace are let in.
//
// Has one thread, which waits for connections. gRPC neither answers nor closes connections that
// come before the server is started or after it is shut down: so channels are used after
// BuildAndStart, and Stop comes before Shutdown.
class LocalListener {
 public:
  // Takes connections for the server that `builder` builds. RESOURCE_EXHAUSTED when the system
  // gives no socket.
  static absl::StatusOr<std::unique_ptr<LocalListener>> Create(grpc::ServerBuilder& builder);

  // Lets go of the address, which others may then take: when nobody calls on a channel any more.
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Refuses further connections; those there are stay. Any thread but one at a time.
  void Stop();

  // A channel with a connection of its own, which it makes anew when it is lost. Messages have no
  // limit on its side. Calls are UNAVAILABLE at once when the server has ended. Thread-safe.
  std::shared_ptr<grpc::Channel> NewChannel() const;

 private:
  LocalListener(int socket, std::string address,
                std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server);
  void Accept();

  const int socket_;
  const std::string address_;
  const std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  absl::Notification stop_;
  std::thread thread_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_LOCAL_LISTENER_H_
