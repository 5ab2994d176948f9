#include "services/query/query_part.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/query.grpc.pb.h"
#include "services/query/query_call.h"
#include "services/query/result_cache.h"
#include "services/query/retained_snapshots.h"
#include "services/query/running_snapshots.h"
#include "services/query/snapshot_watcher.h"
#include "services/query/view_file.h"
#include "services/server/log.h"
#include "services/server/machine_name.h"
#include "services/server/worker_pool.h"
#include "services/sqlite/memory_budget.h"

namespace qasino::query {
namespace {

// Queries that run for long have a thread each, besides --query-threads for the others.
constexpr int64_t kMostLongQueries = 1024;

// How often calls whose client no longer reads are looked for.
constexpr absl::Duration kStuckCheck = absl::Milliseconds(250);

class Metrics {
 public:
  explicit Metrics(prometheus::Registry& registry)
      : queries_(prometheus::BuildCounter()
                     .Name("qasino_query_queries_total")
                     .Help("Queries ended, by canonical status code.")
                     .Register(registry)),
        rows_(prometheus::BuildCounter()
                  .Name("qasino_query_rows_total")
                  .Help("Rows answered.")
                  .Register(registry)
                  .Add({})),
        seconds_(prometheus::BuildHistogram()
                     .Name("qasino_query_seconds")
                     .Help("Time from a query's arrival to its end.")
                     .Register(registry)
                     .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.0025, 0.005,
                                                                      0.01, 0.025, 0.05, 0.1, 0.25,
                                                                      0.5, 1, 2.5, 5, 10, 30})),
        active_(prometheus::BuildGauge()
                    .Name("qasino_query_active")
                    .Help("Queries running or waiting now.")
                    .Register(registry)
                    .Add({})),
        loads_(prometheus::BuildCounter()
                   .Name("qasino_query_snapshot_loads_total")
                   .Help("Snapshots offered by the store, by whether they could be loaded.")
                   .Register(registry)),
        load_seconds_(
            prometheus::BuildHistogram()
                .Name("qasino_query_snapshot_load_seconds")
                .Help("Time from a manifest's arrival until queries see the snapshot.")
                .Register(registry)
                .Add({}, prometheus::Histogram::BucketBoundaries{0.005, 0.01, 0.025, 0.05, 0.1,
                                                                 0.25, 0.5, 1, 2.5, 5, 10})),
        loaded_(loads_.Add({{"result", "ok"}})),
        failed_(loads_.Add({{"result", "failed"}})),
        generation_(prometheus::BuildGauge()
                        .Name("qasino_query_generation")
                        .Help("The generation that queries see; a Unix time.")
                        .Register(registry)
                        .Add({})),
        snapshot_bytes_(prometheus::BuildGauge()
                            .Name("qasino_query_snapshot_bytes")
                            .Help("Size of the snapshot that queries see.")
                            .Register(registry)
                            .Add({})),
        views_(prometheus::BuildGauge()
                   .Name("qasino_query_views")
                   .Help("Views of the snapshot that queries see, by whether they can be used.")
                   .Register(registry)),
        views_loaded_(views_.Add({{"state", "loaded"}})),
        views_failed_(views_.Add({{"state", "failed"}})),
        other_loads_(prometheus::BuildCounter()
                         .Name("qasino_query_other_snapshot_loads_total")
                         .Help("Snapshots of retained generations, and copies of the running one, "
                               "that were fetched for queries, by whether that succeeded.")
                         .Register(registry)),
        retained_ok_(other_loads_.Add({{"sort", "retained"}, {"result", "ok"}})),
        retained_failed_(other_loads_.Add({{"sort", "retained"}, {"result", "failed"}})),
        running_ok_(other_loads_.Add({{"sort", "running"}, {"result", "ok"}})),
        running_failed_(other_loads_.Add({{"sort", "running"}, {"result", "failed"}})),
        retained_(prometheus::BuildGauge()
                      .Name("qasino_query_retained_snapshots")
                      .Help("Snapshots of retained generations that are kept for queries.")
                      .Register(registry)
                      .Add({})),
        retained_bytes_(prometheus::BuildGauge()
                            .Name("qasino_query_retained_snapshot_bytes")
                            .Help("Size of the snapshots of retained generations in memory.")
                            .Register(registry)
                            .Add({})),
        answers_(prometheus::BuildCounter()
                     .Name("qasino_query_answers_total")
                     .Help("Queries ended, by where their answer came from: run (not kept for "
                           "others, errors included), kept (run, and kept), cache, shared (waited "
                           "for one that ran already), unchanged (the client has it).")
                     .Register(registry)),
        cache_bytes_(prometheus::BuildGauge()
                         .Name("qasino_query_result_cache_bytes")
                         .Help("What the result cache takes.")
                         .Register(registry)
                         .Add({})),
        cache_answers_(prometheus::BuildGauge()
                           .Name("qasino_query_result_cache_answers")
                           .Help("Answers in the result cache.")
                           .Register(registry)
                           .Add({})),
        cache_waiting_(prometheus::BuildGauge()
                           .Name("qasino_query_result_cache_waiting")
                           .Help("Queries that wait for one that runs already.")
                           .Register(registry)
                           .Add({})),
        cache_evictions_(prometheus::BuildCounter()
                             .Name("qasino_query_result_cache_evictions_total")
                             .Help("Answers that made room for others in the result cache.")
                             .Register(registry)
                             .Add({})) {
    for (const auto& [from, name] : {std::pair(AnswerFrom::kRun, "run"),
                                     {AnswerFrom::kRunAndKept, "kept"},
                                     {AnswerFrom::kCache, "cache"},
                                     {AnswerFrom::kOthersRun, "shared"},
                                     {AnswerFrom::kUnchanged, "unchanged"}}) {
      by_source_[static_cast<int>(from)] = &answers_.Add({{"from", name}});
    }
    // All from the start, so that a rate has a beginning.
    for (int code = 0; code <= 16; ++code) {
      const std::string name =
          absl::AsciiStrToLower(absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
      by_code_[code] = &queries_.Add({{"result", name}});
    }
  }

  void Ended(const QueryOutcome& outcome) {
    const int code = static_cast<int>(outcome.code);
    by_code_[code >= 0 && code <= 16 ? code : 2]->Increment();
    by_source_[static_cast<int>(outcome.from)]->Increment();
    rows_.Increment(static_cast<double>(outcome.rows));
    seconds_.Observe(absl::ToDoubleSeconds(outcome.elapsed));
  }
  void Active(int64_t active) { active_.Set(static_cast<double>(active)); }
  void Loaded(const Snapshot& snapshot, absl::Duration took) {
    loaded_.Increment();
    load_seconds_.Observe(absl::ToDoubleSeconds(took));
    generation_.Set(static_cast<double>(snapshot.info().generation()));
    snapshot_bytes_.Set(static_cast<double>(snapshot.size_bytes()));
    views_loaded_.Set(static_cast<double>(snapshot.views_loaded()));
    views_failed_.Set(static_cast<double>(snapshot.views_failed()));
  }
  void RetainedLoaded(bool ok) { (ok ? retained_ok_ : retained_failed_).Increment(); }
  void RunningLoaded(bool ok) { (ok ? running_ok_ : running_failed_).Increment(); }
  void RetainedKept(size_t count, int64_t bytes) {
    retained_.Set(static_cast<double>(count));
    retained_bytes_.Set(static_cast<double>(bytes));
  }
  void LoadFailed() { failed_.Increment(); }
  // One at a time.
  void CacheChanged(const ResultCache::Sizes& sizes) {
    cache_bytes_.Set(static_cast<double>(sizes.bytes));
    cache_answers_.Set(static_cast<double>(sizes.answers));
    cache_waiting_.Set(static_cast<double>(sizes.waiting));
    cache_evictions_.Increment(static_cast<double>(sizes.evictions - evictions_));
    evictions_ = sizes.evictions;
  }

 private:
  prometheus::Family<prometheus::Counter>& queries_;
  prometheus::Counter& rows_;
  prometheus::Histogram& seconds_;
  prometheus::Gauge& active_;
  prometheus::Family<prometheus::Counter>& loads_;
  prometheus::Histogram& load_seconds_;
  prometheus::Counter& loaded_;
  prometheus::Counter& failed_;
  prometheus::Gauge& generation_;
  prometheus::Gauge& snapshot_bytes_;
  prometheus::Family<prometheus::Gauge>& views_;
  prometheus::Gauge& views_loaded_;
  prometheus::Gauge& views_failed_;
  prometheus::Family<prometheus::Counter>& other_loads_;
  prometheus::Counter& retained_ok_;
  prometheus::Counter& retained_failed_;
  prometheus::Counter& running_ok_;
  prometheus::Counter& running_failed_;
  prometheus::Gauge& retained_;
  prometheus::Gauge& retained_bytes_;
  prometheus::Family<prometheus::Counter>& answers_;
  prometheus::Gauge& cache_bytes_;
  prometheus::Gauge& cache_answers_;
  prometheus::Gauge& cache_waiting_;
  prometheus::Counter& cache_evictions_;
  int64_t evictions_ = 0;
  prometheus::Counter* by_code_[17];
  prometheus::Counter* by_source_[5];  // by AnswerFrom
};

}  // namespace

