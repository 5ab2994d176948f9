#include "adapters/line/line_part.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "adapters/line/byte_budget.h"
#include "adapters/line/metrics.h"
#include "adapters/line/session.h"
#include "services/server/listen_address.h"
#include "services/server/log.h"

namespace qasino::line {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr char kPart[] = "line";
constexpr int kThreads = 2;
// Refused clients that are told so at a time; further ones are closed without a word.
constexpr int kMaxRefusals = 64;
// After a failed accept, such as for want of file descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};

absl::Status Validate(const LineOptions& options) {
  const auto require = [](bool holds, std::string_view sentence) {
    return holds ? absl::OkStatus() : absl::InvalidArgumentError(std::string(sentence));
  };
  absl::Status status = require(options.port >= 0 && options.port <= 65535,
                                fmt::format("the line port {} is not in 0..65535", options.port));
  status.Update(require(
      options.idle_timeout > absl::ZeroDuration() && options.write_timeout > absl::ZeroDuration(),
      "the line protocol's timeouts must be more than 0"));
  status.Update(require(options.max_statement_bytes > 0 && options.max_connections > 0 &&
                            options.max_buffered_bytes > 0,
                        "the line protocol's limits must be more than 0"));
  return status;
}

// Nothing is thrown but for want of memory.
void LogFault(const std::exception_ptr& fault) {
  try {
    std::rethrow_exception(fault);
  } catch (const std::exception& exception) {
    log::Error(kPart, "a client was given up", {{"error", exception.what()}});
  }
}

}  // namespace

class LinePart::State {
 public:
  State(const LineOptions& options, std::unique_ptr<adapters::Upstream> upstream,
        prometheus::Registry& metrics)
      : options_(options),
        upstream_(std::move(upstream)),
        metrics_(metrics),
        budget_(options.max_buffered_bytes),
        acceptor_(asio::make_strand(io_)),
        pause_(acceptor_.get_executor()) {}

  ~State() {
    if (!threads_.empty()) {
      Drain(absl::Now());
      io_.stop();
      for (std::thread& thread : threads_) thread.join();
    }
  }

