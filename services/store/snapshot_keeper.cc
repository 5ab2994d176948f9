#include "services/store/snapshot_keeper.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/server/failpoint.h"
#include "services/server/log.h"
#include "services/store/disk_status.h"
#include "services/store/failpoints.h"

namespace qasino::store {
namespace {

// After a failed announcement; the next attempt.
constexpr absl::Duration kAnnounceAgain = absl::Seconds(1);

// How long a generation still lasts by the wall's clock; negative when it is over.
absl::Duration UntilEnd(int64_t generation, const google::protobuf::Duration& duration,
                        absl::Time wall) {
  return absl::FromUnixSeconds(generation) + absl::Seconds(duration.seconds()) - wall;
}

// For a message.
std::string Shown(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

Catalogue::Options CatalogueOptions(const SnapshotKeeper::Options& options,
                                    const DataFolder& folder) {
  Catalogue::Options catalogue;
  catalogue.store_id = folder.store_id();
  catalogue.retain = options.retain;
  catalogue.completeness_wait = options.completeness_wait;
  return catalogue;
}

SnapshotKeeper::NewestPtr NewestOf(const Catalogue& catalogue) {
  auto newest = std::make_shared<v1::WatchSnapshotsResponse>();
  *newest->mutable_manifest() = *catalogue.newest();
  newest->set_oldest_generation(catalogue.oldest());
  return newest;
}

uint64_t Bytes(const v1::Manifest& manifest) {
  uint64_t bytes = 0;
  for (const v1::ShardInfo& shard : manifest.shards()) bytes += shard.size_bytes();
  return bytes;
}

}  // namespace

SnapshotKeeper::SnapshotKeeper(const Options& options, DataFolder* folder, server::WorkerPool* pool,
                               StoreMetrics* metrics)
    : options_(options),
      folder_(folder),
      pool_(pool),
      metrics_(metrics),
      catalogue_(CatalogueOptions(options, *folder)),
      newest_(NewestOf(catalogue_)) {}

absl::StatusOr<std::unique_ptr<SnapshotKeeper>> SnapshotKeeper::Create(const Options& options,
                                                                       DataFolder* folder,
                                                                       server::WorkerPool* pool,
                                                                       StoreMetrics* metrics) {
  std::unique_ptr<SnapshotKeeper> keeper(new SnapshotKeeper(options, folder, pool, metrics));
  if (absl::Status status = keeper->Restore(); !status.ok()) return status;
  keeper->timekeeper_ = std::thread([raw = keeper.get()] { raw->KeepTime(); });
  return keeper;
}

SnapshotKeeper::~SnapshotKeeper() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (timekeeper_.joinable()) timekeeper_.join();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](bool* working) { return !*working; }, &working_));
}

absl::Status SnapshotKeeper::Restore() {
  Catalogue next = Current();
  const absl::Time now = options_.steady_clock();
  for (DataFolder::Recovered& recovered : folder_->TakeRecovered()) {
    const int64_t generation = recovered.manifest.generation();
    const absl::Duration until_end =
        UntilEnd(generation, recovered.manifest.duration(), options_.clock());
    next.Restore(std::move(recovered.manifest), recovered.lost, now, until_end,
                 recovered.made_lost);
    if (recovered.lost.empty() && !recovered.made_lost) continue;
    const Catalogue::ManifestPtr manifest = next.Held(generation);
    if (absl::Status status = folder_->WriteManifest(*manifest); !status.ok()) return status;
  }
  const Catalogue::ManifestPtr newest = next.newest();
  log::Info("store", "recovered",
            {{"store_id", folder_->store_id()},
             {"generations", next.held_generations()},
             {"bytes", next.held_bytes()},
             {"newest_generation", newest->generation()},
             {"revision", newest->revision()}});
  if (absl::Status status = RestoreTables(next); !status.ok()) return status;
  Become(std::move(next));
  // A crash may have come between a change of a table and the snapshot that shows it.
  unsettled_ = true;
  const absl::Status settled = Settle();
  absl::MutexLock lock(&mutex_);
  again_ = !settled.ok() || !not_ended_.empty();
  return absl::OkStatus();
}

Catalogue SnapshotKeeper::Current() const {
  absl::MutexLock lock(&mutex_);
  return catalogue_;
}

absl::StatusOr<bool> SnapshotKeeper::Admit(const v1::ShardInfo& info) const {
  absl::StatusOr<bool> held = Current().Admit(info);
  if (held.ok() && *held) return held;
  if (absl::Status status = CheckClock(info.generation()); !status.ok()) return status;
  return held;
}

