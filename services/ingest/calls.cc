#include "services/ingest/calls.h"

#include <string>
#include <utility>

namespace qasino::ingest {

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

grpc::Status Stopping() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "ingest is stopping");
}

bool Streams::Add(std::shared_ptr<Stream> stream) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  streams_.insert(std::move(stream));
  return true;
}

void Streams::Remove(const std::shared_ptr<Stream>& stream) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void Streams::Tell(int64_t generation) {
  for (const std::shared_ptr<Stream>& stream : All()) stream->Tell(generation);
}

void Streams::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (const std::shared_ptr<Stream>& stream : All()) stream->Stop();
}

bool Streams::AwaitEnd(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return streams_.empty(); };
  return mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
}

std::vector<std::shared_ptr<Stream>> Streams::All() const {
  absl::MutexLock lock(&mutex_);
  return {streams_.begin(), streams_.end()};
}

}  // namespace qasino::ingest
