#include "services/store/stream_set.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace qasino::store {

StreamSet::StreamSet(std::string what, size_t limit) : what_(std::move(what)), limit_(limit) {}

absl::Status StreamSet::Add(const std::shared_ptr<Stream>& stream) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return absl::UnavailableError("the store is stopping");
  if (streams_.size() >= limit_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the store has ", limit_, " ", what_, " running, its limit; try again"));
  }
  streams_.emplace(stream.get(), stream);
  return absl::OkStatus();
}

void StreamSet::Remove(const Stream* stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void StreamSet::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

std::vector<std::shared_ptr<Stream>> StreamSet::All() const {
  std::vector<std::shared_ptr<Stream>> all;
  absl::MutexLock lock(&mutex_);
  all.reserve(streams_.size());
  for (const auto& [key, weak] : streams_) {
    if (std::shared_ptr<Stream> stream = weak.lock(); stream != nullptr) {
      all.push_back(std::move(stream));
    }
  }
  return all;
}

size_t StreamSet::size() const {
  absl::MutexLock lock(&mutex_);
  return streams_.size();
}

bool StreamSet::AwaitEmpty(absl::Time deadline) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(absl::Condition(
                                      +[](const StreamSet* set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                           set->mutex_) { return set->streams_.empty(); },
                                      this),
                                  deadline);
}

}  // namespace qasino::store
