#include "services/query/snapshot_watcher.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/server/log.h"

namespace qasino::query {
namespace {

constexpr char kPart[] = "query";

// Generations never fall: a store that lost its data begins with an empty snapshot, and
// what is held is better than that until the next generation is sealed.
bool Replaces(const v1::Manifest& manifest, const v1::SnapshotInfo& held) {
  if (manifest.generation() != held.generation()) return manifest.generation() > held.generation();
  return manifest.store_id() != held.store_id() || manifest.revision() > held.revision();
}

// For a store that does not tell which generations it holds.
v1::GenerationInfo InfoOf(const v1::Manifest& manifest) {
  v1::GenerationInfo info;
  info.set_generation(manifest.generation());
  info.set_revision(manifest.revision());
  info.set_complete(manifest.complete());
  info.set_shards(manifest.shards_size());
  info.set_size_bytes(SumOfSizes(manifest));
  *info.mutable_committed_at() = manifest.committed_at();
  return info;
}

}  // namespace

SnapshotWatcher::SnapshotWatcher(std::shared_ptr<grpc::Channel> store, Options options)
    : options_(std::move(options)),
      store_(std::move(store)),
      connection_(absl::UnavailableError("not connected yet")),
      thread_([this] { Run(); }) {}

SnapshotWatcher::~SnapshotWatcher() { Stop(); }

void SnapshotWatcher::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  store_.Stop();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const Snapshot> SnapshotWatcher::newest() const {
  absl::MutexLock lock(&mutex_);
  return newest_;
}

absl::Status SnapshotWatcher::connection() const {
  absl::MutexLock lock(&mutex_);
  return connection_;
}

void SnapshotWatcher::Run() {
  absl::BitGen random;
  absl::Duration backoff = options_.initial_backoff;
  bool told = false;
  for (;;) {
    const absl::Time began = absl::Now();
    const absl::Status status = Watch();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      connection_ = status;
    }
    // A watch that lived for a while had connected: the store was there.
    const bool had_lived = absl::Now() - began > options_.max_backoff;
    if (had_lived) backoff = options_.initial_backoff;
    if (!told || had_lived) log::Warn(kPart, "the watch of the store ended", {{"status", status}});
    told = true;
    const absl::Duration wait = backoff * absl::Uniform(random, 0.5, 1.0);
    backoff = std::min(backoff * 2, options_.max_backoff);
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait)) return;
  }
}

absl::Status SnapshotWatcher::Watch() {
  grpc::ClientContext context;
  v1::WatchSnapshotsRequest request;
  if (std::shared_ptr<const Snapshot> held = newest()) {
    request.set_from_generation(held->info().generation());
    request.set_from_revision(held->info().revision());
  }
  const ShardFetcher::Call call(store_, context);
  if (!call.may_begin()) return absl::CancelledError("stopping");
  const std::unique_ptr<v1::SnapshotStore::Stub> stub =
      v1::SnapshotStore::NewStub(store_.channel());
  const auto reader = stub->WatchSnapshots(&context, request);
  v1::WatchSnapshotsResponse response;
  absl::Status loaded;
  bool first = true;
  while (loaded.ok() && reader->Read(&response)) {
    if (std::exchange(first, false)) log::Info(kPart, "watching the store");
    {
      absl::MutexLock lock(&mutex_);
      connection_ = absl::OkStatus();
    }
    if (!response.has_manifest()) continue;
    const std::shared_ptr<const Snapshot> held = newest();
    if (held != nullptr && !Replaces(response.manifest(), held->info())) continue;
    loaded = Load(response.manifest());
    if (!loaded.ok()) {
      options_.failed(loaded);
      log::Error(kPart, "a snapshot could not be loaded",
                 {{"generation", response.manifest().generation()},
                  {"revision", response.manifest().revision()},
                  {"status", loaded}});
    }
  }
  // After a failure to load the watch is begun anew, which brings the newest snapshot.
  if (!loaded.ok()) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  if (!loaded.ok()) return loaded;
  return finished.ok() ? absl::UnavailableError("the store ended the watch") : FromGrpc(finished);
}

