#ifndef QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_
#define QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/server/worker_pool.h"
#include "services/store/catalogue.h"
#include "services/store/data_folder.h"
#include "services/store/store_metrics.h"

namespace qasino::store {

// Keeps the catalogue and the disk in step: takes finished shards in, announces
// snapshots when they are due, and retires old ones. Everything that changes what is
// held runs one after another on the worker pool; shards that come together share
// one manifest.
//
// A change is on the disk before anyone can see it here: before newest() shows it,
// on_newest is called, or Commit's caller is told.
//
// Thread-safe. The folder, the pool and the metrics must outlive it; it ends its
// work before it is gone.
class SnapshotKeeper {
 public:
  struct Options {
    int retain = 10;
    absl::Duration completeness_wait = absl::Seconds(2);
    // A generation that begins further ahead of the time of day is refused.
    absl::Duration max_clock_skew = absl::Minutes(10);
    // How often on_tick is called, and a failing disk tried again.
    absl::Duration tick = absl::Seconds(5);
    // The time of day, for what is written; and one that never steps, for waiting.
    std::function<absl::Time()> clock;
    std::function<absl::Time()> steady_clock;
    // Called, on a thread of the keeper's choice, after newest() has changed.
    std::function<void()> on_newest;
    std::function<void()> on_tick;
  };
  using NewestPtr = std::shared_ptr<const v1::WatchSnapshotsResponse>;
  // Whether the shard was held already; or the error for the sender.
  using CommitDone = std::function<void(absl::StatusOr<bool>)>;

  struct OpenShard {
    v1::ShardInfo info;
    std::unique_ptr<ReadableFile> file;
  };

  // Takes up what the folder recovered. It starts a thread, which keeps time.
  static absl::StatusOr<std::unique_ptr<SnapshotKeeper>> Create(const Options& options,
                                                                DataFolder* folder,
                                                                server::WorkerPool* pool,
                                                                StoreMetrics* metrics);
  ~SnapshotKeeper();
  SnapshotKeeper(const SnapshotKeeper&) = delete;
  SnapshotKeeper& operator=(const SnapshotKeeper&) = delete;

  // As Catalogue::Admit; and INVALID_ARGUMENT for a generation that begins too far ahead,
  // which would be the newest for as long.
  absl::StatusOr<bool> Admit(const v1::ShardInfo& info) const;

  // Takes a finished shard in. `done` is called once, on a worker, when it is on the
  // disk with its manifest, or is not to be.
  void Commit(std::unique_ptr<IncomingShard> shard, CommitDone done);

  // The newest snapshot as watchers are told of it. Never null.
  NewestPtr newest() const;

  // The newest revision of a generation; 0 is the newest. NOT_FOUND names the oldest.
  absl::StatusOr<Catalogue::ManifestPtr> GetManifest(int64_t generation) const;

  v1::ListGenerationsResponse ListGenerations() const;

  // Opens a shard for reading, however long it is held. NOT_FOUND as above.
  absl::StatusOr<OpenShard> Open(int64_t generation, const std::string& shard_id) const;

  // OK when the disk took what was last written; else why it did not. A disk that
  // failed is tried again at every tick.
  absl::Status Disk() const;

  // Tells what became of something written past the keeper: a shard on its way in.
  void ReportDisk(const absl::Status& status);

  // Looks at the clocks anew, as tests do that set them.
  void Wake();

 private:
  struct Arrival {
    std::unique_ptr<IncomingShard> shard;
    CommitDone done;
    absl::Time since;
  };

  SnapshotKeeper(const Options& options, DataFolder* folder, server::WorkerPool* pool,
                 StoreMetrics* metrics);

  absl::Status Restore();
  void KeepTime();
  absl::Time NextDue() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // These run one at a time, as `working_` says.
  void ScheduleWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();
  void TakeIn(int64_t generation, std::vector<Arrival> arrivals);
  void AnnounceDue();
  // Makes the catalogue what it has become, tells watchers, and retires what is old.
  void Become(Catalogue next);
  void LogSnapshot(const v1::Manifest& manifest) const;
  Catalogue Current() const;
  absl::Status NotHeld(const std::string& what) const;

  const Options options_;
  DataFolder* const folder_;
  server::WorkerPool* const pool_;
  StoreMetrics* const metrics_;

  mutable absl::Mutex mutex_;
  Catalogue catalogue_ ABSL_GUARDED_BY(mutex_);
  NewestPtr newest_ ABSL_GUARDED_BY(mutex_);
  absl::Status disk_ ABSL_GUARDED_BY(mutex_);
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;  // Work is scheduled or runs
  bool more_work_ ABSL_GUARDED_BY(mutex_) = false;
  bool probe_ ABSL_GUARDED_BY(mutex_) = false;
  // Announcing failed: not again before.
  absl::Time announce_after_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread timekeeper_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_
