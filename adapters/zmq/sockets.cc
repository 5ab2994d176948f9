#include "adapters/zmq/sockets.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "adapters/zmq/curve_keys.h"
#include "adapters/zmq/envelope.h"
#include "adapters/zmq/zap.h"
#include "services/server/listen_address.h"
#include "services/server/log.h"

namespace qasino::zeromq {
namespace {

constexpr char kPart[] = "zmq";
// Where libzmq looks for who decides about clients.
constexpr char kZapEndpoint[] = "inproc://zeromq.zap.01";
constexpr char kZapDomain[] = "qasino";
constexpr std::chrono::milliseconds kLinger(100);
// A client that is silent is asked whether it lives. Those of old versions cannot answer, and
// must not be cut off while they wait for a long query.
constexpr std::chrono::milliseconds kHeartbeat(30'000);
constexpr std::chrono::milliseconds kHeartbeatTimeout(90'000);
// Connections that wait to be accepted, when a thousand clients come at once.
constexpr int kBacklog = 4096;
// Messages of one client that wait for the thread, and signals that wait for a subscriber.
constexpr int kReceiveLimit = 256;
constexpr int kSignalLimit = 256;
// More than a client needs for its signs of life.
constexpr int64_t kForgottenPerSecond = 8;
// A subscriber sends subscriptions only, few of them, and signs of life. libzmq needs some
// thirty times their size.
constexpr int64_t kMaxSubscriptionBytes = 4096;
constexpr Connections::Limits kSubscriberLimits = {
    .bytes_per_client = 64 << 10, .bytes = 16 << 20, .forgotten_per_second = kForgottenPerSecond};
// Requests that are taken before the answers that have come are sent.
constexpr int kMaxAtOnce = 256;

// A body on its way out, which libzmq sends without copying it. A lease is shared by the
// parts of an answer.
struct Body {
  std::string text;
  std::shared_ptr<Load::Lease> lease;
};

::zmq::message_t MakeMessage(std::string text, std::shared_ptr<Load::Lease> lease) {
  auto body = std::make_unique<Body>(Body{std::move(text), std::move(lease)});
  const auto free = [](void*, void* hint) { delete static_cast<Body*>(hint); };
  ::zmq::message_t message(body->text.data(), body->text.size(), free, body.get());
  body.release();
  return message;
}

int PortOf(const ::zmq::socket_t& door) {
  const std::string endpoint = door.get(::zmq::sockopt::last_endpoint);
  const size_t colon = endpoint.rfind(':');
  return colon == std::string::npos ? -1 : std::atoi(endpoint.c_str() + colon + 1);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Sockets>> Sockets::Create(SocketOptions options) {
  for (const int port : {options.port, options.pubsub_port}) {
    if (port < 0) continue;
    if (absl::Status status = server::CheckCanListen(options.listen, port); !status.ok()) {
      return status;
    }
  }
  const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    return absl::InternalError(fmt::format("cannot make an eventfd: {}", std::strerror(errno)));
  }
  std::unique_ptr<Sockets> sockets(new Sockets(std::move(options), wake));
  try {
    sockets->Open();
  } catch (const ::zmq::error_t& error) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {} with ZeroMQ: {}", sockets->options_.listen, error.what()));
  }
  return sockets;
}

Sockets::Sockets(SocketOptions options, int wake) : options_(std::move(options)), wake_(wake) {}

Sockets::~Sockets() {
  Close();
  close(wake_);
}

void Sockets::Open() {
  if (options_.curve && options_.curve->clients) {
    zap_.emplace(context_, ::zmq::socket_type::rep);
    zap_->set(::zmq::sockopt::linger, 0);
    zap_->bind(kZapEndpoint);
  }
  if (options_.port >= 0) {
    router_ = MakeDoor(::zmq::socket_type::router, options_.max_message_bytes);
    router_connections_.emplace(context_, *router_, "router", RouterLimits());
    Bind(*router_, options_.port);
    port_ = PortOf(*router_);
  }
  if (options_.pubsub_port >= 0) {
    pub_ = MakeDoor(::zmq::socket_type::xpub, kMaxSubscriptionBytes);
    pub_connections_.emplace(context_, *pub_, "pub", kSubscriberLimits);
    Bind(*pub_, options_.pubsub_port);
    pubsub_port_ = PortOf(*pub_);
  }
}

Connections::Limits Sockets::RouterLimits() const {
  const int64_t per_client = options_.max_message_bytes + (1 << 20);
  return {.bytes_per_client = per_client,
          .bytes = std::max(options_.max_unfinished_bytes, per_client),
          .forgotten_per_second = kForgottenPerSecond};
}

::zmq::socket_t Sockets::MakeDoor(::zmq::socket_type type, int64_t max_message_bytes) {
  namespace sockopt = ::zmq::sockopt;
  ::zmq::socket_t door(context_, type);
  door.set(sockopt::linger, static_cast<int>(kLinger.count()));
  door.set(sockopt::backlog, kBacklog);
  door.set(sockopt::maxmsgsize, max_message_bytes);
  door.set(sockopt::heartbeat_ivl, static_cast<int>(kHeartbeat.count()));
  door.set(sockopt::heartbeat_timeout, static_cast<int>(kHeartbeatTimeout.count()));
  // Those of old versions that have gone without a word are found by the kernel.
  door.set(sockopt::tcp_keepalive, 1);
  door.set(sockopt::tcp_keepalive_idle, 60);
  door.set(sockopt::tcp_keepalive_intvl, 10);
  door.set(sockopt::tcp_keepalive_cnt, 6);
  door.set(sockopt::ipv6, options_.listen.find(':') != std::string::npos);
  door.set(sockopt::rcvhwm, kReceiveLimit);
  if (type == ::zmq::socket_type::router) {
    // The leases bound what waits for a client; beyond a count here answers would be lost.
    door.set(sockopt::sndhwm, 0);
    door.set(sockopt::router_mandatory, false);
  } else {
    door.set(sockopt::sndhwm, kSignalLimit);
    // Each subscription is looked at before it is kept.
    door.set(sockopt::xpub_manual, true);
  }
  if (options_.curve) {
    door.set(sockopt::curve_server, true);
    door.set(sockopt::curve_secretkey, options_.curve->secret_key);
    if (options_.curve->clients) door.set(sockopt::zap_domain, kZapDomain);
  }
  return door;
}

void Sockets::Bind(::zmq::socket_t& door, int port) {
  door.bind(fmt::format("tcp://{}", server::JoinHostPort(options_.listen, port)));
}

void Sockets::Start(Receive receive) {
  receive_ = std::move(receive);
  thread_ = std::thread([this] { Loop(); });
}

template <typename Add>
void Sockets::Post(const Add& add) {
  bool wake;
  {
    absl::MutexLock lock(&mu_);
    if (closed_) return;
    wake = work_.IsEmpty();
    add(work_);
  }
  if (!wake) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof(one));
}

void Sockets::Send(Outgoing answer) {
  Post([&](Work& work) { work.answers.push_back(std::move(answer)); });
}

void Sockets::Publish(std::string frame) {
  Post([&](Work& work) { work.frames.push_back(std::move(frame)); });
}

void Sockets::Close() {
  Post([](Work& work) { work.stop = true; });
  if (thread_.joinable()) thread_.join();
  Work rest;
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    std::swap(rest, work_);
  }
  router_connections_.reset();
  pub_connections_.reset();
  router_.reset();
  pub_.reset();
  zap_.reset();
  context_.close();
}

void Sockets::Loop() {
  while (true) {
    try {
      if (!Step()) return;
    } catch (const std::exception& error) {
      // What stays must not keep a core busy.
      log::Error(kPart, "error of a ZeroMQ socket", {{"error", error.what()}});
      absl::SleepFor(absl::Milliseconds(10));
    }
  }
}

bool Sockets::Step() {
  std::vector<::zmq::pollitem_t> items = {{nullptr, wake_, ZMQ_POLLIN, 0}};
  for (std::optional<::zmq::socket_t>* door : {&zap_, &router_, &pub_}) {
    if (*door) items.push_back({(*door)->handle(), 0, ZMQ_POLLIN, 0});
  }
  bool connected = false;
  for (std::optional<Connections>* door : {&router_connections_, &pub_connections_}) {
    if (!*door) continue;
    items.push_back({(*door)->events().handle(), 0, ZMQ_POLLIN, 0});
    connected = connected || !(*door)->empty();
  }
  try {
    ::zmq::poll(items, connected ? absl::ToChronoMilliseconds(Connections::kLookEvery)
                                 : std::chrono::milliseconds(-1));
  } catch (const ::zmq::error_t& error) {
    if (error.num() != EINTR) throw;
  }
  const absl::Time now = absl::Now();
  for (std::optional<Connections>* door : {&router_connections_, &pub_connections_}) {
    if (*door) (*door)->Look(now);
  }
  if (zap_) AnswerZapRequests();
  if (pub_) ReceiveSubscriptions();
  if (router_) ReceiveRequests();
  return DoWork();
}

void Sockets::AnswerZapRequests() {
  while (true) {
    std::vector<::zmq::message_t> parts;
    do {
      ::zmq::message_t part;
      if (!zap_->recv(part, ::zmq::recv_flags::dontwait)) return;
      parts.push_back(std::move(part));
    } while (parts.back().more());
    std::vector<std::string_view> request;
    for (const ::zmq::message_t& part : parts) request.push_back(part.to_string_view());
    std::vector<std::string> answer = AnswerZap(request, *options_.curve->clients);
    // A REP has to answer; what libzmq does not understand refuses the client.
    if (answer.empty()) answer.emplace_back();
    for (size_t i = 0; i < answer.size(); ++i) {
      zap_->send(::zmq::buffer(answer[i]),
                 i + 1 < answer.size() ? ::zmq::send_flags::sndmore : ::zmq::send_flags::none);
    }
  }
}

void Sockets::ReceiveSubscriptions() {
  for (int i = 0; i < kMaxAtOnce; ++i) {
    ::zmq::message_t message;
    if (!pub_->recv(message, ::zmq::recv_flags::dontwait)) return;
    const std::string_view text = message.to_string_view();
    if (text.empty() || text[0] < 0 || text[0] > 1) continue;
    const std::string_view topic = text.substr(1);
    if (!options_.is_topic(topic)) continue;
    if (text[0] == 1) {
      pub_->set(::zmq::sockopt::subscribe, topic);
    } else {
      pub_->set(::zmq::sockopt::unsubscribe, topic);
    }
  }
}

void Sockets::ReceiveRequests() {
  for (int i = 0; i < kMaxAtOnce; ++i) {
    Received message;
    bool more = true;
    int64_t parts = 0;
    int64_t bytes = 0;
    while (more) {
      ::zmq::message_t part;
      // A message comes as a whole, so there is none when the first part is not there.
      if (!router_->recv(part, ::zmq::recv_flags::dontwait)) return;
      more = part.more();
      ++parts;
      bytes += static_cast<int64_t>(part.size());
      if (!more) router_connections_->Took(zmq_msg_get(part.handle(), ZMQ_SRCFD), bytes, parts);
      if (message.parts.size() < kMaxParts) {
        message.parts.push_back(std::move(part));
      } else {
        message.cut = true;
      }
    }
    receive_(std::move(message));
  }
}

bool Sockets::DoWork() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_, &count, sizeof(count));
  Work work;
  {
    absl::MutexLock lock(&mu_);
    std::swap(work, work_);
  }
  for (Outgoing& answer : work.answers) SendAnswer(std::move(answer));
  for (std::string& frame : work.frames) {
    if (pub_) pub_->send(MakeMessage(std::move(frame), nullptr), ::zmq::send_flags::dontwait);
  }
  return !work.stop;
}

void Sockets::SendAnswer(Outgoing answer) {
  if (!router_) return;
  // Without ROUTER_MANDATORY nothing is refused: what is for a client that is gone is thrown
  // away, all its parts.
  constexpr auto kMore = ::zmq::send_flags::dontwait | ::zmq::send_flags::sndmore;
  for (::zmq::message_t& part : answer.envelope) router_->send(std::move(part), kMore);
  const std::shared_ptr<Load::Lease> lease = std::move(answer.lease);
  for (size_t i = 0; i < answer.bodies.size(); ++i) {
    router_->send(MakeMessage(std::move(answer.bodies[i]), lease),
                  i + 1 < answer.bodies.size() ? kMore : ::zmq::send_flags::dontwait);
  }
}

}  // namespace qasino::zeromq
