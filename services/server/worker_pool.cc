#include "services/server/worker_pool.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace qasino::server {
namespace {

// Tasks that a serial queue runs before it lets others have the thread.
constexpr int kTasksInARow = 16;

absl::Status Full(std::string_view name, size_t limit) {
  return absl::ResourceExhaustedError(
      fmt::format("the queue '{}' is full: {} tasks wait already", name, limit));
}

}  // namespace

WorkerPool::WorkerPool(std::string_view name, int threads, size_t queue_limit)
    : name_(name), queue_limit_(queue_limit) {
  const int count = std::max(threads, 1);
  threads_.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) threads_.emplace_back([this] { Work(); });
}

WorkerPool::~WorkerPool() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::Status WorkerPool::Submit(Task task) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= queue_limit_) return Full(name_, queue_limit_);
  queue_.push_back(std::move(task));
  return absl::OkStatus();
}

void WorkerPool::Work() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &WorkerPool::HasNews));
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(task)();
  }
}

SerialQueue::SerialQueue(std::string_view name, WorkerPool* pool, size_t limit)
    : name_(name), pool_(pool), limit_(limit) {}

SerialQueue::~SerialQueue() { WaitUntilIdle(absl::InfiniteFuture()); }

absl::Status SerialQueue::Post(WorkerPool::Task task) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() >= limit_) return Full(name_, limit_);
  queue_.push_back(std::move(task));
  if (active_) return absl::OkStatus();
  // The pool's lock is taken inside this one, and never the other way round.
  if (absl::Status status = pool_->Submit([this] { Run(); }); !status.ok()) {
    task = std::move(queue_.back());  // Destroyed when the lock is released.
    queue_.pop_back();
    return status;
  }
  active_ = true;
  return absl::OkStatus();
}

bool SerialQueue::WaitUntilIdle(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(absl::Condition(this, &SerialQueue::Idle), deadline);
}

void SerialQueue::Run() {
  for (int done = 0;; ++done) {
    WorkerPool::Task task;
    {
      absl::MutexLock lock(&mutex_);
      if (queue_.empty()) {
        active_ = false;
        // The queue may be gone as soon as the lock is.
        return;
      }
      // When the pool is full, this goes on here.
      if (done >= kTasksInARow && pool_->Submit([this] { Run(); }).ok()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    std::move(task)();
  }
}

}  // namespace qasino::server