absl::Status SnapshotKeeper::CheckClock(int64_t generation) const {
  const absl::Time now = options_.clock();
  const absl::Time begins = absl::FromUnixSeconds(generation);
  if (begins - now <= options_.max_clock_skew) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "generation ", generation, " (", Shown(begins), ") begins ",
      absl::FormatDuration(absl::Trunc(begins - now, absl::Seconds(1))),
      " after this store's clock (", Shown(now), "), more than the ",
      absl::FormatDuration(options_.max_clock_skew), " of --max-clock-skew; is a clock wrong?"));
}

void SnapshotKeeper::Commit(std::unique_ptr<IncomingShard> shard, CommitDone done) {
  const absl::Time since = options_.steady_clock();
  absl::MutexLock lock(&mutex_);
  arrivals_.push_back({std::move(shard), std::move(done), since});
  ScheduleWork();
}

void SnapshotKeeper::ScheduleWork() {
  more_work_ = true;
  if (working_) return;
  // A pool that is full is asked again at the next tick.
  working_ = pool_->Submit([this] { Work(); }).ok();
}

void SnapshotKeeper::Work() {
  while (true) {
    std::map<int64_t, std::vector<Arrival>> arrivals;
    std::vector<TableArrival> changes;
    std::vector<CarriedDone> carried;
    int64_t newest_before = 0;
    bool probe = false;
    {
      absl::MutexLock lock(&mutex_);
      if (!more_work_) {
        working_ = false;
        again_ = unsettled_ || !not_ended_.empty();
        woken_ = true;
        return;
      }
      more_work_ = false;
      probe = std::exchange(probe_, false);
      for (Arrival& arrival : arrivals_) {
        const int64_t generation = arrival.shard->info().generation();
        arrivals[generation].push_back(std::move(arrival));
      }
      arrivals_.clear();
      changes.swap(table_arrivals_);
      carried.swap(carried_asked_);
      newest_before = catalogue_.newest()->generation();
    }
    EndCarriedBefore();
    // What was put before a shard came is in that shard's snapshot.
    Apply(changes);
    for (auto& [generation, together] : arrivals) TakeIn(generation, std::move(together));
    AnnounceDue();
    const absl::Status settled = Settle();
    Answer(std::move(changes), newest_before, settled);
    AnswerCarried(std::move(carried));
    if (probe && !Disk().ok()) ReportDisk(folder_->Probe());
  }
}

void SnapshotKeeper::TakeIn(int64_t generation, std::vector<Arrival> arrivals) {
  Catalogue next = Current();
  std::vector<Arrival> taken;
  // Of shards that are taken just now. What they are told holds only once the manifest
  // is written.
  std::vector<std::pair<Arrival, absl::StatusOr<bool>>> repeated;
  const auto is_taken = [&taken](const std::string& shard_id) {
    return std::any_of(taken.begin(), taken.end(), [&](const Arrival& arrival) {
      return arrival.shard->info().shard_id() == shard_id;
    });
  };
  for (Arrival& arrival : arrivals) {
    const v1::ShardInfo& info = arrival.shard->info();
    absl::StatusOr<bool> held = next.Admit(info);
    if (!held.ok() || *held) {
      if (is_taken(info.shard_id())) {
        repeated.emplace_back(std::move(arrival), std::move(held));
      } else {
        arrival.done(std::move(held));
      }
      continue;
    }
    if (const absl::Status status = folder_->CommitShard(*arrival.shard); !status.ok()) {
      ReportDisk(status);
      arrival.done(ForSender(status));
      continue;
    }
    next.Add(info, options_.steady_clock(),
             UntilEnd(generation, info.duration(), options_.clock()));
    taken.push_back(std::move(arrival));
  }
  if (taken.empty()) return;

  std::vector<v1::ShardInfo> infos;
  for (const Arrival& arrival : taken) infos.push_back(arrival.shard->info());
  absl::Status written = EndCarried(infos);
  if (written.ok()) written = WriteRevision(next, generation);
  if (!written.ok()) {
    for (Arrival& arrival : taken) {
      folder_->DiscardShard(arrival.shard->info());
      arrival.done(ForSender(written));
    }
    for (auto& [arrival, held] : repeated) arrival.done(ForSender(written));
    return;
  }
  LogSnapshot(*next.Held(generation));
  Become(std::move(next), generation);
  for (Arrival& arrival : taken) {
    metrics_->shards_received->Increment();
    metrics_->commit_seconds->Observe(
        absl::ToDoubleSeconds(options_.steady_clock() - arrival.since));
    arrival.done(false);
    server::Failpoint(kAfterAnswer);
  }
  for (auto& [arrival, held] : repeated) arrival.done(std::move(held));
}

