#include "services/server/worker_pool.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

namespace qasino::server {
namespace {

// The least that the system's scheduler knows. A thread cannot have it back higher without a
// privilege, which is why it ends.
constexpr int kLowestPriority = 19;
// A task is long so much sooner while others wait, and is looked for so often.
constexpr int kSoonerWhileOthersWait = 5;

// How long a long task runs before another has its turn, and how often one that waits asks
// whether to give up.
constexpr absl::Duration kTurn = absl::Milliseconds(20);
constexpr absl::Duration kAskWhileWaiting = absl::Milliseconds(50);

}  // namespace

thread_local WorkerPool* WorkerPool::current_pool_ = nullptr;
thread_local WorkerPool::Worker* WorkerPool::current_ = nullptr;

WorkerPool::WorkerPool(std::string_view name, int threads, size_t queue_limit, LongTasks long_tasks)
    : name_(name),
      queue_limit_(queue_limit),
      long_tasks_(long_tasks),
      free_turns_(static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u))) {
  {
    absl::MutexLock lock(&mutex_);
    for (int i = 0; i < std::max(threads, 1); ++i) Start();
  }
  if (long_tasks_.most > 0) watcher_ = std::thread([this] { WatchLongTasks(); });
}

WorkerPool::~WorkerPool() {
  std::vector<std::thread> ended;
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    mutex_.Await(absl::Condition(this, &WorkerPool::IsOver));
    ended = std::move(ended_);
  }
  for (std::thread& thread : ended) thread.join();
  if (watcher_.joinable()) watcher_.join();
}

absl::Status WorkerPool::Submit(Task task) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= queue_limit_) {
    return absl::ResourceExhaustedError(
        fmt::format("the queue '{}' is full: {} tasks wait already", name_, queue_limit_));
  }
  queue_.push_back(std::move(task));
  return absl::OkStatus();
}

void WorkerPool::Start() {
  const auto self = workers_.emplace(workers_.end());
  try {
    self->thread = std::thread([this, self] { Work(self); });
  } catch (const std::system_error&) {
    workers_.erase(self);
    throw;
  }
}

bool WorkerPool::TryStart() {
  try {
    Start();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

void WorkerPool::Work(std::list<Worker>::iterator self) {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  current_pool_ = this;
  current_ = &*self;
  mutex_.Lock();
  self->id = gettid();
  while (!self->is_long) {
    mutex_.Await(absl::Condition(this, &WorkerPool::HasNews));
    if (queue_.empty()) break;
    Task task = std::move(queue_.front());
    queue_.pop_front();
    self->began = absl::Now();
    ++running_;
    mutex_.Unlock();
    std::move(task)();
    task = nullptr;
    if (self->has_turn) {
      absl::MutexLock lock(&turns_mutex_);
      EndTurn(*self);
    }
    mutex_.Lock();
    self->began = absl::InfiniteFuture();
    --(self->is_long ? long_ : running_);
  }
  ended_.push_back(std::move(self->thread));
  workers_.erase(self);
  mutex_.Unlock();
}

void WorkerPool::TakeTurns(absl::FunctionRef<bool()> give_up) {
  if (current_ == nullptr || !current_->is_long.load(std::memory_order_relaxed)) return;
  current_pool_->TakeTurn(*current_, give_up);
}

void WorkerPool::TakeTurn(Worker& worker, absl::FunctionRef<bool()> give_up) {
  const absl::Time now = absl::Now();
  if (worker.has_turn && now < worker.turn_began + kTurn) return;
  absl::MutexLock lock(&turns_mutex_);
  if (worker.has_turn && waiting_.empty()) {
    worker.turn_began = now;
    return;
  }
  if (worker.has_turn) EndTurn(worker);
  const auto place = waiting_.insert(waiting_.end(), &worker);
  const auto is_next = [&]() ABSL_SHARED_LOCKS_REQUIRED(turns_mutex_) {
    return free_turns_ > 0 && waiting_.front() == &worker;
  };
  while (!turns_mutex_.AwaitWithTimeout(absl::Condition(&is_next), kAskWhileWaiting)) {
    if (!give_up()) continue;
    waiting_.erase(place);
    return;
  }
  waiting_.erase(place);
  --free_turns_;
  worker.has_turn = true;
  worker.turn_began = absl::Now();
}

void WorkerPool::EndTurn(Worker& worker) {
  worker.has_turn = false;
  ++free_turns_;
}

void WorkerPool::WatchLongTasks() {
  const absl::Duration sooner = long_tasks_.after / kSoonerWhileOthersWait;
  mutex_.Lock();
  for (;;) {
    mutex_.Await(absl::Condition(this, &WorkerPool::IsBusy));
    if (mutex_.AwaitWithTimeout(absl::Condition(this, &WorkerPool::IsOver), sooner)) break;
    const absl::Time before = absl::Now() - (queue_.empty() ? long_tasks_.after : sooner);
    // Those started here stand at the end and are idle.
    for (Worker& worker : workers_) {
      if (long_ >= long_tasks_.most) break;
      if (worker.is_long || worker.began > before) continue;
      if (!TryStart()) break;
      worker.is_long = true;
      ++long_;
      --running_;
      setpriority(PRIO_PROCESS, static_cast<id_t>(worker.id), kLowestPriority);
    }
    std::vector<std::thread> ended = std::exchange(ended_, {});
    mutex_.Unlock();
    for (std::thread& thread : ended) thread.join();
    mutex_.Lock();
  }
  mutex_.Unlock();
}

}  // namespace qasino::server