  absl::Status Open() {
    // Says why it cannot be had, which Asio does less well.
    if (absl::Status status = server::CheckCanListen(options_.listen, options_.port);
        !status.ok()) {
      return status;
    }
    error_code error;
    const tcp::endpoint wanted(asio::ip::make_address(options_.listen, error),
                               static_cast<uint16_t>(options_.port));
    if (!error) acceptor_.open(wanted.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(wanted, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    tcp::endpoint bound;
    if (!error) bound = acceptor_.local_endpoint(error);
    if (error) {
      return absl::UnavailableError(
          fmt::format("cannot listen on {}: {}",
                      server::JoinHostPort(options_.listen, options_.port), error.message()));
    }
    port_ = bound.port();
    asio::co_spawn(acceptor_.get_executor(), Accept(), asio::detached);
    for (int i = 0; i < kThreads; ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
    return absl::OkStatus();
  }

  int port() const { return port_; }
  const LineOptions& options() const { return options_; }

  absl::Status Ready() const {
    if (draining_.load()) return absl::UnavailableError("line: shutting down");
    return upstream_->Ready();
  }

  void Drain(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (draining_.exchange(true)) return;
    absl::Notification closed;
    // Sessions begin on this strand only, so that afterwards there are no new ones.
    asio::post(acceptor_.get_executor(), [this, &closed] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      closed.Notify();
    });
    closed.WaitForNotification();
    ForEachSession([](Session& session) { session.Drain(); });
    AwaitNoSessions(deadline);
    ForEachSession([](Session& session) { session.Abort(); });
    upstream_->Close();
    // Each has but to see that it is over.
    AwaitNoSessions(absl::InfiniteFuture());
  }

 private:
  asio::awaitable<void> Accept() {
    while (true) {
      tcp::socket socket(asio::make_strand(io_));
      const auto [error] =
          co_await acceptor_.async_accept(socket, asio::as_tuple(asio::use_awaitable));
      if (!acceptor_.is_open()) co_return;
      if (!error) {
        Begin(std::move(socket));
        continue;
      }
      if (error == asio::error::connection_aborted) continue;
      log::Warn(kPart, "a client cannot be accepted", {{"error", error.message()}});
      pause_.expires_after(kAcceptPause);
      const auto [ended] = co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
      if (ended) co_return;
    }
  }

  void Begin(tcp::socket socket) ABSL_LOCKS_EXCLUDED(mutex_) {
    error_code error;
    socket.non_blocking(true, error);
    if (!error) socket.set_option(tcp::no_delay(true), error);
    // Telnet's urgent byte belongs to what is around it.
    if (!error) socket.set_option(asio::socket_base::out_of_band_inline(true), error);
    if (error) return;
    auto session = std::make_shared<Session>(
        std::move(socket), SessionContext{options_, *upstream_, metrics_, budget_});
    bool refused = false;
    {
      const absl::MutexLock lock(&mutex_);
      refused = static_cast<int64_t>(sessions_.size()) - refusals_ >= options_.max_connections;
      if (refused && refusals_ == kMaxRefusals) {
        metrics_.refused_connections.Increment();
        return;
      }
      sessions_.insert(session);
      if (refused) ++refusals_;
    }
    if (refused) metrics_.refused_connections.Increment();
    metrics_.connections.Increment();
    const auto executor = session->executor();
    asio::co_spawn(executor, refused ? session->Refuse() : session->Run(),
                   [this, session, refused](std::exception_ptr fault) {
                     if (fault) LogFault(fault);
                     End(session, refused);
                   });
  }

  void End(const std::shared_ptr<Session>& session, bool refused) ABSL_LOCKS_EXCLUDED(mutex_) {
    metrics_.connections.Decrement();
    session->Close();
    const absl::MutexLock lock(&mutex_);
    sessions_.erase(session);
    if (refused) --refusals_;
  }

  template <typename Function>
  void ForEachSession(Function function) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::shared_ptr<Session>> sessions;
    {
      const absl::MutexLock lock(&mutex_);
      sessions.assign(sessions_.begin(), sessions_.end());
    }
    for (const std::shared_ptr<Session>& session : sessions) function(*session);
  }

  void AwaitNoSessions(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return sessions_.empty(); };
    mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
  }

  const LineOptions options_;
  const std::unique_ptr<adapters::Upstream> upstream_;
  Metrics metrics_;
  ByteBudget budget_;
  std::atomic<bool> draining_ = false;
  int port_ = 0;  // constant after Open

  absl::Mutex mutex_;
  std::unordered_set<std::shared_ptr<Session>> sessions_ ABSL_GUARDED_BY(mutex_);
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;  // of the sessions

  // Last, so that what it still holds goes first.
  asio::io_context io_{kThreads};
  const asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  // Used on its strand alone, once it is open.
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::vector<std::thread> threads_;
};

absl::StatusOr<std::unique_ptr<LinePart>> LinePart::Create(const LineOptions& options,
                                                           prometheus::Registry& metrics) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  auto upstream = adapters::Upstream::Create(options.upstream);
  if (!upstream.ok()) return upstream.status();
  auto state = std::make_unique<State>(options, *std::move(upstream), metrics);
  if (absl::Status status = state->Open(); !status.ok()) return status;
  return std::unique_ptr<LinePart>(new LinePart(std::move(state)));
}

LinePart::LinePart(std::unique_ptr<State> state) : state_(std::move(state)) {}

LinePart::~LinePart() = default;

std::vector<server::Process::Door> LinePart::doors() const {
  return {{.name = "line",
           .protocol = "telnet",
           .address = state_->options().listen,
           .port = state_->port()}};
}

absl::Status LinePart::Ready() const { return state_->Ready(); }

void LinePart::Drain(absl::Time deadline) { state_->Drain(deadline); }

}  // namespace qasino::line
