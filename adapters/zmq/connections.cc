#include "adapters/zmq/connections.h"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "services/server/log.h"

namespace qasino::zeromq {
namespace {

constexpr char kPart[] = "zmq";
// More than ZMTP, with CURVE, adds to a part; so that nothing is left over of long traffic.
constexpr int64_t kPartOverhead = 64;
// With less it does not matter what of it is still in the kernel.
constexpr int64_t kFew = 64 << 10;

// What a connection has brought in its life, as far as the kernel gave it to libzmq.
std::optional<int64_t> ReadBytes(int fd, int64_t taken) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  auto bytes = static_cast<int64_t>(info.tcpi_bytes_received);
  int unread = 0;
  if (bytes - taken > kFew && ioctl(fd, SIOCINQ, &unread) == 0) bytes -= unread;
  return bytes;
}

}  // namespace

Connections::Connections(::zmq::context_t& context, ::zmq::socket_t& door, const std::string& name,
                         const Limits& limits)
    : door_(door), events_(context, ::zmq::socket_type::pair), limits_(limits) {
  const std::string endpoint = fmt::format("inproc://events-{}", name);
  // libzmq's own thread waits where there is no room for an event.
  events_.set(::zmq::sockopt::rcvhwm, 0);
  events_.set(::zmq::sockopt::linger, 0);
  if (zmq_socket_monitor(door_.handle(), endpoint.c_str(),
                         ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0) {
    throw ::zmq::error_t();
  }
  events_.connect(endpoint);
}

Connections::~Connections() { zmq_socket_monitor(door_.handle(), nullptr, 0); }

void Connections::Took(int fd, int64_t bytes, int64_t parts) {
  auto found = connections_.find(fd);
  if (found == connections_.end()) {
    TakeEvents();
    found = connections_.find(fd);
    if (found == connections_.end()) return;
  }
  found->second.taken += bytes + parts * kPartOverhead;
  found->second.progress = true;
}

void Connections::TakeEvents() {
  while (true) {
    ::zmq::message_t event, address;
    if (!events_.recv(event, ::zmq::recv_flags::dontwait)) return;
    if (event.more()) (void)events_.recv(address, ::zmq::recv_flags::dontwait);
    uint16_t what;
    uint32_t fd;
    if (event.size() != sizeof(what) + sizeof(fd)) continue;
    std::memcpy(&what, event.data(), sizeof(what));
    std::memcpy(&fd, static_cast<const char*>(event.data()) + sizeof(what), sizeof(fd));
    if (what == ZMQ_EVENT_ACCEPTED) connections_[static_cast<int>(fd)] = Connection();
    if (what == ZMQ_EVENT_DISCONNECTED) connections_.erase(static_cast<int>(fd));
  }
}

void Connections::Look(absl::Time now) {
  TakeEvents();
  if (now - looked_ < kLookEvery) return;
  const absl::Duration passed =
      looked_ == absl::InfinitePast() ? absl::ZeroDuration() : now - looked_;
  looked_ = now;
  const int64_t forgotten =
      std::max<int64_t>(0, absl::ToInt64Milliseconds(passed) * limits_.forgotten_per_second / 1000);
  int64_t all = 0;
  for (auto& [fd, connection] : connections_) {
    if (connection.hung_up) continue;
    const std::optional<int64_t> read = ReadBytes(fd, connection.taken);
    if (!read) continue;
    connection.taken = std::min(connection.taken + forgotten, *read);
    connection.waiting = std::exchange(connection.progress, false) ? 0 : *read - connection.taken;
    if (connection.waiting > limits_.bytes_per_client) {
      HangUp(fd, connection);
    } else {
      all += connection.waiting;
    }
  }
  while (all > limits_.bytes) {
    const auto most = std::max_element(connections_.begin(), connections_.end(),
                                       [](const auto& one, const auto& other) {
                                         return one.second.waiting < other.second.waiting;
                                       });
    all -= most->second.waiting;
    HangUp(most->first, most->second);
  }
}

void Connections::HangUp(int fd, Connection& connection) {
  log::Warn(kPart, "a client is hung up on: it sends more than can be taken from it",
            {{"bytes", std::exchange(connection.waiting, 0)}});
  connection.hung_up = true;
  // libzmq closes it when it sees the end.
  shutdown(fd, SHUT_RDWR);
}

}  // namespace qasino::zeromq
