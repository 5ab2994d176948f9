#ifndef QASINO_SERVICES_SERVER_WORKER_POOL_H_
#define QASINO_SERVICES_SERVER_WORKER_POOL_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <deque>
#include <list>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace qasino::server {

// A number of threads and a bounded queue of what they are to do: for work that blocks or
// computes, which gRPC's own threads must not.
//
//   WorkerPool pool("query", 2, 64);
//   if (absl::Status status = pool.Submit([…] { … }); !status.ok()) → refuse the call
//
// Tasks begin in the order of Submit and run at the same time. They do not throw.
//
// With `LongTasks` quick tasks do not wait for long ones: a task is long once it has run for
// `after`, or for a fifth of that while others wait for a thread. Its thread then has the
// lowest priority (nice 19), ends after the task, and another takes its place, so that the
// pool has up to `threads` + `most` threads. While there are `most` long tasks, more tasks
// than that hold their threads as they do without `LongTasks`; so they do when the system
// gives no more threads.
//
// Long tasks that call TakeTurns run a few at a time, one for each core. Without it a hundred
// of them would be preempted wherever they are, in an allocation or in gRPC, with locks that
// quick tasks then wait for.
//
// Thread-safe.
class WorkerPool {
 public:
  using Task = absl::AnyInvocable<void()>;

  struct LongTasks {
    absl::Duration after = absl::Milliseconds(100);
    // 0: no task is ever long.
    int most = 0;
  };

  // `name` (15 bytes of it) names the threads in the system's tools and the pool in
  // errors. At least one thread; `queue_limit` tasks may wait besides those running.
  WorkerPool(std::string_view name, int threads, size_t queue_limit, LongTasks long_tasks);
  WorkerPool(std::string_view name, int threads, size_t queue_limit)
      : WorkerPool(name, threads, queue_limit, LongTasks()) {}

  // Finishes what is queued. Nothing is submitted any more by then, but by tasks.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // RESOURCE_EXHAUSTED when the queue is full: the task is destroyed, not run.
  // Never blocks.
  absl::Status Submit(Task task) ABSL_LOCKS_EXCLUDED(mutex_);

  // For tasks, now and then, where they hold no lock: waits while others are to run, when the
  // task is long. Returns early when `give_up` says so, which is asked every 50 ms and must
  // not block. On a thread that is no pool's it does nothing.
  static void TakeTurns(absl::FunctionRef<bool()> give_up);

 private:
  struct Worker {
    std::thread thread;
    pid_t id = 0;
    // When its task began; the infinite future between tasks.
    absl::Time began = absl::InfiniteFuture();
    // Written with the lock.
    std::atomic<bool> is_long = false;
    // The thread's own.
    bool has_turn = false;
    absl::Time turn_began = absl::InfinitePast();
  };

  bool HasNews() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ending_ || !queue_.empty(); }
  bool IsBusy() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return IsOver() || running_ > 0; }
  bool IsOver() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ending_ && workers_.empty(); }
  // Throws std::system_error, and changes nothing, when the system gives no thread.
  void Start() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TryStart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work(std::list<Worker>::iterator self) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeTurn(Worker& worker, absl::FunctionRef<bool()> give_up)
      ABSL_LOCKS_EXCLUDED(turns_mutex_);
  void EndTurn(Worker& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(turns_mutex_);
  void WatchLongTasks() ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string name_;
  const size_t queue_limit_;
  const LongTasks long_tasks_;

  absl::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<Worker> workers_ ABSL_GUARDED_BY(mutex_);
  // Threads that have ended, or are about to, and are to be joined.
  std::vector<std::thread> ended_ ABSL_GUARDED_BY(mutex_);
  // Of the workers: those with a task that is not long, and those that are long.
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int long_ ABSL_GUARDED_BY(mutex_) = 0;

  absl::Mutex turns_mutex_;
  int free_turns_ ABSL_GUARDED_BY(turns_mutex_);
  std::list<const Worker*> waiting_ ABSL_GUARDED_BY(turns_mutex_);

  // Of the thread that runs a task.
  static thread_local WorkerPool* current_pool_;
  static thread_local Worker* current_;

  // Last, because it uses the others at once.
  std::thread watcher_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_WORKER_POOL_H_
