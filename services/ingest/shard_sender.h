#ifndef QASINO_SERVICES_INGEST_SHARD_SENDER_H_
#define QASINO_SERVICES_INGEST_SHARD_SENDER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/ingest/metrics.h"
#include "services/ingest/shard.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace qasino::ingest {

// Hands sealed shards to the store, in order, one at a time, and keeps them while the store
// is away: up to a number and a number of bytes, beyond which the oldest is dropped. A shard
// that the store refuses for good (INVALID_ARGUMENT, FAILED_PRECONDITION) is dropped too, as
// is one for which it has no room several times in a row; after any other error it is sent
// again, for ever, with a growing pause.
//
// What it keeps is in memory: shards not yet handed in are lost with the process. All
// functions may be called from any thread.
class ShardSender {
 public:
  struct Options {
    int64_t backlog_bytes = int64_t{1} << 30;
    int64_t backlog_shards = 64;
    // How long a put may take: so long, and 1 s more for each 8 MiB.
    absl::Duration put_timeout = absl::Seconds(30);
    // The pause after an error, without its jitter; it doubles up to the longest.
    absl::Duration first_pause = absl::Milliseconds(100);
    absl::Duration longest_pause = absl::Seconds(2);
    // Of one message. The contract allows 1 MiB.
    size_t chunk_bytes = 1 << 20;
    // Attempts, in a row, that may end with RESOURCE_EXHAUSTED.
    int attempts_without_room = 10;
  };

  // `metrics` outlives it.
  ShardSender(const Options& options, std::shared_ptr<grpc::Channel> store, Metrics& metrics);
  // Gives up at once on what is not handed in; it is logged.
  ~ShardSender();
  ShardSender(const ShardSender&) = delete;
  ShardSender& operator=(const ShardSender&) = delete;

  void Add(SealedShard shard);

  // Waits until everything is handed in. At the deadline, of the machine's clock, it gives
  // up: what is left is logged and dropped, and false is returned.
  bool Flush(absl::Time deadline);

 private:
  void Send();
  absl::Status Put(const SealedShard& shard);
  absl::Status Upload(grpc::ClientContext& context, const SealedShard& shard);
  void GiveUp() ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(size_t place) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowBacklog() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const Options options_;
  const std::shared_ptr<grpc::Channel> store_;
  Metrics& metrics_;

  absl::Mutex mutex_;
  absl::CondVar changed_;
  // Oldest first.
  std::deque<SealedShard> backlog_ ABSL_GUARDED_BY(mutex_);
  int64_t backlog_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // The put that runs, which has the front of the backlog.
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool sending_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // The sending thread's alone.
  absl::BitGen random_;
  bool reachable_ = true;

  std::thread thread_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_SHARD_SENDER_H_
