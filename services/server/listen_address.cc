#include "services/server/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace qasino::server {
namespace {

struct Endpoint {
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&storage); }

  sockaddr_storage storage = {};
  socklen_t length = 0;
};

// Nothing when it is not an IP address.
std::optional<Endpoint> Resolve(const std::string& address, int port) {
  Endpoint endpoint;
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(&endpoint.storage);
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&endpoint.storage);
  if (inet_pton(AF_INET, address.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(static_cast<uint16_t>(port));
    endpoint.length = sizeof(*ipv4);
    return endpoint;
  }
  if (inet_pton(AF_INET6, address.c_str(), &ipv6->sin6_addr) == 1) {
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(static_cast<uint16_t>(port));
    endpoint.length = sizeof(*ipv6);
    return endpoint;
  }
  return std::nullopt;
}

}  // namespace

std::string JoinHostPort(std::string_view address, int port) {
  const bool ipv6 = address.find(':') != std::string_view::npos;
  return ipv6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

absl::Status CheckCanListen(const std::string& address, int port) {
  const auto fault = [&](std::string_view why) {
    return fmt::format("cannot listen on {}: {}", JoinHostPort(address, port), why);
  };
  const std::optional<Endpoint> endpoint = Resolve(address, port);
  if (!endpoint) return absl::InvalidArgumentError(fault("that is not an IP address"));
  const int probe = socket(endpoint->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return absl::UnavailableError(fault(std::strerror(errno)));
  // As the servers do: what remains of closed connections is in nobody's way.
  const int on = 1;
  setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const int bound = bind(probe, endpoint->address(), endpoint->length);
  const int error = bound == 0 ? 0 : errno;
  close(probe);
  if (error == 0) return absl::OkStatus();
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        fault("address already in use; is another process running, or should the port be 0 (a "
              "free one)?"));
  }
  return absl::UnavailableError(fault(std::strerror(error)));
}

void Connect(const std::string& address, int port) {
  const std::optional<Endpoint> endpoint = Resolve(address, port);
  if (!endpoint) return;
  const int fd = socket(endpoint->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  [[maybe_unused]] const int result = connect(fd, endpoint->address(), endpoint->length);
  close(fd);
}

}  // namespace qasino::server
