#include "services/query/retained_snapshots.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "services/server/log.h"

namespace qasino::query {
namespace {

constexpr char kPart[] = "query";

absl::Status Stopping() { return absl::UnavailableError("query is stopping"); }

// What a client is to be told of the store's answer.
absl::Status OfStore(const absl::Status& status) {
  if (absl::IsNotFound(status) || absl::IsResourceExhausted(status)) return status;
  return absl::UnavailableError(
      fmt::format("the store is away: {}; try again", std::string(status.message())));
}

bool IsCurrent(const Snapshot& snapshot, const v1::Manifest& manifest, const ViewSet* views) {
  return snapshot.info().store_id() == manifest.store_id() &&
         snapshot.info().revision() == manifest.revision() && snapshot.views().get() == views;
}

}  // namespace

RetainedSnapshots::RetainedSnapshots(std::shared_ptr<grpc::Channel> store, Options options)
    : options_(std::move(options)), store_(std::move(store)), thread_([this] { Run(); }) {}

RetainedSnapshots::~RetainedSnapshots() { Stop(); }

void RetainedSnapshots::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  store_.Stop();
  if (thread_.joinable()) thread_.join();
}

void RetainedSnapshots::Find(int64_t generation, SnapshotFound found) {
  absl::StatusOr<std::shared_ptr<const Snapshot>> now = Stopping();
  {
    const std::shared_ptr<const ViewSet> views = options_.views();
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      Kept* kept = FindKept(generation);
      if (kept == nullptr || absl::Now() - kept->checked > options_.fresh ||
          kept->snapshot->views() != views) {
        waiting_.push_back({generation, std::move(found)});
        return;
      }
      kept->asked = absl::Now();
      now = kept->snapshot;
    }
  }
  found(std::move(now));
}

int64_t RetainedSnapshots::bytes() const {
  absl::MutexLock lock(&mutex_);
  return BytesLocked();
}

int64_t RetainedSnapshots::BytesLocked() const {
  int64_t bytes = 0;
  for (const Kept& kept : kept_) bytes += kept.snapshot->size_bytes();
  for (const auto& former : former_) {
    if (const std::shared_ptr<const Snapshot> used = former.lock()) bytes += used->size_bytes();
  }
  return bytes;
}

RetainedSnapshots::Kept* RetainedSnapshots::FindKept(int64_t generation) {
  for (Kept& kept : kept_) {
    if (kept.snapshot->info().generation() == generation) return &kept;
  }
  return nullptr;
}

void RetainedSnapshots::Run() {
  for (;;) {
    std::vector<Waiter> waiters;
    int64_t generation = 0;
    bool stopping;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &RetainedSnapshots::HasNews));
      stopping = stopping_;
      if (stopping) {
        waiters.swap(waiting_);
      } else {
        generation = waiting_.front().generation;
      }
    }
    if (stopping) {
      for (Waiter& waiter : waiters) waiter.found(Stopping());
      return;
    }
    const absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = Load(generation);
    {
      // Also those who asked while it was loaded: it is as new as they may want it.
      absl::MutexLock lock(&mutex_);
      const auto others = std::stable_partition(
          waiting_.begin(), waiting_.end(),
          [generation](const Waiter& waiter) { return waiter.generation != generation; });
      waiters.assign(std::make_move_iterator(others), std::make_move_iterator(waiting_.end()));
      waiting_.erase(others, waiting_.end());
    }
    for (Waiter& waiter : waiters) waiter.found(snapshot);
  }
}

std::shared_ptr<const Snapshot> RetainedSnapshots::Look(int64_t generation) const {
  absl::MutexLock lock(&mutex_);
  for (const Kept& kept : kept_) {
    if (kept.snapshot->info().generation() == generation) return kept.snapshot;
  }
  return nullptr;
}