class QueryPart::State : public v1::Query::WithRawCallbackMethod_Query<v1::Query::Service>,
                         public QueryCall::Host {
 public:
  State(const QueryOptions& options, std::shared_ptr<grpc::Channel> store,
        prometheus::Registry& registry)
      : options_(options),
        timeout_words_(fmt::format("{} (--query-timeout)", absl::FormatDuration(options.timeout))),
        metrics_(registry),
        memory_(options.max_total_query_memory),
        cache_(options.result_cache_bytes == 0 ? nullptr
                                               : std::make_unique<ResultCache>(CacheOptions())),
        pool_("query", static_cast<int>(options.threads), static_cast<size_t>(options.max_queries),
              {.most = static_cast<int>(std::min(options.max_queries, kMostLongQueries))}),
        views_({.path = options.views_file}),
        watcher_(store, WatcherOptions()),
        retained_(store, RetainedOptions()),
        running_(store, RunningOptions()),
        janitor_([this] { EndStuckCalls(); }) {
    views_.Start([this] { watcher_.RefreshViews(); });
  }

  ~State() override {
    views_.Stop();
    // Both ask each other.
    retained_.Stop();
    running_.Stop();
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    janitor_.join();
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Query(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override {
    const absl::Time arrived = absl::Now();
    received_.fetch_add(1, std::memory_order_relaxed);
    CursorOptions limits;
    limits.arrived = arrived;
    limits.deadline = arrived + options_.timeout;
    limits.deadline_words = timeout_words_;
    const absl::Time callers = absl::FromChrono(context->deadline());
    if (callers < limits.deadline) {
      limits.deadline = callers;
      limits.deadline_words = "the call's deadline";
    }
    limits.max_rows = static_cast<uint64_t>(options_.max_rows);
    limits.memory_bytes = options_.max_query_memory;
    limits.memory_pool = &memory_;
    std::shared_ptr<QueryCall> call = QueryCall::Create(context, this, std::move(limits));
    absl::Status admitted = Admit(call, static_cast<int64_t>(request->Length()));
    if (admitted.ok()) {
      call->Start(*request);
    } else {
      call->Refuse(std::move(admitted));
    }
    return call.get();
  }

  absl::Status Ready() const {
    if (watcher_.newest() != nullptr) return absl::OkStatus();
    return absl::UnavailableError(fmt::format("waits for a snapshot from the store: {}",
                                              std::string(watcher_.connection().message())));
  }

  void SetIngests(std::vector<IngestPeer> ingests) { running_.SetIngests(std::move(ingests)); }

  void Drain(absl::Time deadline) {
    bool idle;
    size_t running;
    {
      absl::MutexLock lock(&mutex_);
      draining_ = true;
      const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return calls_.empty(); };
      idle = mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
      running = calls_.size();
    }
    // A store in this process is closed next.
    views_.Stop();
    watcher_.Stop();
    retained_.Stop();
    running_.Stop();
    if (idle) return;
    log::Warn("query", "queries still run at the end of the grace and are cancelled",
              {{"queries", running}});
  }

 private:
  ResultCache::Options CacheOptions() {
    return {.max_bytes = options_.result_cache_bytes,
            .changed = [this](const ResultCache::Sizes& sizes) { metrics_.CacheChanged(sizes); }};
  }

  SnapshotWatcher::Options WatcherOptions() {
    SnapshotWatcher::Options options;
    options.max_snapshot_bytes = options_.max_snapshot_bytes;
    options.facts = [this] {
      return ServerFacts{.identity = options_.identity,
                         .sql_received = received_.load(),
                         .sql_completed = completed_.load(),
                         .sql_errors = errors_.load(),
                         .sql_from_cache = from_cache_.load()};
    };
    options.views = [this] { return views_.views(); };
    options.loaded = [this](const Snapshot& snapshot, absl::Duration took) {
      metrics_.Loaded(snapshot, took);
      if (cache_ != nullptr) cache_->NewestIs(snapshot.id());
    };
    options.failed = [this](const absl::Status&) { metrics_.LoadFailed(); };
    return options;
  }

  RetainedSnapshots::Options RetainedOptions() {
    RetainedSnapshots::Options options;
    options.max_bytes = options_.max_snapshot_bytes;
    options.others = [this] { return NewestBytes() + running_.bytes(); };
    options.newest = [this] { return watcher_.newest(); };
    options.facts = [this] { return watcher_.Facts(); };
    options.views = [this] { return views_.views(); };
    options.loaded = [this](const absl::Status& status) { metrics_.RetainedLoaded(status.ok()); };
    options.kept = [this](size_t count, int64_t bytes) { metrics_.RetainedKept(count, bytes); };
    return options;
  }

  RunningSnapshots::Options RunningOptions() {
    RunningSnapshots::Options options;
    options.max_bytes = options_.max_snapshot_bytes;
    options.others = [this] { return NewestBytes() + retained_.bytes(); };
    options.newest = [this] { return watcher_.newest(); };
    options.facts = [this] { return watcher_.Facts(); };
    options.views = [this] { return views_.views(); };
    options.loaded = [this](const absl::Status& status) { metrics_.RunningLoaded(status.ok()); };
    return options;
  }

  int64_t NewestBytes() const {
    const std::shared_ptr<const Snapshot> newest = watcher_.newest();
    return newest == nullptr ? 0 : newest->size_bytes();
  }

  bool Run(std::function<void()> task) override { return pool_.Submit(std::move(task)).ok(); }

  ResultCache* Cache() override { return cache_.get(); }

  absl::StatusOr<std::shared_ptr<const Snapshot>> Newest() override {
    std::shared_ptr<const Snapshot> newest = watcher_.newest();
    if (newest != nullptr) return newest;
    return absl::UnavailableError(fmt::format("no snapshot has reached this server yet: {}",
                                              std::string(watcher_.connection().message())));
  }

  bool Find(const v1::QueryRequest& request, SnapshotFound found) override {
    if (request.snapshot_case() == v1::QueryRequest::kRunning) {
      if (request.running()) {
        running_.Find(std::move(found));
      } else {
        found(absl::InvalidArgumentError("running is only ever true; leave it out for the newest"));
      }
      return true;
    }
    if (request.snapshot_case() != v1::QueryRequest::kGeneration) return false;
    std::shared_ptr<const Snapshot> newest = watcher_.newest();
    if (newest != nullptr && newest->info().generation() == request.generation()) {
      found(std::move(newest));
    } else if (request.generation() > 0) {
      retained_.Find(request.generation(), std::move(found));
    } else {
      // To the store it would mean the newest.
      found(absl::NotFoundError(
          fmt::format("generation {} is not held{}", request.generation(), OldestInWords())));
    }
    return true;
  }

  std::string OldestInWords() const {
    const std::vector<v1::GenerationInfo> held = watcher_.Facts().generations;
    if (held.empty()) return "";
    return fmt::format("; the oldest that is is {}", held.back().generation());
  }

  // Weak: a call belongs to gRPC until it is done. And the bytes of its request.
  struct Admitted {
    std::weak_ptr<QueryCall> call;
    int64_t bytes = 0;
  };

  absl::Status Admit(const std::shared_ptr<QueryCall>& call, int64_t bytes) {
    int64_t active;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      if (draining_) {
        status = absl::UnavailableError("query is stopping");
      } else if (static_cast<int64_t>(calls_.size()) >= options_.max_queries) {
        status = absl::ResourceExhaustedError(
            fmt::format("{} queries run or wait already (--max-queries)", options_.max_queries));
      } else if (request_bytes_ > 0 && request_bytes_ + bytes > options_.max_request_bytes) {
        status = absl::ResourceExhaustedError(fmt::format(
            "the statements and parameters of the queries that run now have {} bytes, and with "
            "this one's {} more than the limit of {}; try again",
            request_bytes_, bytes, options_.max_request_bytes));
      }
      if (!status.ok()) bytes = 0;
      // Refused ones are kept too, until gRPC has let go of them.
      calls_.emplace(call.get(), Admitted{call, bytes});
      request_bytes_ += bytes;
      active = static_cast<int64_t>(calls_.size());
    }
    metrics_.Active(active);
    return status;
  }

  void Over(QueryCall* call, const QueryOutcome& outcome) override {
    const bool completed = outcome.code == absl::StatusCode::kOk;
    (completed ? completed_ : errors_).fetch_add(1, std::memory_order_relaxed);
    if (completed && outcome.from != AnswerFrom::kRun && outcome.from != AnswerFrom::kRunAndKept) {
      from_cache_.fetch_add(1, std::memory_order_relaxed);
    }
    metrics_.Ended(outcome);
    int64_t active;
    {
      absl::MutexLock lock(&mutex_);
      if (const auto found = calls_.find(call); found != calls_.end()) {
        request_bytes_ -= found->second.bytes;
        calls_.erase(found);
      }
      active = static_cast<int64_t>(calls_.size());
    }
    metrics_.Active(active);
  }

  void EndStuckCalls() {
    for (;;) {
      std::vector<std::shared_ptr<QueryCall>> calls;
      {
        absl::MutexLock lock(&mutex_);
        if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kStuckCheck)) return;
        for (const auto& [pointer, admitted] : calls_) {
          if (std::shared_ptr<QueryCall> held = admitted.call.lock())
            calls.push_back(std::move(held));
        }
      }
      const absl::Time now = absl::Now();
      for (const std::shared_ptr<QueryCall>& call : calls) {
        call->InterruptOverdue(now);
        call->EndOverdueWrite(now);
        call->EndOverdueWait(now);
      }
    }
  }

  // Constant after construction.
  const QueryOptions options_;
  const std::string timeout_words_;

  // These synchronise themselves.
  Metrics metrics_;
  sqlite::MemoryPool memory_;
  std::atomic<int64_t> received_ = 0;
  std::atomic<int64_t> completed_ = 0;
  std::atomic<int64_t> errors_ = 0;
  std::atomic<int64_t> from_cache_ = 0;
  const std::unique_ptr<ResultCache> cache_;

  absl::Mutex mutex_;
  absl::flat_hash_map<QueryCall*, Admitted> calls_ ABSL_GUARDED_BY(mutex_);
  int64_t request_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // In this order: each uses those before it, but for the watcher, which is told by the views.
  server::WorkerPool pool_;
  ViewFile views_;
  SnapshotWatcher watcher_;
  RetainedSnapshots retained_;
  RunningSnapshots running_;
  std::thread janitor_;
};

QueryPart::QueryPart(std::unique_ptr<State> state) : state_(std::move(state)) {}
QueryPart::~QueryPart() = default;

absl::StatusOr<std::unique_ptr<QueryPart>> QueryPart::Create(const QueryOptions& options,
                                                             std::shared_ptr<grpc::Channel> store,
                                                             prometheus::Registry& metrics) {
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--query-timeout must be more than 0");
  }
  if (options.threads < 1 || options.max_queries < 1) {
    return absl::InvalidArgumentError("--query-threads and --max-queries must be at least 1");
  }
  if (store == nullptr) return absl::InvalidArgumentError("query needs a store");
  QueryOptions named = options;
  if (named.identity.empty()) named.identity = server::MachineName();
  return std::unique_ptr<QueryPart>(
      new QueryPart(std::make_unique<State>(named, std::move(store), metrics)));
}

grpc::Service& QueryPart::service() { return *state_; }
absl::Status QueryPart::Ready() const { return state_->Ready(); }
void QueryPart::SetIngests(std::vector<IngestPeer> ingests) {
  state_->SetIngests(std::move(ingests));
}
void QueryPart::Drain(absl::Time deadline) { state_->Drain(deadline); }

}  // namespace qasino::query
