#include "services/server/socket_channel.h"

#include <fmt/format.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/server.h>
#include <grpcpp/server_posix.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"

namespace qasino::server {

absl::StatusOr<std::shared_ptr<grpc::Channel>> SocketChannel(grpc::Server& server,
                                                             const std::string& name) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return absl::ResourceExhaustedError(
        fmt::format("no socket to {}: {}", name, std::strerror(errno)));
  }
  // gRPC closes both.
  grpc::AddInsecureChannelFromFd(&server, ends[0]);
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomInsecureChannelFromFd(name, ends[1], arguments);
}

}  // namespace qasino::server