absl::StatusOr<std::shared_ptr<const Snapshot>> RetainedSnapshots::Load(int64_t generation) {
  const std::shared_ptr<const Snapshot> kept = Look(generation);
  absl::StatusOr<v1::Manifest> manifest = store_.GetManifest(generation);
  if (absl::IsNotFound(manifest.status())) {
    Keep(generation, nullptr);
    return manifest.status();
  }
  if (!manifest.ok() && kept == nullptr) return OfStore(manifest.status());
  // While the store is away, what is kept is as good as it gets.
  if (!manifest.ok()) manifest = kept->manifest();
  if (manifest->generation() != generation) {
    return absl::InternalError(fmt::format("the store answered with generation {} instead of {}",
                                           manifest->generation(), generation));
  }
  if (kept != nullptr && IsCurrent(*kept, *manifest, options_.views().get())) {
    Keep(generation, kept);
    return kept;
  }
  const absl::Time began = absl::Now();
  absl::StatusOr<std::shared_ptr<const Snapshot>> made = Make(*manifest);
  if (absl::IsNotFound(made.status())) {
    // A newer revision has come meanwhile, without a shard that this one had.
    manifest = store_.GetManifest(generation);
    made = manifest.ok() ? Make(*manifest) : OfStore(manifest.status());
  }
  options_.loaded(made.status());
  if (!made.ok()) {
    log::Warn(kPart, "a retained generation could not be loaded",
              {{"generation", generation}, {"status", made.status()}});
    return made;
  }
  Keep(generation, *made);
  log::Info(kPart, "a retained generation loaded",
            {{"generation", generation},
             {"revision", (*made)->info().revision()},
             {"bytes", (*made)->size_bytes()},
             {"seconds", absl::Now() - began}});
  return made;
}

absl::StatusOr<std::shared_ptr<const Snapshot>> RetainedSnapshots::Make(
    const v1::Manifest& manifest) {
  const std::shared_ptr<const Snapshot> newest = options_.newest();
  ShardImages held;
  const auto hold = [&held](const Snapshot& snapshot) {
    held.insert(held.end(), snapshot.shards().begin(), snapshot.shards().end());
  };
  if (newest != nullptr) hold(*newest);
  {
    absl::MutexLock lock(&mutex_);
    for (const Kept& kept : kept_) hold(*kept.snapshot);
  }
  absl::Status room = MakeRoom(manifest.generation(), SumOfSizes(manifest));
  if (!room.ok()) return room;
  absl::StatusOr<ShardImages> shards = store_.GetShards(manifest, held);
  if (!shards.ok()) return OfStore(shards.status());
  return Snapshot::Build(manifest, *std::move(shards), options_.facts(), options_.views());
}

absl::Status RetainedSnapshots::MakeRoom(int64_t generation, uint64_t more) {
  const int64_t others = options_.others();
  // Destroyed without the lock: each may be the last holder of much memory.
  std::vector<std::shared_ptr<const Snapshot>> gone;
  absl::MutexLock lock(&mutex_);
  for (;;) {
    const int64_t left = options_.max_bytes - others - BytesLocked();
    if (left >= 0 && more <= static_cast<uint64_t>(left)) return absl::OkStatus();
    if (kept_.empty()) break;
    const auto oldest = std::min_element(
        kept_.begin(), kept_.end(), [](const Kept& a, const Kept& b) { return a.asked < b.asked; });
    former_.push_back(oldest->snapshot);
    gone.push_back(std::move(oldest->snapshot));
    kept_.erase(oldest);
    // It counts on while somebody holds it, which here is only this function.
    if (gone.back().use_count() == 1) former_.pop_back();
  }
  return absl::ResourceExhaustedError(
      fmt::format("generation {} has {} bytes, and with the snapshots that are in use that is "
                  "more than {} (--max-snapshot-size)",
                  generation, more, options_.max_bytes));
}

void RetainedSnapshots::Keep(int64_t generation, std::shared_ptr<const Snapshot> snapshot) {
  std::vector<std::shared_ptr<const Snapshot>> gone;
  size_t count = 0;
  int64_t bytes = 0;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(former_, [](const auto& former) { return former.expired(); });
    const absl::Time now = absl::Now();
    for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
      if (kept->snapshot->info().generation() != generation) continue;
      if (kept->snapshot != snapshot) former_.push_back(kept->snapshot);
      gone.push_back(std::move(kept->snapshot));
      kept_.erase(kept);
      break;
    }
    if (snapshot != nullptr) kept_.push_back({std::move(snapshot), now, now});
    while (kept_.size() > options_.max_count) {
      const auto oldest =
          std::min_element(kept_.begin(), kept_.end(),
                           [](const Kept& a, const Kept& b) { return a.asked < b.asked; });
      former_.push_back(oldest->snapshot);
      gone.push_back(std::move(oldest->snapshot));
      kept_.erase(oldest);
    }
    count = kept_.size();
    bytes = BytesLocked();
  }
  gone.clear();
  options_.kept(count, bytes);
}

}  // namespace qasino::query
