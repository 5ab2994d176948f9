#include "services/server/worker_pool.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace qasino::server {

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
  if (queue_.size() >= queue_limit_) {
    return absl::ResourceExhaustedError(
        fmt::format("the queue '{}' is full: {} tasks wait already", name_, queue_limit_));
  }
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

}  // namespace qasino::server
