#ifndef QASINO_SERVICES_QUERY_RETAINED_SNAPSHOTS_H_
#define QASINO_SERVICES_QUERY_RETAINED_SNAPSHOTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/query/shard_fetcher.h"
#include "services/query/snapshot.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace qasino::query {

// Snapshots of generations that are not the newest, fetched from the store when they are
// asked for. The last few asked for are kept; those that ask for one at the same time share
// its loading. A late shard or another set of views is seen by whoever asks a second later:
// the store is asked for its manifest, which is cheap, and only what is new is fetched.
//
// One thread of its own fetches and builds, one generation after the other. All functions
// may be called from any thread.
class RetainedSnapshots {
 public:
  struct Options {
    // What is kept, and what queries still use of what was kept, has at most so many bytes,
    // with those of `others`; the kept ones that were asked for longest ago go first.
    int64_t max_bytes = int64_t{16} << 30;
    // The newest snapshot, and all else that counts towards the bound.
    std::function<int64_t()> others;
    // At most so many are kept.
    size_t max_count = 4;
    // For so long after asking the store it is not asked again.
    absl::Duration fresh = absl::Seconds(1);
    // The newest snapshot, whose shards need not be fetched; null while there is none.
    std::function<std::shared_ptr<const Snapshot>()> newest;
    // As for SnapshotWatcher.
    std::function<ServerFacts()> facts;
    std::function<std::shared_ptr<const ViewSet>()> views;
    // Told of every loading, OK or not, and then of how many are kept and their bytes.
    std::function<void(const absl::Status&)> loaded;
    std::function<void(size_t, int64_t)> kept;
  };

  RetainedSnapshots(std::shared_ptr<grpc::Channel> store, Options options);
  // Stops.
  ~RetainedSnapshots();
  RetainedSnapshots(const RetainedSnapshots&) = delete;
  RetainedSnapshots& operator=(const RetainedSnapshots&) = delete;

  // NOT_FOUND is the store's; UNAVAILABLE when the store is away, unless the generation is
  // kept; RESOURCE_EXHAUSTED when it would pass the bound.
  void Find(int64_t generation, SnapshotFound found) ABSL_LOCKS_EXCLUDED(mutex_);

  // Bytes of what is kept or used.
  int64_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends what is being loaded; whoever waits, or asks later, gets UNAVAILABLE. When it returns,
  // nothing of the store's channel is used any more. For one thread at a time, as often as
  // liked.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Kept {
    std::shared_ptr<const Snapshot> snapshot;
    absl::Time checked;
    absl::Time asked;
  };
  struct Waiter {
    int64_t generation;
    SnapshotFound found;
  };

  void Run();
  absl::StatusOr<std::shared_ptr<const Snapshot>> Load(int64_t generation);
  absl::StatusOr<std::shared_ptr<const Snapshot>> Make(const v1::Manifest& manifest);
  std::shared_ptr<const Snapshot> Look(int64_t generation) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Null forgets the generation.
  void Keep(int64_t generation, std::shared_ptr<const Snapshot> snapshot)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets go of kept ones until `more` bytes fit.
  absl::Status MakeRoom(int64_t generation, uint64_t more) ABSL_LOCKS_EXCLUDED(mutex_);
  int64_t BytesLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  Kept* FindKept(int64_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !waiting_.empty(); }

  // Constant after construction.
  const Options options_;

  // Synchronises itself.
  ShardFetcher store_;

  mutable absl::Mutex mutex_;
  std::vector<Kept> kept_ ABSL_GUARDED_BY(mutex_);
  // Kept once, and maybe still in use.
  std::vector<std::weak_ptr<const Snapshot>> former_ ABSL_GUARDED_BY(mutex_);
  std::vector<Waiter> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_RETAINED_SNAPSHOTS_H_
