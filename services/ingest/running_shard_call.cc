#include "services/ingest/running_shard_call.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ingest/calls.h"

namespace qasino::ingest {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
// Copies of the running shard in memory at a time.
constexpr int kMostCopies = 2;

// One GetRunningShard.
class RunningShard final : public grpc::ServerWriteReactor<v1::GetShardResponse>,
                           public Stream,
                           public std::enable_shared_from_this<RunningShard> {
 public:
  RunningShard(Shared& shared, grpc::CallbackServerContext* context)
      : shared_(shared), context_(context) {}

  void Begin() {
    self_ = shared_from_this();
    const bool open = shared_.streams.Add(self_);
    absl::Status status;
    if (shared_.copies.fetch_add(1) >= kMostCopies) {
      status = absl::ResourceExhaustedError(absl::StrCat("the running shard is being sent ",
                                                         kMostCopies, " times already; try again"));
    } else if (open) {
      status = shared_.collector.CopyRunning(
          [self = self_](absl::StatusOr<SealedShard> copy) { self->Copied(std::move(copy)); });
    }
    absl::MutexLock lock(&mutex_);
    if (!open) {
      end_ = Stopping();
    } else if (!status.ok()) {
      end_ = ToGrpc(status);
    }
    Step();
  }

  void Stop() override { End(Stopping()); }
  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
    Step();
  }

  // The reader had its time.
  void OnAlarm() {
    {
      absl::MutexLock lock(&mutex_);
      if (finished_) return;
      if (!writing_ || absl::Now() < give_up_at_) {
        SetAlarm();
        return;
      }
      if (!end_.has_value()) end_ = grpc::Status::CANCELLED;
      cancelling_ = true;
    }
    // Without the lock, because gRPC may call OnCancel from it; and before Finish, after which
    // the context may be gone. It ends the write.
    context_->TryCancel();
    absl::MutexLock lock(&mutex_);
    cancelling_ = false;
    Step();
  }

  void OnDone() override {
    shared_.copies.fetch_sub(1);
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  void End(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    Step();
  }

  void Copied(absl::StatusOr<SealedShard> copy) {
    absl::MutexLock lock(&mutex_);
    if (!copy.ok()) {
      if (!end_.has_value()) end_ = ToGrpc(copy.status());
    } else {
      copy_ = std::move(*copy);
    }
    Step();
  }

  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(give_up_at_), [self = shared_from_this()](bool expired) {
      if (expired) self->OnAlarm();
    });
  }

  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_ || cancelling_) return;
    if (!end_.has_value() && copy_.has_value() && started_ && offset_ == copy_->bytes.size()) {
      end_ = grpc::Status::OK;
    }
    if (end_.has_value()) {
      finished_ = true;
      copy_.reset();
      alarm_.reset();
      Finish(*end_);
      return;
    }
    if (!copy_.has_value()) return;
    if (!started_) {
      started_ = true;
      *response_.mutable_info() = copy_->info;
    } else {
      const std::string_view part = copy_->bytes.substr(offset_, kChunkBytes);
      response_.mutable_chunk()->set_offset(offset_);
      response_.mutable_chunk()->set_data(part.data(), part.size());
      offset_ += part.size();
    }
    writing_ = true;
    give_up_at_ = absl::Now() + shared_.options.reader_timeout;
    if (alarm_ == nullptr) SetAlarm();
    StartWrite(&response_);
  }

  Shared& shared_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<RunningShard> self_;
  // gRPC's while `writing_`.
  v1::GetShardResponse response_;

  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::optional<SealedShard> copy_ ABSL_GUARDED_BY(mutex_);
  size_t offset_ ABSL_GUARDED_BY(mutex_) = 0;
  // One for the call: when it rings and the reader has taken something since, it is set again.
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  absl::Time give_up_at_ ABSL_GUARDED_BY(mutex_);
  bool cancelling_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::GetShardResponse>* BeginRunningShard(
    Shared& shared, grpc::CallbackServerContext* context) {
  const auto call = std::make_shared<RunningShard>(shared, context);
  call->Begin();
  return call.get();
}

}  // namespace qasino::ingest
