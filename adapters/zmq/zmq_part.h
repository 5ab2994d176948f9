#ifndef QASINO_ADAPTERS_ZMQ_ZMQ_PART_H_
#define QASINO_ADAPTERS_ZMQ_ZMQ_PART_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "adapters/upstream/upstream.h"
#include "services/server/part.h"
#include "services/server/process.h"

namespace prometheus {
class Registry;
}

namespace qasino::zeromq {

struct ZmqOptions {
  // The IP address that both doors bind to.
  std::string listen = "127.0.0.1";
  // Of requests, and of the signal: 0 takes a free port, -1 has none. Not both -1.
  int port = 15598;
  int pubsub_port = 15596;
  // The name under which it answers and signals; empty: this machine's name.
  std::string identity;
  // Of one part of a message. Whoever sends a longer one is disconnected. 1 to 1 GiB.
  int64_t max_message_bytes = 32 << 20;
  // Requests whose answers have not left yet, and the bytes of both; those beyond get an
  // error. One client may have half of either. At least 2.
  int64_t max_requests = 10'000;
  int64_t max_bytes = 256 << 20;
  // A longer answer is an error.
  int64_t max_answer_bytes = 64 << 20;
  // A file with the server's secret key of CURVE; then clients without CURVE are refused.
  // Empty: no CURVE.
  std::string curve_secret_key_file;
  // A file with the public keys of the clients that are let in, one a line, read once.
  // Empty: all that know the server's public key. Needs the secret key.
  std::string curve_clients_file;
  adapters::UpstreamOptions upstream;
};

// The doors for clients of ZeroMQ: requests (query, add_table_data, get_table_list) at a
// ROUTER, for any number of REQ and DEALER clients with any number of requests each, and the
// signal at the start of every generation at a PUB.
//
//   auto part = ZmqPart::Create(options, process->metrics());   // the ports are open
//   process->Add(**part, (*part)->doors());
//
// Requests are answered as they finish, not in order. Every request gets an answer, but for
// what has no sender's envelope, what is longer than a part may be, and what comes from a
// client that leaves thousands of refusals unread.
//
// One thread serves the sockets; nothing waits for the services on it.
class ZmqPart : public server::Part {
 public:
  // INVALID_ARGUMENT names the option that is wrong; the registry outlives the part.
  static absl::StatusOr<std::unique_ptr<ZmqPart>> Create(ZmqOptions options,
                                                         prometheus::Registry& registry);
  // As Drain with no time.
  ~ZmqPart() override;

  // "zmq" and "pubsub", those that there are.
  std::vector<server::Process::Door> doors() const;

  std::string_view name() const override { return "zmq"; }
  absl::Status Ready() const override;
  // Answers new requests with an error and running ones as ever; then lets go of the
  // services and closes the doors. (ZeroMQ cannot close a port and keep its connections.)
  void Drain(absl::Time deadline) override;

 private:
  struct State;
  explicit ZmqPart(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_ZMQ_PART_H_
