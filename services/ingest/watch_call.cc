#include "services/ingest/watch_call.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "services/ingest/calls.h"
#include "services/ingest/timestamp.h"

namespace qasino::ingest {
namespace {

// One WatchGenerations.
class Watch final : public grpc::ServerWriteReactor<v1::WatchGenerationsResponse>,
                    public Stream,
                    public std::enable_shared_from_this<Watch> {
 public:
  explicit Watch(Shared& shared) : shared_(shared) {}

  void Begin() {
    self_ = shared_from_this();
    const bool open = shared_.streams.Add(self_);
    absl::MutexLock lock(&mutex_);
    if (!open) end_ = Stopping();
    newest_ = std::max(newest_, shared_.collector.generation());
    Step();
  }

  void Stop() override {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = Stopping();
    Step();
  }

  void Tell(int64_t generation) override {
    absl::MutexLock lock(&mutex_);
    newest_ = std::max(newest_, generation);
    Step();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
    Step();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    end_ = grpc::Status::CANCELLED;
    Step();
  }

  void OnDone() override {
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_) return;
    if (end_.has_value()) {
      finished_ = true;
      Finish(*end_);
      return;
    }
    if (newest_ <= sent_) return;
    sent_ = newest_;
    response_.set_generation(sent_);
    response_.mutable_duration()->set_seconds(
        absl::ToInt64Seconds(shared_.options.generation_duration));
    response_.set_identity(shared_.options.identity);
    SetTimestamp(shared_.clock.Now(), response_.mutable_sent_at());
    writing_ = true;
    StartWrite(&response_);
  }

  Shared& shared_;
  std::shared_ptr<Watch> self_;
  // gRPC's while `writing_`.
  v1::WatchGenerationsResponse response_;

  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  int64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchGenerationsResponse>* BeginWatch(Shared& shared) {
  const auto watch = std::make_shared<Watch>(shared);
  watch->Begin();
  return watch.get();
}

}  // namespace qasino::ingest
