#ifndef QASINO_ADAPTERS_ZMQ_SOCKETS_H_
#define QASINO_ADAPTERS_ZMQ_SOCKETS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "adapters/zmq/connections.h"
#include "adapters/zmq/load.h"

namespace qasino::zeromq {

// Who may connect; without it anybody may, and in plain text.
struct CurveOptions {
  // In Z85.
  std::string secret_key;
  // 32 bytes each. None: whoever knows the server's public key.
  std::optional<std::set<std::string, std::less<>>> clients;
};

struct SocketOptions {
  // An IP address.
  std::string listen;
  // 0 takes a free one, -1 has none.
  int port = 0;
  int pubsub_port = 0;
  // Of one part; whoever sends a longer one is disconnected.
  int64_t max_message_bytes = 32 << 20;
  // What clients may have sent of messages that are not whole, in all. Each may have sent one
  // part and 1 MiB; whoever sends more is disconnected.
  int64_t max_unfinished_bytes = 256 << 20;
  std::optional<CurveOptions> curve;
  // Whether a subscription can match what is published; others are not kept.
  absl::AnyInvocable<bool(std::string_view topic)> is_topic;
};

// A message from the ROUTER.
struct Received {
  // The first is the sender's routing id. At most kMaxParts.
  std::vector<::zmq::message_t> parts;
  // There were more.
  bool cut = false;
};

// An answer.
struct Outgoing {
  std::vector<::zmq::message_t> envelope;
  // At least one.
  std::vector<std::string> bodies;
  // Kept until the bodies have left for the network, or were thrown away because the
  // client is gone.
  std::unique_ptr<Load::Lease> lease;
};

// The adapter's ZeroMQ sockets, a ROUTER and a PUB, and the one thread that uses them.
//
//   auto sockets = Sockets::Create(options);   // the ports are open
//   (*sockets)->Start([&](Received message) { ... (*sockets)->Send(answer); });
//   ...
//   (*sockets)->Close();
//
// Send and Publish may be called from any thread, and do not wait; the rest
// by one thread at a time. An error of libzmq while it runs is logged, and what it struck is
// lost.
class Sockets {
 public:
  using Receive = absl::AnyInvocable<void(Received message)>;

  // Opens the ports. Errors name the port or the key.
  static absl::StatusOr<std::unique_ptr<Sockets>> Create(SocketOptions options);
  // As Close.
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  // The ports bound; -1: none.
  int port() const { return port_; }
  int pubsub_port() const { return pubsub_port_; }

  // Starts the thread, which calls `receive` for each message; it must not wait, and what it
  // takes keeps all others waiting. Once.
  void Start(Receive receive);

  void Send(Outgoing answer) ABSL_LOCKS_EXCLUDED(mu_);
  // To all who subscribe to what it begins with; slow ones miss it.
  void Publish(std::string frame) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends what is there, ends the thread and closes everything. What clients have not taken
  // 0.1 s later is lost. Later calls of Send and Publish do nothing.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // What other threads leave for the sockets' own.
  struct Work {
    std::vector<Outgoing> answers;
    std::vector<std::string> frames;
    bool stop = false;

    bool IsEmpty() const { return answers.empty() && frames.empty() && !stop; }
  };

  Sockets(SocketOptions options, int wake);

  // Throws zmq::error_t.
  void Open();
  Connections::Limits RouterLimits() const;
  ::zmq::socket_t MakeDoor(::zmq::socket_type type, int64_t max_message_bytes);
  void Bind(::zmq::socket_t& door, int port);
  void Loop();
  // False: it is time to stop. Throws zmq::error_t.
  bool Step();
  void ReceiveRequests();
  void ReceiveSubscriptions();
  void AnswerZapRequests();
  // False: it is time to stop.
  bool DoWork() ABSL_LOCKS_EXCLUDED(mu_);
  void SendAnswer(Outgoing answer);
  // Adds to the work and wakes the thread.
  template <typename Add>
  void Post(const Add& add) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after Create.
  SocketOptions options_;
  const int wake_;  // an eventfd
  int port_ = -1;
  int pubsub_port_ = -1;

  // Used by Create, then by the thread alone.
  ::zmq::context_t context_;
  std::optional<::zmq::socket_t> zap_;
  std::optional<::zmq::socket_t> router_;
  std::optional<::zmq::socket_t> pub_;
  std::optional<Connections> router_connections_;
  std::optional<Connections> pub_connections_;
  Receive receive_;

  absl::Mutex mu_;
  Work work_ ABSL_GUARDED_BY(mu_);
  bool closed_ ABSL_GUARDED_BY(mu_) = false;

  std::thread thread_;
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_SOCKETS_H_