void SnapshotKeeper::AnnounceDue() {
  while (true) {
    const absl::Time now = options_.steady_clock();
    {
      absl::MutexLock lock(&mutex_);
      if (now < announce_after_) return;
    }
    Catalogue next = Current();
    const auto due = next.Due(now);
    if (!due) return;
    const absl::Status written = WriteRevision(next, *due);
    if (!written.ok()) {
      log::Error("store", "snapshot not announced", {{"generation", *due}, {"error", written}});
      absl::MutexLock lock(&mutex_);
      announce_after_ = now + kAnnounceAgain;
      return;
    }
    LogSnapshot(*next.Held(*due));
    Become(std::move(next), *due);
  }
}

absl::Status SnapshotKeeper::WriteRevision(Catalogue& next, int64_t generation) {
  const absl::Time now = options_.steady_clock();
  const Catalogue::ManifestPtr newest = next.newest();
  const Catalogue::ManifestPtr held = next.Held(generation);
  std::vector<v1::ShardInfo> unneeded;
  std::vector<v1::ShardInfo> put;
  absl::Status status;
  const bool first = held == nullptr || held->revision() == 0;
  if (generation == 0 ||
      (next.IsAnnouncedBy(generation, now) && (first || generation == newest->generation()))) {
    const auto made = MadeFor(generation, *newest);
    // There is no memory for it; the disk had no part in that.
    if (!made.ok()) return made.status();
    std::vector<v1::ShardInfo> infos;
    for (const Made& shard : *made) {
      infos.push_back(shard.info);
      if (next.FindShard(generation, shard.info.shard_id()).info != nullptr) continue;
      const bool shared =
          next.FindShard(newest->generation(), shard.info.shard_id()).info != nullptr;
      status = folder_->PutMade(generation, shard.info, shard.bytes->view(),
                                shared ? std::optional(newest->generation()) : std::nullopt);
      if (!status.ok()) break;
      put.push_back(shard.info);
    }
    unneeded = next.SetMade(generation, infos);
  }
  if (status.ok()) {
    status = folder_->WriteManifest(*next.Update(generation, now, options_.clock()));
  }
  for (const v1::ShardInfo& shard : status.ok() ? unneeded : put) {
    folder_->RemoveMade(generation, shard);
  }
  ReportDisk(status);
  return status;
}

void SnapshotKeeper::Become(Catalogue next, std::optional<int64_t> changed_generation) {
  server::Failpoint(kBeforeBecome);
  const Catalogue::ManifestPtr now_newest = next.newest();
  const std::vector<int64_t> retired = next.Retire();
  NewestPtr newest = NewestOf(next);
  metrics_->held_generations->Set(static_cast<double>(next.held_generations()));
  metrics_->held_bytes->Set(static_cast<double>(next.held_bytes()));
  metrics_->newest_generation->Set(static_cast<double>(next.newest()->generation()));
  Catalogue::ManifestPtr was_newest;
  Catalogue::ManifestPtr revised;  // of a generation that was and is not the newest
  {
    absl::MutexLock lock(&mutex_);
    was_newest = catalogue_.newest();
    if (changed_generation.has_value() && *changed_generation < now_newest->generation()) {
      revised = next.Find(*changed_generation);
    }
    catalogue_ = std::move(next);
    newest_ = std::move(newest);
    woken_ = true;
  }
  if (was_newest != now_newest && options_.on_newest) options_.on_newest();
  server::Failpoint(kAfterBecome);
  if (options_.on_settled) {
    const bool passed = was_newest->generation() < now_newest->generation();
    if (passed && was_newest->generation() > 0) options_.on_settled(was_newest);
    if (revised != nullptr) options_.on_settled(revised);
  }
  for (const int64_t generation : retired) {
    if (const absl::Status status = folder_->Retire(generation); !status.ok()) {
      log::Warn("store", "retired generation not removed",
                {{"generation", generation}, {"error", status}});
    }
  }
}

