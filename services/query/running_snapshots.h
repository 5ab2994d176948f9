#ifndef QASINO_SERVICES_QUERY_RUNNING_SNAPSHOTS_H_
#define QASINO_SERVICES_QUERY_RUNNING_SNAPSHOTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/query/ingest_peer.h"
#include "services/query/shard_fetcher.h"
#include "services/query/snapshot.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace qasino::query {

// Snapshots of the generation that is being collected, as it is when they are asked for: what
// every ingest process has collected, what the store carries, its static tables, and the
// views; without internal tables. Those who ask at the same time share one: a copy that was
// begun after the asking is as good as any later one.
//
// One thread of its own fetches and builds, and one for each ingest process beside it while a
// copy is fetched. All functions may be called from any thread.
class RunningSnapshots {
 public:
  struct Options {
    // The copies that are in use have at most so many bytes, with those of `others`.
    int64_t max_bytes = int64_t{16} << 30;
    // The newest snapshot, and all else that counts towards the bound.
    std::function<int64_t()> others;
    // The newest snapshot, whose shards need not be fetched; null while there is none.
    std::function<std::shared_ptr<const Snapshot>()> newest;
    // As for SnapshotWatcher.
    std::function<ServerFacts()> facts;
    std::function<std::shared_ptr<const ViewSet>()> views;
    // Told of every copy, OK or not.
    std::function<void(const absl::Status&)> loaded;
  };

  RunningSnapshots(std::shared_ptr<grpc::Channel> store, Options options);
  // Stops.
  ~RunningSnapshots();
  RunningSnapshots(const RunningSnapshots&) = delete;
  RunningSnapshots& operator=(const RunningSnapshots&) = delete;

  // All ingest processes that there are. When it returns, nothing of those that were set
  // before is used any more: a copy that was being fetched from them has been ended.
  void SetIngests(std::vector<IngestPeer> ingests) ABSL_LOCKS_EXCLUDED(mutex_);

  // UNAVAILABLE when an ingest process, which the error names, or the store is away, or none is
  // set; RESOURCE_EXHAUSTED when the bound would be passed, or they have enough to send.
  void Find(SnapshotFound found) ABSL_LOCKS_EXCLUDED(mutex_);

  // Bytes of the copies in use.
  int64_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends what is being fetched; whoever waits, or asks later, gets UNAVAILABLE. When it returns,
  // nothing of any channel is used any more. For one thread at a time, as often as liked.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Ingest {
    explicit Ingest(IngestPeer peer)
        : name(std::move(peer.name)), fetcher(std::move(peer.channel)) {}
    const std::string name;
    ShardFetcher fetcher;
  };
  using Ingests = std::vector<std::unique_ptr<Ingest>>;

  void Run();
  // Lets go of the ingest processes as soon as it can.
  absl::StatusOr<std::shared_ptr<const Snapshot>> Copy(std::shared_ptr<Ingests> ingests)
      ABSL_LOCKS_EXCLUDED(mutex_);
  static absl::StatusOr<ShardImages> FetchRunning(const Ingests& ingests, ByteBudget& budget);
  // The manifest's shards with static tables.
  absl::StatusOr<ShardImages> FetchStatic(const v1::Manifest& manifest, const ShardImages& held,
                                          ByteBudget& budget);
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !waiting_.empty(); }

  // Constant after construction.
  const Options options_;

  // Synchronises itself.
  ShardFetcher store_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<Ingests> ingests_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Ingests>();
  std::vector<std::weak_ptr<const Snapshot>> copies_ ABSL_GUARDED_BY(mutex_);
  std::vector<SnapshotFound> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_RUNNING_SNAPSHOTS_H_
