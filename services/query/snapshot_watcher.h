#ifndef QASINO_SERVICES_QUERY_SNAPSHOT_WATCHER_H_
#define QASINO_SERVICES_QUERY_SNAPSHOT_WATCHER_H_

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
#include "qasino/v1/snapshot.pb.h"
#include "services/query/shard_fetcher.h"
#include "services/query/snapshot.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace qasino::query {

// Follows the snapshot store: waits for new manifests, fetches the shards that it does
// not hold yet, builds the snapshot and puts it in place of the last one, which lives on
// while queries use it. When the store is away it goes on serving what it has and
// connects again by itself. The snapshot is built anew when the views have changed.
//
// One thread of its own does the work; all functions may be called from any thread.
class SnapshotWatcher {
 public:
  struct Options {
    // A snapshot larger than this is not loaded, which is logged and counted.
    int64_t max_snapshot_bytes = int64_t{16} << 30;
    absl::Duration initial_backoff = absl::Milliseconds(100);
    absl::Duration max_backoff = absl::Seconds(2);
    // Asked when a snapshot is built; its views and generations are put in here.
    std::function<ServerFacts()> facts;
    // The views as they are now. Not set: none.
    std::function<std::shared_ptr<const ViewSet>()> views;
    // Told when a snapshot is in place, with the time from the manifest's arrival, or from
    // the change of the views.
    std::function<void(const Snapshot&, absl::Duration)> loaded;
    // Told of each failure to load a snapshot that the store offered.
    std::function<void(const absl::Status&)> failed;
  };

  SnapshotWatcher(std::shared_ptr<grpc::Channel> store, Options options);
  // Stops.
  ~SnapshotWatcher();
  SnapshotWatcher(const SnapshotWatcher&) = delete;
  SnapshotWatcher& operator=(const SnapshotWatcher&) = delete;

  // Ends the watch and the thread; the newest snapshot stays. Returns when nothing of the
  // store's channel or of the options' functions is used any more. For one thread at a time,
  // and as often as liked.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // The newest snapshot; null until the store has offered one.
  std::shared_ptr<const Snapshot> newest() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Builds the newest snapshot anew, of the same shards, when it does not have the views
  // that there are now. To be called after they have changed. Returns when queries see them.
  void RefreshViews() ABSL_LOCKS_EXCLUDED(mutex_);

  // What a snapshot that is built now tells of this server, with the generations that the
  // store held when it offered the newest one.
  ServerFacts Facts() const ABSL_LOCKS_EXCLUDED(mutex_);

  // OK while the watch lives, else why it does not.
  absl::Status connection() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();
  absl::Status Watch();
  absl::Status Load(const v1::Manifest& manifest);
  absl::StatusOr<std::shared_ptr<const Snapshot>> Build(const v1::Manifest& manifest,
                                                        ShardImages shards) const;
  std::shared_ptr<const ViewSet> Views() const;
  void TellOf(const Snapshot& placed, absl::Duration took, const char* event) const;

  // Constant after construction.
  const Options options_;

  // Synchronises itself.
  ShardFetcher store_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Snapshot> newest_ ABSL_GUARDED_BY(mutex_);
  absl::Status connection_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::GenerationInfo> generations_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SNAPSHOT_WATCHER_H_
