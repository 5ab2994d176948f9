#include "services/server/metrics_server.h"

#include <CivetServer.h>
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <exception>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "services/server/listen_address.h"
#include "services/server/log.h"

namespace qasino::server {
namespace {

struct Answer {
  int status;
  std::string_view reason;
  std::string_view type;
  std::string body;
};

constexpr std::string_view kPlain = "text/plain; charset=utf-8";

Answer Metrics(const std::vector<const prometheus::Collectable*>& collectables) {
  std::vector<prometheus::MetricFamily> families;
  for (const prometheus::Collectable* collectable : collectables) {
    std::vector<prometheus::MetricFamily> more = collectable->Collect();
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  return {200, "OK", "text/plain; version=0.0.4; charset=utf-8",
          prometheus::TextSerializer().Serialize(families)};
}

Answer AnswerTo(const MetricsServer::Options& options, const mg_request_info& request) {
  const std::string_view path = request.local_uri == nullptr ? "" : request.local_uri;
  if (path == "/metrics") return Metrics(options.collectables);
  if (path == "/livez") return {200, "OK", kPlain, "ok\n"};
  if (path == "/readyz") {
    Readiness readiness = options.readiness();
    if (readiness.ready) return {200, "OK", kPlain, std::move(readiness.text)};
    return {503, "Service Unavailable", kPlain, std::move(readiness.text)};
  }
  return {404, "Not Found", kPlain, "not found; there is /metrics, /livez and /readyz\n"};
}

class Handler : public CivetHandler {
 public:
  explicit Handler(MetricsServer::Options options) : options_(std::move(options)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    return Send(connection, true);
  }
  bool handleHead(CivetServer*, mg_connection* connection) override {
    return Send(connection, false);
  }
  bool handlePost(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handlePut(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handleDelete(CivetServer*, mg_connection* connection) override { return Refuse(connection); }
  bool handleOptions(CivetServer*, mg_connection* connection) override {
    return Refuse(connection);
  }
  bool handlePatch(CivetServer*, mg_connection* connection) override { return Refuse(connection); }

 private:
  static bool Write(mg_connection* connection, const Answer& answer, bool with_body) {
    std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n{}\r\n",
        answer.status, answer.reason, answer.type, answer.body.size(),
        answer.status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (with_body) text += answer.body;
    mg_write(connection, text.data(), text.size());
    return true;
  }

  bool Send(mg_connection* connection, bool with_body) {
    const mg_request_info* request = mg_get_request_info(connection);
    try {
      return Write(connection, AnswerTo(options_, *request), with_body);
    } catch (const std::exception& error) {
      log::Error("process", "metrics request failed",
                 {{"path", request->local_uri}, {"error", error.what()}});
      return Write(connection, {500, "Internal Server Error", kPlain, "failed; see the log\n"},
                   with_body);
    }
  }

  static bool Refuse(mg_connection* connection) {
    return Write(connection, {405, "Method Not Allowed", kPlain, "only GET and HEAD\n"}, true);
  }

  const MetricsServer::Options options_;
};

int LogMessage(const mg_connection*, const char* message) {
  log::Debug("process", "metrics connection", {{"message", message}});
  return 1;
}

}  // namespace

struct MetricsServer::State {
  explicit State(Options options) : address(options.address), handler(std::move(options)) {}

  const std::string address;
  Handler handler;
  int port = 0;
  // Last: its threads use the handler.
  std::unique_ptr<CivetServer> server;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Create(Options options) {
  const std::string address = JoinHostPort(options.address, options.port);
  if (absl::Status status = CheckCanListen(options.address, options.port); !status.ok()) {
    return status;
  }
  auto state = std::make_unique<State>(std::move(options));
  const std::vector<std::string> settings = {
      "listening_ports",   address, "num_threads",        "4",    "connection_queue", "64",
      "listen_backlog",    "64",    "request_timeout_ms", "5000", "max_request_size", "8192",
      "enable_keep_alive", "no"};
  CivetCallbacks callbacks;
  callbacks.log_message = &LogMessage;
  try {
    state->server = std::make_unique<CivetServer>(settings, &callbacks);
    state->server->addHandler("**", state->handler);
    const std::vector<int> ports = state->server->getListeningPorts();
    if (ports.size() != 1) {
      return absl::UnavailableError(fmt::format("cannot listen on {}", address));
    }
    state->port = ports.front();
  } catch (const std::exception& error) {
    return absl::UnavailableError(fmt::format("cannot listen on {}: {}", address, error.what()));
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(state)));
}

MetricsServer::MetricsServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

MetricsServer::~MetricsServer() {
  // CivetWeb's accepting thread looks only every 2 s whether it should stop, or when
  // somebody connects.
  absl::Notification stopped;
  std::thread stopper([&] {
    state_->server.reset();
    stopped.Notify();
  });
  while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10))) {
    Connect(state_->address, state_->port);
  }
  stopper.join();
}

int MetricsServer::port() const { return state_->port; }

}  // namespace qasino::server
