#include "services/ingest/ingest_part.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/ingest/collector.h"
#include "services/ingest/ingest_service.h"
#include "services/ingest/kept_forwarder.h"
#include "services/ingest/metrics.h"
#include "services/ingest/paged_shard.h"
#include "services/ingest/shard_sender.h"
#include "services/ingest/validate.h"
#include "services/server/log.h"
#include "services/server/machine_name.h"

namespace qasino::ingest {
namespace {

// How long the start may wait for the store, by the machine's clock.
constexpr absl::Duration kStoreWait = absl::Seconds(1);
// Of the time that a Drain has, how much the store has to answer what was published.
constexpr double kShareForStore = 0.8;
// The end of the year 9999; what is later is a mistake, and sums of it may overflow.
constexpr int64_t kLatestGeneration = 253'402'300'799;

absl::Status CheckLimits(const Limits& limits) {
  struct Range {
    const char* name;
    int64_t value;
    int64_t least;
    int64_t most;
  };
  constexpr int64_t kAny = int64_t{1} << 50;
  for (const Range& range : {
           Range{"rows of a publish", limits.rows_per_publish, 1, kAny},
           Range{"bytes of a publish", limits.bytes_per_publish, 1, 1 << 30},
           Range{"publishes of a message", limits.publishes_per_message, 1, 1 << 24},
           Range{"memory of a message", limits.memory_per_message, 1 << 10, kAny},
           Range{"columns of a table", limits.columns_per_table, 1, 2000},
           // SQLite reads none that is larger.
           Range{"bytes of a row", limits.bytes_per_row, 1 << 10, 1'000'000'000},
           Range{"tables of a shard", limits.tables_per_shard, 1, 1 << 24},
           Range{"identities of a shard", limits.identities_per_shard, 1, 1 << 30},
           Range{"bytes of the catalogue", limits.catalogue_bytes, 1, 1 << 28},
           Range{"bytes of the running shard", limits.shard_bytes, 1 << 20, int64_t{1920} << 20},
           Range{"milliseconds of an update", limits.milliseconds_per_update, 1, 3'600'000},
           Range{"queued bytes", limits.queued_bytes, 1, kAny},
           Range{"queued publishes", limits.queued_publishes, 1, kAny},
           Range{"streams", limits.streams, 1, 1 << 20},
           Range{"backlog bytes", limits.backlog_bytes, 0, kAny},
           Range{"backlog shards", limits.backlog_shards, 1, kAny},
       }) {
    if (range.value < range.least || range.value > range.most) {
      return absl::InvalidArgumentError(absl::StrCat("the limit of ", range.name, " is ",
                                                     range.value, ", but must be ", range.least,
                                                     " to ", range.most));
    }
  }
  return absl::OkStatus();
}

// The store's newest generation; 0 when it has none or is away, which is no fault.
int64_t NewestGeneration(const std::shared_ptr<grpc::Channel>& store) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kStoreWait));
  // Processes that are started together: the store may come up just now.
  context.set_wait_for_ready(true);
  v1::Manifest newest;
  const grpc::Status status =
      v1::SnapshotStore::NewStub(store)->GetManifest(&context, v1::GetManifestRequest(), &newest);
  if (!status.ok() && status.error_code() != grpc::StatusCode::NOT_FOUND) {
    log::Warn("ingest", "the store does not tell its newest generation: going by the clock alone",
              {{"error", status.error_message()}});
    return 0;
  }
  if (newest.generation() < 0 || newest.generation() > kLatestGeneration) {
    log::Error("ingest", "the store's newest generation cannot be: going by the clock alone",
               {{"generation", newest.generation()}});
    return 0;
  }
  return newest.generation();
}

}  // namespace

struct IngestPart::State {
  State(prometheus::Registry& registry, const IngestOptions& options,
        std::shared_ptr<grpc::Channel> store)
      : metrics(registry),
        sender({.backlog_bytes = options.limits.backlog_bytes,
                .backlog_shards = options.limits.backlog_shards},
               store, metrics),
        forwarder(std::make_unique<KeptForwarder>(
            KeptForwarder::Options{.timeout = options.store_timeout}, std::move(store), metrics)) {}

  Metrics metrics;
  ShardSender sender;
  // Set once it exists; the collector may be quicker with its first generation.
  absl::Mutex mutex;
  IngestService* announce_to ABSL_GUARDED_BY(mutex) = nullptr;
  std::unique_ptr<Collector> collector;
  // Gone before the collector, which it answers.
  std::unique_ptr<KeptForwarder> forwarder;
  std::unique_ptr<IngestService> service;

