#ifndef QASINO_SERVICES_SERVER_WORKER_POOL_H_
#define QASINO_SERVICES_SERVER_WORKER_POOL_H_

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace qasino::server {

// A fixed number of threads and a bounded queue of what they are to do: for work
// that blocks or computes, which gRPC's own threads must not.
//
//   WorkerPool pool("query", 2, 64);
//   if (absl::Status status = pool.Submit([…] { … }); !status.ok()) → refuse the call
//
// Tasks begin in the order of Submit and run at the same time. They do not throw.
// Thread-safe.
class WorkerPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  // `name` (15 bytes of it) names the threads in the system's tools and the pool in
  // errors. At least one thread; `queue_limit` tasks may wait besides those running.
  WorkerPool(std::string_view name, int threads, size_t queue_limit);

  // Finishes what is queued. Nothing is submitted any more by then, but by tasks.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // RESOURCE_EXHAUSTED when the queue is full: the task is destroyed, not run.
  // Never blocks.
  absl::Status Submit(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ending_ || !queue_.empty(); }
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string name_;
  const size_t queue_limit_;

  absl::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;

  // Last, because they use the others at once.
  std::vector<std::thread> threads_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_WORKER_POOL_H_
