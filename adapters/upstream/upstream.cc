#include "adapters/upstream/upstream.h"

#include <functional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "clients/cpp/health_watcher.h"

namespace qasino::adapters {
namespace {

absl::Status Closed() { return absl::UnavailableError("the server is stopping"); }

}  // namespace

struct Upstream::State {
  // What is there between Create and Close.
  struct Clients {
    std::vector<std::unique_ptr<client::PublishStream>> streams;
    std::unique_ptr<client::AsyncQueryClient> queries;
    std::vector<std::unique_ptr<client::HealthWatcher>> health;
  };

  // Keeps the clients from being closed while it lives.
  class Use {
   public:
    explicit Use(State& state) : state_(state) {
      absl::MutexLock lock(&state_.mu);
      if (state_.closing) return;
      clients_ = state_.clients.get();
      ++state_.users;
    }
    ~Use() {
      if (clients_ == nullptr) return;
      absl::MutexLock lock(&state_.mu);
      if (--state_.users == 0 && state_.closing) state_.changed.SignalAll();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    // Null when they are closed.
    Clients* clients() const { return clients_; }

   private:
    State& state_;
    Clients* clients_ = nullptr;
  };

  absl::Mutex mu;
  absl::CondVar changed;  // the last user has gone, or `closed`
  int users ABSL_GUARDED_BY(mu) = 0;
  bool closing ABSL_GUARDED_BY(mu) = false;  // Close was called
  bool closed ABSL_GUARDED_BY(mu) = false;   // and is done
  std::unique_ptr<Clients> clients ABSL_GUARDED_BY(mu);
};

absl::StatusOr<std::unique_ptr<Upstream>> Upstream::Create(const UpstreamOptions& options) {
  if (options.query_timeout <= absl::ZeroDuration() ||
      options.publish_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the time limits of queries and publishes must be over 0");
  }
  if (options.publishes && options.publish_streams < 1) {
    return absl::InvalidArgumentError("the number of publish streams must be at least 1");
  }
  auto clients = std::make_unique<State::Clients>();

  client::ConnectOptions query = options.query;
  query.timeout = options.query_timeout;
  auto queries = client::AsyncQueryClient::Create(query);
  if (!queries.ok()) return queries.status();
  clients->queries = *std::move(queries);
  auto health = client::HealthWatcher::Create(query, "qasino.v1.Query", "qasino-query");
  if (!health.ok()) return health.status();
  clients->health.push_back(*std::move(health));

  if (options.publishes) {
    client::ConnectOptions ingest = options.ingest;
    ingest.timeout = options.publish_timeout;
    for (int i = 0; i < options.publish_streams; ++i) {
      auto stream = client::PublishStream::Create(ingest, {.fail_when_away = true});
      if (!stream.ok()) return stream.status();
      clients->streams.push_back(*std::move(stream));
    }
    health = client::HealthWatcher::Create(ingest, "qasino.v1.Ingest", "qasino-ingest");
    if (!health.ok()) return health.status();
    clients->health.push_back(*std::move(health));
  }

  auto state = std::make_unique<State>();
  {
    absl::MutexLock lock(&state->mu);
    state->clients = std::move(clients);
  }
  return std::unique_ptr<Upstream>(new Upstream(std::move(state)));
}

Upstream::Upstream(std::unique_ptr<State> state) : state_(std::move(state)) {}

Upstream::~Upstream() { Close(); }

void Upstream::Publish(const v1::PublishRequest& request,
                       client::PublishStream::Callback callback) {
  absl::Status refused;
  // Held twice, for a stream that refuses does not give it back.
  auto held = std::make_shared<client::PublishStream::Callback>(std::move(callback));
  {
    const State::Use use(*state_);
    if (use.clients() == nullptr) {
      refused = Closed();
    } else if (use.clients()->streams.empty()) {
      refused = absl::FailedPreconditionError("publishes are not taken here");
    } else {
      // An identity's publishes take one stream, which keeps their order.
      const auto& streams = use.clients()->streams;
      const size_t chosen = std::hash<std::string>()(request.identity()) % streams.size();
      refused =
          streams[chosen]->TrySend(request, [held](absl::StatusOr<v1::PublishResponse> result) {
            std::exchange(*held, nullptr)(std::move(result));
          });
    }
  }
  if (!refused.ok()) std::exchange(*held, nullptr)(std::move(refused));
}

std::shared_ptr<client::AsyncQuery> Upstream::Query(const v1::QueryRequest& request) {
  const State::Use use(*state_);
  if (use.clients() == nullptr) return client::AsyncQuery::Failed(Closed());
  return use.clients()->queries->Start(request);
}

absl::Status Upstream::Ready() const {
  const State::Use use(*state_);
  if (use.clients() == nullptr) return Closed();
  for (const auto& health : use.clients()->health) {
    if (absl::Status status = health->status(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void Upstream::Close() {
  std::unique_ptr<State::Clients> clients;
  {
    absl::MutexLock lock(&state_->mu);
    if (state_->closing) {
      while (!state_->closed) state_->changed.Wait(&state_->mu);
      return;
    }
    state_->closing = true;
    while (state_->users > 0) state_->changed.Wait(&state_->mu);
    clients = std::move(state_->clients);
  }
  clients = nullptr;
  absl::MutexLock lock(&state_->mu);
  state_->closed = true;
  state_->changed.SignalAll();
}

}  // namespace qasino::adapters