  void Announce(int64_t generation) {
    IngestService* to = nullptr;
    {
      absl::MutexLock lock(&mutex);
      to = announce_to;
    }
    if (to != nullptr) to->Announce(generation);
  }
};

absl::StatusOr<std::unique_ptr<IngestPart>> IngestPart::Create(const IngestOptions& given,
                                                               std::shared_ptr<grpc::Channel> store,
                                                               prometheus::Registry& metrics) {
  IngestOptions options = given;
  if (options.identity.empty()) options.identity = server::MachineName();
  if (absl::Status status = ValidateIdentity(options.identity); !status.ok()) return status;
  const absl::Duration duration = options.generation_duration;
  if (duration < absl::Seconds(1) || duration > absl::Hours(24) ||
      duration % absl::Seconds(1) != absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("the generation's duration is ",
                                                   absl::FormatDuration(duration),
                                                   ", but must be whole seconds, 1s to 24h"));
  }
  if (options.reader_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("the readers' timeout is ",
                                                   absl::FormatDuration(options.reader_timeout),
                                                   ", but must be more than 0"));
  }
  if (options.store_timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("the store's timeout is ",
                                                   absl::FormatDuration(options.store_timeout),
                                                   ", but must be more than 0"));
  }
  if (absl::Status status = CheckLimits(options.limits); !status.ok()) return status;
  Clock& clock = options.clock == nullptr ? Clock::Real() : *options.clock;

  const int64_t newest = NewestGeneration(store);
  auto state = std::make_unique<State>(metrics, options, std::move(store));
  State* const raw = state.get();
  absl::StatusOr<std::unique_ptr<Collector>> collector = Collector::Create(
      {.identity = options.identity,
       .generation_duration = duration,
       .newest_generation = newest,
       .limits = options.limits},
      clock, state->metrics,
      {.open_shard = OpenPagedShard,
       .on_sealed = [raw](SealedShard shard) { raw->sender.Add(std::move(shard)); },
       .on_generation = [raw](int64_t generation) { raw->Announce(generation); },
       .forward = [raw](const KeptPut& put,
                        KeptDone done) { raw->forwarder->Forward(put, std::move(done)); }});
  if (!collector.ok()) return collector.status();
  state->collector = std::move(*collector);
  state->service = std::make_unique<IngestService>(
      IngestService::Options{.identity = options.identity,
                             .generation_duration = duration,
                             .reader_timeout = options.reader_timeout,
                             .limits = options.limits},
      *state->collector, clock, state->metrics);
  {
    absl::MutexLock lock(&state->mutex);
    state->announce_to = state->service.get();
  }
  if (newest > absl::ToUnixSeconds(clock.Now())) {
    log::Warn("ingest", "the store's newest generation is ahead of the clock: going on after it",
              {{"newest", newest}, {"generation", state->collector->generation()}});
  }
  log::Info("ingest", "collecting",
            {{"identity", options.identity},
             {"generation", state->collector->generation()},
             {"generation_duration", duration}});
  return std::unique_ptr<IngestPart>(new IngestPart(std::move(state)));
}

IngestPart::IngestPart(std::unique_ptr<State> state) : state_(std::move(state)) {}

IngestPart::~IngestPart() {
  // The collector's threads end first; until then they may answer and announce.
  state_->forwarder->Stop();
  state_->collector->Drain(absl::InfiniteFuture());
}

grpc::Service& IngestPart::service() { return state_->service->service(); }

absl::Status IngestPart::Ready() const { return state_->collector->Ready(); }

void IngestPart::Drain(absl::Time deadline) {
  state_->service->Stop();
  // What the store has not answered by then is answered here, while there is time to send that.
  const absl::Time now = absl::Now();
  state_->collector->Drain(now + kShareForStore * (deadline - now));
  state_->forwarder->Stop();
  if (!state_->collector->Drain(deadline)) {
    log::Error("ingest", "the running generation could not be sealed in time",
               {{"generation", generation()}});
  }
  state_->sender.Flush(deadline);
  if (!state_->service->AwaitEnd(deadline)) {
    log::Warn("ingest", "streams are still open at the end of the grace", {});
  }
}

int64_t IngestPart::generation() const { return state_->collector->generation(); }

}  // namespace qasino::ingest