void SnapshotKeeper::LogSnapshot(const v1::Manifest& manifest) const {
  if (manifest.revision() == 0) {
    log::Debug("store", "generation waits for shards",
               {{"generation", manifest.generation()}, {"shards", manifest.shards_size()}});
    return;
  }
  log::Info("store", "snapshot committed",
            {{"generation", manifest.generation()},
             {"revision", manifest.revision()},
             {"shards", manifest.shards_size()},
             {"bytes", Bytes(manifest)},
             {"complete", manifest.complete()},
             {"missing", manifest.complete() ? "none" : absl::StrJoin(manifest.missing(), ",")}});
}

SnapshotKeeper::NewestPtr SnapshotKeeper::newest() const {
  absl::MutexLock lock(&mutex_);
  return newest_;
}

absl::Status SnapshotKeeper::NotHeld(const std::string& what) const {
  const int64_t oldest = Current().oldest();
  return absl::NotFoundError(
      oldest == 0
          ? absl::StrCat(what, " is not held; the store holds no generation yet")
          : absl::StrCat(what, " is not held; the oldest generation that is held is ", oldest));
}

absl::StatusOr<Catalogue::ManifestPtr> SnapshotKeeper::GetManifest(int64_t generation) const {
  const Catalogue catalogue = Current();
  Catalogue::ManifestPtr manifest =
      generation == 0 ? catalogue.newest() : catalogue.Find(generation);
  if (manifest == nullptr) return NotHeld(absl::StrCat("generation ", generation));
  return manifest;
}

v1::ListGenerationsResponse SnapshotKeeper::ListGenerations() const {
  v1::ListGenerationsResponse response;
  for (const Catalogue::ManifestPtr& manifest : Current().List()) {
    v1::GenerationInfo& generation = *response.add_generations();
    generation.set_generation(manifest->generation());
    generation.set_revision(manifest->revision());
    generation.set_complete(manifest->complete());
    generation.set_shards(manifest->shards_size());
    generation.set_size_bytes(Bytes(*manifest));
    *generation.mutable_committed_at() = manifest->committed_at();
  }
  return response;
}

absl::StatusOr<SnapshotKeeper::OpenShard> SnapshotKeeper::Open(int64_t generation,
                                                               const std::string& shard_id) const {
  const Catalogue::HeldShard held = Current().FindShard(generation, shard_id);
  // An id that is not held is not known to be printable.
  if (held.info == nullptr) {
    return NotHeld(absl::StrCat("this shard of generation ", generation));
  }
  auto file = folder_->OpenShard(generation, *held.info);
  if (absl::IsNotFound(file.status())) {
    return NotHeld(absl::StrCat("shard '", shard_id, "' of generation ", generation));
  }
  if (!file.ok()) return ForSender(file.status());
  return OpenShard{*held.info, *std::move(file)};
}

absl::Status SnapshotKeeper::Disk() const {
  if (absl::Status status = folder_->Writable(); !status.ok()) return status;
  absl::MutexLock lock(&mutex_);
  return disk_;
}

void SnapshotKeeper::ReportDisk(const absl::Status& status) {
  bool told = false;
  {
    absl::MutexLock lock(&mutex_);
    told = disk_.ok() == status.ok();
    disk_ = status;
  }
  if (told) return;
  if (status.ok()) {
    log::Info("store", "the disk takes data again", {});
  } else {
    log::Error("store", "the disk fails", {{"error", status}});
  }
}

void SnapshotKeeper::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

absl::Time SnapshotKeeper::NextDue() const {
  // While work runs or is about to, what is due is its affair; its end wakes the
  // timekeeper.
  return working_ ? absl::InfiniteFuture() : std::max(catalogue_.NextDue(), announce_after_);
}

void SnapshotKeeper::KeepTime() {
  absl::Time next_tick = options_.steady_clock() + options_.tick;
  bool tick = false;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      const absl::Time until = std::min(next_tick, NextDue());
      const absl::Duration wait = until - options_.steady_clock();
      if (wait > absl::ZeroDuration()) {
        mutex_.AwaitWithTimeout(
            absl::Condition(
                +[](SnapshotKeeper* keeper) ABSL_EXCLUSIVE_LOCKS_REQUIRED(keeper->mutex_) {
                  return keeper->woken_ || keeper->stopping_;
                },
                this),
            wait);
      }
      if (stopping_) return;
      woken_ = false;
      const absl::Time now = options_.steady_clock();
      tick = now >= next_tick;
      const bool due = now >= NextDue();
      if (tick) {
        next_tick = now + options_.tick;
        probe_ = !disk_.ok();
      }
      if (due || probe_ || (tick && (more_work_ || again_))) ScheduleWork();
    }
    if (tick && options_.on_tick) options_.on_tick();
  }
}

}  // namespace qasino::store
