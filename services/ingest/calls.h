#ifndef QASINO_SERVICES_INGEST_CALLS_H_
#define QASINO_SERVICES_INGEST_CALLS_H_

#include <grpcpp/support/status.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/ingest/clock.h"
#include "services/ingest/collector.h"
#include "services/ingest/ingest_service.h"
#include "services/ingest/metrics.h"

namespace qasino::ingest {

// The same code and words as gRPC has them.
grpc::Status ToGrpc(const absl::Status& status);

// How calls end when the process stops.
grpc::Status Stopping();

// A call that the service can end from outside. Any thread.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void Stop() = 0;
  // A generation began.
  virtual void Tell(int64_t /*generation*/) {}
};

// The streams that are open. Any thread.
class Streams {
 public:
  // False when the service stops.
  bool Add(std::shared_ptr<Stream> stream);
  void Remove(const std::shared_ptr<Stream>& stream);

  void Tell(int64_t generation);
  // Stops all of them, and takes no more.
  void Stop();
  // Waits until none is left. False when the deadline, of the machine's clock, is first.
  bool AwaitEnd(absl::Time deadline);

 private:
  std::vector<std::shared_ptr<Stream>> All() const;

  mutable absl::Mutex mutex_;
  absl::flat_hash_set<std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// What every call needs; outlives them all.
struct Shared {
  IngestService::Options options;
  Collector& collector;
  Clock& clock;
  Metrics& metrics;
  Streams streams;
  // GetRunningShard calls, and PublishStreams.
  std::atomic<int> copies{0};
  std::atomic<int64_t> publish_streams{0};
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_CALLS_H_
