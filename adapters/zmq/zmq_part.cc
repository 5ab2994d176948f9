#include "adapters/zmq/zmq_part.h"

#include <fmt/format.h>
#include <prometheus/registry.h>

#include <optional>
#include <utility>

#include "adapters/zmq/curve_keys.h"
#include "adapters/zmq/metrics.h"
#include "adapters/zmq/request_server.h"
#include "adapters/zmq/signal.h"
#include "adapters/zmq/sockets.h"
#include "clients/cpp/generation_watcher.h"
#include "services/server/log.h"
#include "services/server/machine_name.h"

namespace qasino::zeromq {
namespace {

constexpr char kPart[] = "zmq";

absl::Status Validate(const ZmqOptions& options) {
  if (options.port < 0 && options.pubsub_port < 0) {
    return absl::InvalidArgumentError("both ZeroMQ ports are off");
  }
  if (options.max_message_bytes < 1 || options.max_message_bytes > 1 << 30) {
    return absl::InvalidArgumentError(
        fmt::format("a ZeroMQ message of {} bytes: must be 1 to 1 GiB", options.max_message_bytes));
  }
  if (options.max_requests < 2 || options.max_bytes < 2 || options.max_answer_bytes < 1) {
    return absl::InvalidArgumentError("the limits of ZeroMQ requests leave no room for one");
  }
  if (options.curve_secret_key_file.empty() && !options.curve_clients_file.empty()) {
    return absl::InvalidArgumentError("keys of CURVE clients need the server's secret key");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<CurveOptions>> ReadCurve(const ZmqOptions& options) {
  if (options.curve_secret_key_file.empty()) return std::nullopt;
  CurveOptions curve;
  absl::StatusOr<std::string> key = ReadSecretKey(options.curve_secret_key_file);
  if (!key.ok()) return key.status();
  curve.secret_key = *std::move(key);
  if (!options.curve_clients_file.empty()) {
    auto clients = ReadClientKeys(options.curve_clients_file);
    if (!clients.ok()) return clients.status();
    curve.clients = *std::move(clients);
  }
  return curve;
}

}  // namespace

struct ZmqPart::State {
  State(const ZmqOptions& options, prometheus::Registry& registry)
      : options(options), metrics(registry) {}

  // On the watcher's thread.
  void Signal(const v1::WatchGenerationsResponse& generation) {
    if (std::exchange(first, false) && !HasJustBegun(generation)) return;
    metrics.signals.Increment();
    sockets->Publish(SignalFrame(options.identity, generation));
    log::Debug(kPart, "signal sent", {{"generation", generation.generation()}});
  }

  const ZmqOptions options;
  Metrics metrics;
  // Each uses those above it.
  std::unique_ptr<adapters::Upstream> upstream;
  std::unique_ptr<Sockets> sockets;
  std::unique_ptr<RequestServer> requests;
  // Whether no generation was told yet; the watcher's own.
  bool first = true;
  std::unique_ptr<client::GenerationWatcher> watcher;
};

absl::StatusOr<std::unique_ptr<ZmqPart>> ZmqPart::Create(ZmqOptions options,
                                                         prometheus::Registry& registry) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (options.identity.empty()) options.identity = server::MachineName();
  absl::StatusOr<std::optional<CurveOptions>> curve = ReadCurve(options);
  if (!curve.ok()) return curve.status();

  auto state = std::make_unique<State>(options, registry);
  absl::StatusOr<std::unique_ptr<adapters::Upstream>> upstream =
      adapters::Upstream::Create(options.upstream);
  if (!upstream.ok()) return upstream.status();
  state->upstream = *std::move(upstream);
  absl::StatusOr<std::unique_ptr<Sockets>> sockets =
      Sockets::Create({.listen = options.listen,
                       .port = options.port,
                       .pubsub_port = options.pubsub_port,
                       .max_message_bytes = options.max_message_bytes,
                       .max_unfinished_bytes = options.max_bytes,
                       .curve = *std::move(curve),
                       .is_topic = [identity = options.identity](std::string_view topic) {
                         return IsTopicOfSignal(topic, identity);
                       }});
  if (!sockets.ok()) return sockets.status();
  state->sockets = *std::move(sockets);
  state->requests = std::make_unique<RequestServer>(
      RequestServer::Options{.identity = options.identity,
                             .max_message_bytes = options.max_message_bytes,
                             .max_requests = options.max_requests,
                             .max_bytes = options.max_bytes,
                             .max_answer_bytes = options.max_answer_bytes},
      state->upstream.get(), &state->metrics,
      [sockets = state->sockets.get()](Outgoing answer) { sockets->Send(std::move(answer)); });
  state->sockets->Start([requests = state->requests.get()](Received message) {
    requests->Receive(std::move(message));
  });
  if (options.pubsub_port >= 0) {
    auto watcher = client::GenerationWatcher::Create(
        options.upstream.ingest,
        [state = state.get()](const v1::WatchGenerationsResponse& generation) {
          state->Signal(generation);
        });
    if (!watcher.ok()) {
      state->sockets->Close();
      return watcher.status();
    }
    state->watcher = *std::move(watcher);
  }
  return std::unique_ptr<ZmqPart>(new ZmqPart(std::move(state)));
}

ZmqPart::ZmqPart(std::unique_ptr<State> state) : state_(std::move(state)) {}

ZmqPart::~ZmqPart() { Drain(absl::InfinitePast()); }

std::vector<server::Process::Door> ZmqPart::doors() const {
  std::vector<server::Process::Door> doors;
  const auto add = [&](std::string_view name, int port) {
    if (port < 0) return;
    doors.push_back({.name = std::string(name),
                     .protocol = "zmtp",
                     .address = state_->options.listen,
                     .port = port});
  };
  add("zmq", state_->sockets->port());
  add("pubsub", state_->sockets->pubsub_port());
  return doors;
}

absl::Status ZmqPart::Ready() const { return state_->upstream->Ready(); }

void ZmqPart::Drain(absl::Time deadline) {
  state_->requests->Refuse();
  state_->watcher.reset();
  state_->requests->WaitUntilIdle(deadline);
  state_->upstream->Close();
  state_->sockets->Close();
}

}  // namespace qasino::zeromq
