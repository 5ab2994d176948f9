#include "adapters/http/listener.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "adapters/http/response.h"
#include "adapters/http/session.h"
#include "adapters/http/transport.h"
#include "adapters/legacy/errors.h"
#include "services/server/listen_address.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

constexpr int kBacklog = 4096;
// When there are no file descriptors left, for instance.
constexpr std::chrono::milliseconds kAcceptPause{100};

// What is said to a connection too many.
std::string TooMany(const Service& service) {
  const std::string body = legacy::ErrorBody(service.identity, "too many connections");
  Response response;
  response.status = 503;
  response.content_type = "application/json";
  response.headers = "Retry-After: 1\r\n";
  std::string text;
  AppendHead(response, {.length = body.size(), .keep_alive = false}, &text);
  return text + body;
}

}  // namespace

bool ConnectionCount::Add() {
  absl::MutexLock lock(&mutex_);
  if (count_ >= most_) return false;
  ++count_;
  metrics_.Opened();
  return true;
}

void ConnectionCount::Remove() {
  absl::MutexLock lock(&mutex_);
  --count_;
  metrics_.Closed();
}

bool ConnectionCount::WaitForNone(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == 0; };
  return mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
}

class Listener::State {
 public:
  State(const Options& options, const Service& service, ConnectionCount& connections,
        const std::vector<std::unique_ptr<Worker>>& workers)
      : tls_(options.tls),
        service_(service),
        connections_(connections),
        workers_(workers),
        acceptor_(workers.front()->context().get_executor()),
        pause_(workers.front()->context().get_executor()) {}

  absl::Status Open(const Options& options) {
    const auto fault = [&](const error_code& error) {
      return absl::UnavailableError(fmt::format("cannot listen on {}: {}",
                                                server::JoinHostPort(options.address, options.port),
                                                error.message()));
    };
    if (absl::Status status = server::CheckCanListen(options.address, options.port); !status.ok()) {
      return status;
    }
    error_code error;
    const asio::ip::address address = asio::ip::make_address(options.address, error);
    if (error) return fault(error);
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(options.port));
    if (acceptor_.open(endpoint.protocol(), error)) return fault(error);
    if (acceptor_.set_option(Acceptor::reuse_address(true), error)) return fault(error);
    if (acceptor_.bind(endpoint, error)) return fault(error);
    if (acceptor_.listen(kBacklog, error)) return fault(error);
    port_ = acceptor_.local_endpoint(error).port();
    if (error) return fault(error);
    asio::co_spawn(workers_.front()->context(), Run(), asio::detached);
    return absl::OkStatus();
  }

  int port() const { return port_; }

  void Close() {
    asio::post(workers_.front()->context(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      pause_.cancel();
      absl::MutexLock lock(&mutex_);
      closed_ = true;
    });
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&closed_));
  }

 private:
  Task<void> Run() {
    bool complained = false;
    for (size_t next = 0; acceptor_.is_open(); next = (next + 1) % workers_.size()) {
      Worker& worker = *workers_[next];
      Socket socket(worker.context().get_executor());
      error_code error;
      co_await acceptor_.async_accept(socket, asio::redirect_error(kAwait, error));
      if (!acceptor_.is_open()) break;
      if (error) {
        if (!complained) {
          log::Warn("http", "connection not accepted", {{"error", error.message()}});
        }
        complained = true;
        pause_.expires_after(kAcceptPause);
        co_await pause_.async_wait(asio::redirect_error(kAwait, error));
        continue;
      }
      complained = false;
      Take(worker, std::move(socket));
    }
  }

  void Take(Worker& worker, Socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    if (!connections_.Add()) {
      service_.metrics->Refused();
      socket.non_blocking(true, ignored);
      if (tls_ == nullptr) socket.write_some(asio::buffer(TooMany(service_)), ignored);
      socket.shutdown(Socket::shutdown_send, ignored);
      // What is closed with bytes unread takes back what was sent.
      std::array<char, 4096> unread;
      socket.read_some(asio::buffer(unread), ignored);
      return;
    }
    std::shared_ptr<TlsFiles::Context> context;
    if (tls_ != nullptr) context = tls_->Current();
    asio::post(worker.context(),
               [this, &worker, context = std::move(context), socket = std::move(socket)]() mutable {
                 auto ended = [&connections = connections_] { connections.Remove(); };
                 std::unique_ptr<Transport> transport =
                     tls_ == nullptr ? MakePlainTransport(std::move(socket))
                                     : MakeTlsTransport(std::move(socket), std::move(context));
                 Serve(worker, service_, std::move(transport), tls_ != nullptr, std::move(ended));
               });
  }

  TlsFiles* const tls_;
  const Service& service_;
  ConnectionCount& connections_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  Acceptor acceptor_;
  Timer pause_;
  int port_ = 0;

  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(
    const Options& options, const Service& service, ConnectionCount& connections,
    const std::vector<std::unique_ptr<Worker>>& workers) {
  auto state = std::make_unique<State>(options, service, connections, workers);
  if (absl::Status status = state->Open(options); !status.ok()) return status;
  return std::unique_ptr<Listener>(new Listener(std::move(state)));
}

Listener::Listener(std::unique_ptr<State> state) : state_(std::move(state)) {}

Listener::~Listener() = default;

int Listener::port() const { return state_->port(); }

void Listener::Close() { state_->Close(); }

}  // namespace qasino::http
