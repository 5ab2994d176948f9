#ifndef QASINO_SERVICES_INGEST_KEPT_FORWARDER_H_
#define QASINO_SERVICES_INGEST_KEPT_FORWARDER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/ingest/kept_put.h"
#include "services/ingest/metrics.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace qasino::ingest {

// Hands what is published with `persist` or `static` to the store, and nothing twice: when the
// store is away or does not answer in time the put ends with UNAVAILABLE, and it is the
// publisher who tries again.
//
// Puts of one table and identity, and of one static table, are made one after another in the
// order in which they came; others at once, up to a number and a number of bytes. What waits
// is bounded by who forwards.
//
// It has no threads: calls go on on gRPC's. All functions may be called from any thread.
class KeptForwarder {
 public:
  struct Options {
    // From Forward to the answer, whatever it waits for.
    absl::Duration timeout = absl::Seconds(10);
    // Calls under way at a time, and the bytes of their tables; one is always allowed.
    int64_t calls = 32;
    int64_t bytes = 64 << 20;
  };

  // `metrics` outlives it.
  KeptForwarder(const Options& options, std::shared_ptr<grpc::Channel> store, Metrics& metrics);
  // Stops it.
  ~KeptForwarder();
  KeptForwarder(const KeptForwarder&) = delete;
  KeptForwarder& operator=(const KeptForwarder&) = delete;

  // See ForwardKept. Not with a lock held that `done` takes.
  void Forward(const KeptPut& put, KeptDone done);

  // Answers what is under way or comes later with UNAVAILABLE, and lets go of the channel.
  // Returns when nothing is under way any more.
  void Stop();

 private:
  struct Job;
  struct Stub;

  std::vector<Job*> TakeReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Start(Job* job);
  void StartDrop(Job* job);
  void Put(Job* job, const grpc::Status& status);
  void Finish(Job* job, const grpc::Status& status);
  absl::Status StatusOf(const Job& job, const grpc::Status& status) const;

  const Options options_;
  Metrics& metrics_;
  // Until it has stopped; only calls that are under way use it.
  std::unique_ptr<Stub> stub_;

  mutable absl::Mutex mutex_;
  // The jobs that must not overtake each other, by what they are about; the first of a line is
  // ready or running.
  absl::flat_hash_map<std::string, std::deque<std::unique_ptr<Job>>> lines_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job*> ready_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<Job*> running_ ABSL_GUARDED_BY(mutex_);
  int64_t running_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Jobs that run, or have run and whose thread is still in here.
  int64_t active_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_KEPT_FORWARDER_H_
