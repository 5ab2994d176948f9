#include "services/query/running_snapshots.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace qasino::query {
namespace {

absl::Status Stopping() { return absl::UnavailableError("query is stopping"); }

// What a client is to be told of another server's answer.
absl::Status OfPeer(const std::string& peer, const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    return absl::ResourceExhaustedError(fmt::format("{}: {}", peer, std::string(status.message())));
  }
  return absl::UnavailableError(
      fmt::format("{} is away: {}; try again", peer, std::string(status.message())));
}

}  // namespace

RunningSnapshots::RunningSnapshots(std::shared_ptr<grpc::Channel> store, Options options)
    : options_(std::move(options)), store_(std::move(store)), thread_([this] { Run(); }) {}

RunningSnapshots::~RunningSnapshots() { Stop(); }

void RunningSnapshots::SetIngests(std::vector<IngestPeer> ingests) {
  auto made = std::make_shared<Ingests>();
  for (IngestPeer& peer : ingests) made->push_back(std::make_unique<Ingest>(std::move(peer)));
  absl::MutexLock lock(&mutex_);
  ingests_.swap(made);
  for (const auto& ingest : *made) ingest->fetcher.Stop();
  const auto idle = [&made] { return made.use_count() == 1; };
  mutex_.Await(absl::Condition(&idle));
}

void RunningSnapshots::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  store_.Stop();
  SetIngests({});
  if (thread_.joinable()) thread_.join();
}

void RunningSnapshots::Find(SnapshotFound found) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      waiting_.push_back(std::move(found));
      return;
    }
  }
  found(Stopping());
}

int64_t RunningSnapshots::bytes() const {
  absl::MutexLock lock(&mutex_);
  int64_t bytes = 0;
  for (const auto& copy : copies_) {
    if (const std::shared_ptr<const Snapshot> used = copy.lock()) bytes += used->size_bytes();
  }
  return bytes;
}

void RunningSnapshots::Run() {
  for (;;) {
    std::vector<SnapshotFound> waiters;
    std::shared_ptr<Ingests> ingests;
    bool stopping;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &RunningSnapshots::HasNews));
      waiters.swap(waiting_);
      stopping = stopping_;
      ingests = ingests_;
    }
    absl::StatusOr<std::shared_ptr<const Snapshot>> copy = Stopping();
    if (!stopping) {
      copy = Copy(std::move(ingests));
      options_.loaded(copy.status());
    }
    {
      absl::MutexLock lock(&mutex_);
      ingests.reset();
      std::erase_if(copies_, [](const auto& used) { return used.expired(); });
      if (copy.ok()) copies_.push_back(*copy);
    }
    for (SnapshotFound& found : waiters) found(copy);
    if (stopping) return;
  }
}

absl::StatusOr<ShardImages> RunningSnapshots::FetchRunning(const Ingests& ingests,
                                                           ByteBudget& budget) {
  // At the same time, so that they are of about the same moment.
  std::vector<absl::StatusOr<std::shared_ptr<const ShardImage>>> fetched(
      ingests.size(), absl::UnknownError("not fetched"));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ingests.size(); ++i) {
    threads.emplace_back([&ingests, &fetched, &budget, i] {
      fetched[i] = ingests[i]->fetcher.GetRunningShard(budget);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ShardImages shards;
  for (size_t i = 0; i < ingests.size(); ++i) {
    if (!fetched[i].ok()) {
      return OfPeer(fmt::format("the ingest process {}", ingests[i]->name), fetched[i].status());
    }
    shards.push_back(*std::move(fetched[i]));
  }
  return shards;
}

absl::StatusOr<ShardImages> RunningSnapshots::FetchStatic(const v1::Manifest& manifest,
                                                          const ShardImages& held,
                                                          ByteBudget& budget) {
  ShardImages shards;
  for (const v1::ShardInfo& info : manifest.shards()) {
    if (info.kind() != v1::STATIC) continue;
    auto shard = store_.GetShard(manifest.generation(), info, held, &budget);
    if (!shard.ok()) return shard.status();
    shards.push_back(*std::move(shard));
  }
  return shards;
}

absl::StatusOr<std::shared_ptr<const Snapshot>> RunningSnapshots::Copy(
    std::shared_ptr<Ingests> ingests) {
  const bool none = ingests->empty();
  const absl::Time began = absl::Now();
  ByteBudget budget(options_.max_bytes - options_.others() - bytes());
  // What is collected first: a generation that ends meanwhile does not take away from it what
  // it tells of the carried tables.
  absl::StatusOr<ShardImages> shards = FetchRunning(*ingests, budget);
  {
    // With the lock held, which is what SetIngests waits for.
    absl::MutexLock lock(&mutex_);
    ingests.reset();
  }
  if (none) {
    return absl::UnavailableError(
        "this server knows no ingest process to ask for the running generation (--ingest)");
  }
  if (!shards.ok()) return shards.status();
  const std::shared_ptr<const Snapshot> newest = options_.newest();
  const ShardImages held = newest == nullptr ? ShardImages() : newest->shards();
  absl::StatusOr<std::shared_ptr<const ShardImage>> carried = store_.GetCarriedShard(held, budget);
  if (!carried.ok()) return OfPeer("the store", carried.status());
  absl::StatusOr<v1::Manifest> manifest = store_.GetManifest(0);
  if (!manifest.ok()) return OfPeer("the store", manifest.status());
  absl::StatusOr<ShardImages> fixed = FetchStatic(*manifest, held, budget);
  if (absl::IsNotFound(fixed.status())) {
    // A newer revision has come meanwhile, with other static tables.
    manifest = store_.GetManifest(0);
    if (!manifest.ok()) return OfPeer("the store", manifest.status());
    fixed = FetchStatic(*manifest, held, budget);
  }
  if (!fixed.ok()) return OfPeer("the store", fixed.status());

  v1::Manifest running;
  running.set_store_id(manifest->store_id());
  running.set_complete(true);
  running.mutable_committed_at()->set_seconds(absl::ToUnixSeconds(began));
  for (const auto& shard : *shards) {
    if (shard->info.generation() > running.generation()) {
      running.set_generation(shard->info.generation());
      *running.mutable_duration() = shard->info.duration();
    }
  }
  shards->push_back(*std::move(carried));
  shards->insert(shards->end(), fixed->begin(), fixed->end());
  for (const auto& shard : *shards) *running.add_shards() = shard->info;
  return Snapshot::Build(running, *std::move(shards), options_.facts(), options_.views(),
                         merge::InternalTables::kNone);
}

}  // namespace qasino::query
