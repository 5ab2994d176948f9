#include "adapters/http/http_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "adapters/http/htpasswd.h"
#include "adapters/http/listener.h"
#include "adapters/http/metrics.h"
#include "adapters/http/service.h"
#include "adapters/http/tls.h"
#include "adapters/http/worker.h"
#include "adapters/legacy/errors.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

// How long what was cancelled may take to say so to its clients.
constexpr absl::Duration kLastWords = absl::Milliseconds(300);

int ThreadCount(int64_t wanted) {
  if (wanted > 0) return static_cast<int>(wanted);
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 4);
}

absl::Status Validate(const HttpOptions& options) {
  const auto fault = [](std::string_view text) {
    return absl::InvalidArgumentError(std::string(text));
  };
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return fault("a certificate is given without its key, or a key without its certificate");
  }
  if (options.require_auth && options.htpasswd_file.empty()) {
    return fault("users are required, but there is no htpasswd file");
  }
  if (options.max_body_bytes < 1 << 10 || options.max_body_bytes > 1 << 30) {
    return fault("the longest body must be from 1 KiB to 1 GiB");
  }
  if (options.max_bodies_bytes < options.max_body_bytes) {
    return fault("all bodies together must have room for the longest one");
  }
  if (options.max_connections < 1) return fault("there must be room for a connection");
  if (options.threads < 0 || options.threads > 64) return fault("threads must be from 0 to 64");
  for (const absl::Duration timeout : {options.idle_timeout, options.receive_timeout,
                                       options.write_timeout, options.half_closed_timeout}) {
    if (timeout <= absl::ZeroDuration() || timeout > absl::Hours(24)) {
      return fault("time limits must be more than 0 and at most a day");
    }
  }
  return absl::OkStatus();
}

}  // namespace

struct HttpPart::State {
  State(const HttpOptions& options, prometheus::Registry& registry)
      : metrics(registry), connections(options.max_connections, metrics) {}

  // Sessions and the acceptor's coroutine go with the workers' contexts, when no thread runs
  // any more; before them the password checks, which end in the contexts.
  ~State() {
    for (const auto& worker : workers) worker->Stop();
    service.users = nullptr;
  }

  Metrics metrics;
  Service service;
  ConnectionCount connections;
  std::unique_ptr<TlsFiles> tls;
  std::vector<std::unique_ptr<Worker>> workers;
  // Below the workers: they are in their contexts.
  std::unique_ptr<Listener> http;
  std::unique_ptr<Listener> https;
  std::vector<server::Process::Door> doors;
  std::atomic<bool> drained = false;
};

absl::StatusOr<std::unique_ptr<HttpPart>> HttpPart::Create(const HttpOptions& options,
                                                           prometheus::Registry& registry) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto state = std::make_unique<State>(options, registry);
  Service& service = state->service;
  service.identity = options.identity;
  service.ok_body = legacy::OkBody(options.identity);
  service.max_body_bytes = static_cast<size_t>(options.max_body_bytes);
  service.require_auth = options.require_auth;
  service.idle_timeout = absl::ToChronoNanoseconds(options.idle_timeout);
  service.receive_timeout = absl::ToChronoNanoseconds(options.receive_timeout);
  service.write_timeout = absl::ToChronoNanoseconds(options.write_timeout);
  service.half_closed_timeout = absl::ToChronoNanoseconds(options.half_closed_timeout);
  service.max_bodies_bytes = options.max_bodies_bytes;
  service.metrics = &state->metrics;
  if (!options.htpasswd_file.empty()) {
    auto users = PasswordFile::Create({.path = options.htpasswd_file});
    if (!users.ok()) return users.status();
    service.users = *std::move(users);
  }
  if (options.https_port >= 0 && !options.tls_cert.empty()) {
    auto tls = TlsFiles::Create(options.tls_cert, options.tls_key);
    if (!tls.ok()) return tls.status();
    state->tls = *std::move(tls);
  }
  if (service.users != nullptr && state->tls == nullptr && !options.require_auth) {
    log::Warn("http", "the htpasswd file is not asked: there is no HTTPS, and HTTP needs no user");
  }
  auto upstream = adapters::Upstream::Create(options.upstream);
  if (!upstream.ok()) return upstream.status();
  service.upstream = *std::move(upstream);

  const int threads = ThreadCount(options.threads);
  for (int number = 0; number < threads; ++number) {
    state->workers.push_back(std::make_unique<Worker>(number));
  }
  // From here on the part's end closes what is open.
  std::unique_ptr<HttpPart> part(new HttpPart(std::move(state)));
  State& made = *part->state_;
  const auto open = [&](std::string_view name, int port, TlsFiles* tls,
                        std::unique_ptr<Listener>* listener) {
    auto opened = Listener::Create({.address = options.listen, .port = port, .tls = tls},
                                   made.service, made.connections, made.workers);
    if (!opened.ok()) return opened.status();
    *listener = *std::move(opened);
    made.doors.push_back({.name = std::string(name),
                          .protocol = std::string(name),
                          .address = options.listen,
                          .port = (*listener)->port()});
    return absl::OkStatus();
  };
  if (options.port >= 0) {
    if (absl::Status status = open("http", options.port, nullptr, &made.http); !status.ok()) {
      return status;
    }
  }
  if (made.tls != nullptr) {
    if (absl::Status status = open("https", options.https_port, made.tls.get(), &made.https);
        !status.ok()) {
      return status;
    }
  }
  log::Info("http", "answering",
            {{"http", made.http != nullptr ? made.http->port() : -1},
             {"https", made.https != nullptr ? made.https->port() : -1},
             {"threads", threads},
             {"users", made.service.users != nullptr}});
  return part;
}

HttpPart::HttpPart(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpPart::~HttpPart() { Drain(absl::Now()); }

std::vector<server::Process::Door> HttpPart::doors() const { return state_->doors; }

absl::Status HttpPart::Ready() const { return state_->service.upstream->Ready(); }

void HttpPart::Drain(absl::Time deadline) {
  if (state_->drained.exchange(true)) return;
  for (Listener* listener : {state_->http.get(), state_->https.get()}) {
    if (listener != nullptr) listener->Close();
  }
  for (const auto& worker : state_->workers) worker->Drain();
  const bool done = state_->connections.WaitForNone(deadline - kLastWords);
  state_->service.upstream->Close();
  if (!done) {
    state_->connections.WaitForNone(std::min(deadline, absl::Now() + kLastWords));
    for (const auto& worker : state_->workers) worker->Abort();
  }
  for (const auto& worker : state_->workers) worker->Stop();
}

}  // namespace qasino::http
