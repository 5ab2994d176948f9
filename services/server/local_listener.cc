#include "services/server/local_listener.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/server/log.h"
#include "services/server/read_size.h"

namespace qasino::server {
namespace {

// After an error that may last, such as too many open files.
constexpr absl::Duration kPause = absl::Milliseconds(100);

absl::Status NoSocket() {
  return absl::ResourceExhaustedError(
      fmt::format("no socket within the process: {}", std::strerror(errno)));
}

// The name that the system gave a socket, without the zero byte it begins with.
std::string NameOf(int socket) {
  sockaddr_un address = {};
  socklen_t size = sizeof address;
  constexpr socklen_t kBefore = offsetof(sockaddr_un, sun_path) + 1;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 || size <= kBefore) {
    return {};
  }
  return {address.sun_path + 1, size - kBefore};
}

bool IsOfThisProcess(int connection) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalListener>> LocalListener::Create(grpc::ServerBuilder& builder) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return NoSocket();
  // An address without a name: the system gives one that nobody has.
  const sockaddr_un none = {.sun_family = AF_UNIX, .sun_path = {}};
  std::string name;
  if (bind(listener, reinterpret_cast<const sockaddr*>(&none), sizeof none.sun_family) == 0 &&
      listen(listener, SOMAXCONN) == 0) {
    name = NameOf(listener);
  }
  if (name.empty()) {
    absl::Status status = NoSocket();
    close(listener);
    return status;
  }
  auto server = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  return std::unique_ptr<LocalListener>(
      new LocalListener(listener, fmt::format("unix-abstract:{}", name), std::move(server)));
}

LocalListener::LocalListener(int socket, std::string address,
                             std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server)
    : socket_(socket),
      address_(std::move(address)),
      server_(std::move(server)),
      thread_([this] { Accept(); }) {}

LocalListener::~LocalListener() {
  Stop();
  close(socket_);
}

void LocalListener::Stop() {
  if (!thread_.joinable()) return;
  stop_.Notify();
  // Wakes the thread.
  shutdown(socket_, SHUT_RDWR);
  thread_.join();
}

void LocalListener::Accept() {
  bool failing = false;
  while (!stop_.HasBeenNotified()) {
    const int connection = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) {
      const int error = errno;
      if (error == EINTR || stop_.HasBeenNotified()) continue;
      if (!std::exchange(failing, true)) {
        log::Warn("process", "cannot take a connection within the process",
                  {{"error", std::strerror(error)}});
      }
      stop_.WaitForNotificationWithTimeout(kPause);
      continue;
    }
    failing = false;
    if (!IsOfThisProcess(connection)) {
      close(connection);
      continue;
    }
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = socket_;
    parameters.fd = connection;
    server_->HandleNewConnection(&parameters);
  }
}

std::shared_ptr<grpc::Channel> LocalListener::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // In spite of its name: how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kMostReadAtOnce);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace qasino::server
