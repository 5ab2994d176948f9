#ifndef QASINO_SERVICES_QUERY_SHARD_FETCHER_H_
#define QASINO_SERVICES_QUERY_SHARD_FETCHER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/merge/snapshot_builder.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace qasino::query {

using merge::ShardImage;
using ShardImages = std::vector<std::shared_ptr<const ShardImage>>;

absl::Status FromGrpc(const grpc::Status& status);

// The bytes of all shards; UINT64_MAX where that is more than one number holds.
uint64_t SumOfSizes(const v1::Manifest& manifest);

// What may still be taken of a bound in bytes. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t bytes) : left_(bytes) {}

  // False when there is not so much left; then nothing is taken.
  bool Take(uint64_t bytes);

 private:
  std::atomic<int64_t> left_;
};

// Asks another server for shards and what they belong to, and waits for the answer. Every
// call can be ended from outside. All functions may be called from any thread.
class ShardFetcher {
 public:
  explicit ShardFetcher(std::shared_ptr<grpc::Channel> channel);
  ~ShardFetcher();
  ShardFetcher(const ShardFetcher&) = delete;
  ShardFetcher& operator=(const ShardFetcher&) = delete;

  // Ends the calls in progress, and all later ones, with CANCELLED. Does not wait for them.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // A call of the store's channel that Stop ends while this lives.
  class Call {
   public:
    Call(ShardFetcher& fetcher, grpc::ClientContext& context);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    // False: stopped already; the call must not be made.
    bool may_begin() const { return may_begin_; }

   private:
    ShardFetcher& fetcher_;
    grpc::ClientContext& context_;
    const bool may_begin_;
  };
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Of a store; as in its contract.
  absl::StatusOr<v1::Manifest> GetManifest(int64_t generation);
  absl::StatusOr<std::vector<v1::GenerationInfo>> ListGenerations();

  // A shard of a manifest of that generation: the one of `held` that it is, or else fetched,
  // in as many attempts as bring it further. DATA_LOSS when it does not have its checksum;
  // RESOURCE_EXHAUSTED when there is a budget and it has not so much left.
  absl::StatusOr<std::shared_ptr<const ShardImage>> GetShard(int64_t generation,
                                                             const v1::ShardInfo& info,
                                                             const ShardImages& held,
                                                             ByteBudget* budget = nullptr);
  // All shards of the manifest.
  absl::StatusOr<ShardImages> GetShards(const v1::Manifest& manifest, const ShardImages& held);

  // What a store carries, and what an ingest process has collected, as it is now. `held` as
  // above. RESOURCE_EXHAUSTED when it is more than `budget` has left.
  absl::StatusOr<std::shared_ptr<const ShardImage>> GetCarriedShard(const ShardImages& held,
                                                                    ByteBudget& budget);
  absl::StatusOr<std::shared_ptr<const ShardImage>> GetRunningShard(ByteBudget& budget);

 private:
  class Arrival;

  // Receives what of a shard has not come yet.
  absl::Status FetchFrom(int64_t generation, Arrival& arrival);
  // Receives a shard of which nothing is known before.
  template <typename Request>
  absl::StatusOr<std::shared_ptr<const ShardImage>> FetchWhole(const ShardImages& held,
                                                               ByteBudget& budget,
                                                               const char* method,
                                                               const Request& request);

  // Constant after construction.
  const std::shared_ptr<grpc::Channel> channel_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SHARD_FETCHER_H_
