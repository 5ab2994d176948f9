#ifndef QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_
#define QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
#include "services/store/journal_record.pb.h"
#include "services/store/kept_shard.h"
#include "services/store/kept_tables.h"
#include "services/store/store_metrics.h"

namespace qasino::store {

// Keeps the catalogue, the static and persistent tables and the disk in step: takes
// finished shards and changes of tables in, announces snapshots when they are due, gives
// each the shards of its static and persistent tables, and retires old ones. Everything
// that changes what is held runs one after another on the worker pool; shards that come
// together share one manifest, and changes of tables one write of their journal.
//
// A change is on the disk before anyone can see it here: before newest() shows it,
// on_newest is called, or the caller of Commit or Change is told.
//
// A snapshot has the persistent tables as they stood at its generation's end, and the
// static tables as they were when it was announced. The newest one follows them: it has a
// new revision when a static table changes, or when a persistent one is changed for a
// generation that is sealed already. Older ones stay as they are.
//
// Thread-safe. The folder, the file system, the pool and the metrics must outlive it; it
// ends its work before it is gone.
class SnapshotKeeper {
 public:
  struct Options {
    int retain = 10;
    absl::Duration completeness_wait = absl::Seconds(2);
    // A generation that begins further ahead of the time of day is refused.
    absl::Duration max_clock_skew = absl::Minutes(10);
    // How often on_tick is called, and a failing disk tried again.
    absl::Duration tick = absl::Seconds(5);
    KeptLimits kept;
    // The disk under the tables' journal; that of the folder.
    FileSystem* files = nullptr;
    // The time of day, for what is written; and one that never steps, for waiting.
    std::function<absl::Time()> clock;
    std::function<absl::Time()> steady_clock;
    // Called, on a thread of the keeper's choice, after newest() has changed.
    std::function<void()> on_newest;
    std::function<void()> on_tick;
    // Called while work runs: a generation that is announced is not the newest any more, or
    // has a new revision since. Nothing waits for what it begins.
    std::function<void(const Catalogue::ManifestPtr&)> on_settled;
  };
  using NewestPtr = std::shared_ptr<const v1::WatchSnapshotsResponse>;
  // Whether the shard was held already; or the error for the sender.
  using CommitDone = std::function<void(absl::StatusOr<bool>)>;

  // What became of a change of a static or persistent table.
  struct Changed {
    // The snapshot in which it is seen, if its generation is announced.
    int64_t generation = 0;
    int64_t revision = 0;
    // As in PutPersistentTableResponse.
    bool duplicate = false;
  };
  using ChangeDone = std::function<void(absl::StatusOr<Changed>)>;
  // Never null; without tables where none are carried.
  using CarriedPtr = std::shared_ptr<const KeptShard>;
  using CarriedDone = std::function<void(absl::StatusOr<CarriedPtr>)>;

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

  // Changes a static or persistent table; the change is valid. `done` is called once, on a
  // worker, as SnapshotStore's calls of that name answer. The caller bounds how much waits.
  // INVALID_ARGUMENT, at once, for a generation that begins too far ahead.
  void Change(JournalRecord change, ChangeDone done);

  // The persistent tables as they are now; what is asked together is answered together, on
  // a worker.
  void Carried(CarriedDone done);

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

  struct TableArrival {
    KeptTables::Change change;
    ChangeDone done;
  };
  // A shard of static or persistent tables as a snapshot has it.
  struct Made {
    v1::ShardInfo info;
    std::shared_ptr<const sqlite::Image> bytes;  // null: it is in the snapshot's folder
  };

  SnapshotKeeper(const Options& options, DataFolder* folder, server::WorkerPool* pool,
                 StoreMetrics* metrics);

  absl::Status Restore();
  absl::Status RestoreTables(const Catalogue& restored);
  // What the journal lacks, from the newest snapshot's shards.
  void Salvage(const v1::Manifest& newest);
  // As the senders of shards and of changes are told.
  absl::Status CheckClock(int64_t generation) const;
  void KeepTime();
  absl::Time NextDue() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // These run one at a time, as `working_` says.
  void ScheduleWork() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();
  void TakeIn(int64_t generation, std::vector<Arrival> arrivals);
  void AnnounceDue();
  // Settles a generation of `next` and writes its manifest, first giving it the shards that
  // the store makes, if they are to be new. On failure nothing of it counts. Tells ReportDisk
  // what became of what it wrote.
  absl::Status WriteRevision(Catalogue& next, int64_t generation);
  // The next two and Settle: see snapshot_keeper_tables.cc.
  void Apply(std::vector<TableArrival>& changes);
  void Answer(std::vector<TableArrival> changes, int64_t newest_before,
              const absl::Status& settled);
  // Gives the newest snapshot the tables as they are; OK when it has them already.
  absl::Status Settle();
  absl::StatusOr<std::vector<Made>> MadeFor(int64_t generation, const v1::Manifest& newest);
  // Ends the carrying of what these shards have been published. Tells ReportDisk of a failure.
  absl::Status EndCarried(const std::vector<v1::ShardInfo>& taken);
  // That of those that were held at the start, where the disk did not take it then.
  void EndCarriedBefore();
  void AnswerCarried(std::vector<CarriedDone> asked);
  void UpdateTableMetrics() const;
  // Makes the catalogue what it has become, by a new revision of a generation if one is
  // named; tells watchers, and retires what is old.
  void Become(Catalogue next, std::optional<int64_t> changed_generation = std::nullopt);
  void LogSnapshot(const v1::Manifest& manifest) const;
  Catalogue Current() const;
  absl::Status NotHeld(const std::string& what) const;

  const Options options_;
  DataFolder* const folder_;
  server::WorkerPool* const pool_;
  StoreMetrics* const metrics_;

  // Of Work, and of Restore before it.
  std::unique_ptr<KeptTables> tables_;
  int64_t built_ = 0;       // the newest generation whose persistent tables were asked for
  bool unsettled_ = false;  // tables changed since the newest snapshot was last given them
  // Shards that were held at the start; what they end is carried still.
  std::vector<v1::ShardInfo> not_ended_;
  uint64_t changes_ = 0;  // of tables, so far
  std::weak_ptr<const KeptShard> carried_;
  uint64_t carried_at_ = 0;  // `changes_` when that was made

  mutable absl::Mutex mutex_;
  Catalogue catalogue_ ABSL_GUARDED_BY(mutex_);
  NewestPtr newest_ ABSL_GUARDED_BY(mutex_);
  absl::Status disk_ ABSL_GUARDED_BY(mutex_);
  std::vector<Arrival> arrivals_ ABSL_GUARDED_BY(mutex_);
  std::vector<TableArrival> table_arrivals_ ABSL_GUARDED_BY(mutex_);
  std::vector<CarriedDone> carried_asked_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;  // Work is scheduled or runs
  bool more_work_ ABSL_GUARDED_BY(mutex_) = false;
  bool probe_ ABSL_GUARDED_BY(mutex_) = false;
  // Work could not do all that it should; the next tick has it tried again.
  bool again_ ABSL_GUARDED_BY(mutex_) = false;
  // Announcing failed: not again before.
  absl::Time announce_after_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread timekeeper_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SNAPSHOT_KEEPER_H_