absl::Status SnapshotWatcher::Load(const v1::Manifest& manifest) {
  const absl::Time began = absl::Now();
  if (SumOfSizes(manifest) > static_cast<uint64_t>(options_.max_snapshot_bytes)) {
    return absl::ResourceExhaustedError(fmt::format(
        "the snapshot is larger than {} bytes (--max-snapshot-size)", options_.max_snapshot_bytes));
  }
  const std::shared_ptr<const Snapshot> held = newest();
  const bool same_store = held != nullptr && held->info().store_id() == manifest.store_id();
  absl::StatusOr<ShardImages> shards =
      store_.GetShards(manifest, same_store ? held->shards() : ShardImages());
  if (!shards.ok()) return shards.status();
  absl::StatusOr<std::vector<v1::GenerationInfo>> generations = store_.ListGenerations();
  {
    absl::MutexLock lock(&mutex_);
    generations_ = generations.ok() ? *std::move(generations)
                                    : std::vector<v1::GenerationInfo>{InfoOf(manifest)};
  }
  absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = Build(manifest, *std::move(shards));
  if (!snapshot.ok()) return snapshot.status();
  const std::shared_ptr<const Snapshot> placed = *snapshot;
  for (const std::string& fault : placed->faults()) {
    log::Warn(kPart, "not merged", {{"generation", manifest.generation()}, {"fault", fault}});
  }
  std::shared_ptr<const Snapshot> last = placed;
  {
    absl::MutexLock lock(&mutex_);
    newest_.swap(last);
  }
  last.reset();  // outside the lock: it may be the last holder of much memory
  TellOf(*placed, absl::Now() - began, "snapshot loaded");
  // Views that changed while it was built did not find it in place.
  RefreshViews();
  return absl::OkStatus();
}

void SnapshotWatcher::RefreshViews() {
  for (;;) {
    const absl::Time began = absl::Now();
    std::shared_ptr<const Snapshot> held = newest();
    if (held == nullptr || held->views() == Views()) return;
    absl::StatusOr<std::shared_ptr<const Snapshot>> built = Build(held->manifest(), held->shards());
    if (!built.ok()) {
      log::Error(kPart, "the snapshot could not be built anew for its views",
                 {{"generation", held->info().generation()}, {"status", built.status()}});
      return;
    }
    const std::shared_ptr<const Snapshot> placed = *std::move(built);
    bool in_place = false;
    {
      absl::MutexLock lock(&mutex_);
      // Another snapshot that came meanwhile is newer.
      if (newest_ == held) {
        newest_ = placed;
        in_place = true;
      }
    }
    if (in_place) TellOf(*placed, absl::Now() - began, "views loaded");
  }
}

absl::StatusOr<std::shared_ptr<const Snapshot>> SnapshotWatcher::Build(const v1::Manifest& manifest,
                                                                       ShardImages shards) const {
  return Snapshot::Build(manifest, std::move(shards), Facts(), Views());
}

std::shared_ptr<const ViewSet> SnapshotWatcher::Views() const {
  return options_.views ? options_.views() : nullptr;
}

ServerFacts SnapshotWatcher::Facts() const {
  ServerFacts facts = options_.facts();
  absl::MutexLock lock(&mutex_);
  facts.generations = generations_;
  return facts;
}

void SnapshotWatcher::TellOf(const Snapshot& placed, absl::Duration took, const char* event) const {
  options_.loaded(placed, took);
  log::Info(kPart, event,
            {{"generation", placed.info().generation()},
             {"revision", placed.info().revision()},
             {"shards", placed.shards().size()},
             {"bytes", placed.size_bytes()},
             {"publishers", placed.info().publishers()},
             {"complete", placed.info().complete()},
             {"views", placed.views_loaded()},
             {"views_failed", placed.views_failed()},
             {"seconds", took}});
}

}  // namespace qasino::query
