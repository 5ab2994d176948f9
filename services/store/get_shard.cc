#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <prometheus/counter.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/store/calls.h"
#include "services/store/grpc_status.h"

namespace qasino::store {
namespace {

using Response = v1::GetShardResponse;

// One transfer. While one message is with gRPC the next is read from the disk, on
// the pool; so at most two chunks are in memory, and a slow receiver costs no thread.
//
// gRPC's operations are begun with the lock held, so that none follows Finish; they
// only begin something and call nothing back.
class GetShard : public grpc::ServerWriteReactor<Response>, public Stream {
 public:
  GetShard(Calls* calls, grpc::CallbackServerContext* context, const v1::GetShardRequest& request)
      : calls_(calls), context_(context), request_(request) {}
  ~GetShard() override { calls_->gets.Remove(this); }

  void Start(std::shared_ptr<GetShard> self) {
    self_ = self;
    if (const absl::Status added = calls_->gets.Add(self); !added.ok()) {
      absl::MutexLock lock(&mutex_);
      EndWith(added);
      return;
    }
    const absl::Status submitted = calls_->pool->Submit([self] { self->Open(); });
    if (!submitted.ok()) {
      absl::MutexLock lock(&mutex_);
      EndWith(submitted);
    }
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = nullptr;
    if (!ok) EndWith(absl::CancelledError("the receiver is gone"));
    Continue();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    EndWith(absl::CancelledError("the receiver is gone"));
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
    }
    const std::shared_ptr<GetShard> last = std::move(self_);
  }

  void Tick(absl::Time now) override {
    absl::MutexLock lock(&mutex_);
    if (!done_ && writing_ != nullptr && now - writing_since_ > calls_->idle_limit) {
      context_->TryCancel();
    }
  }

  void Abort() override {
    absl::MutexLock lock(&mutex_);
    if (!done_) context_->TryCancel();
  }

 private:
  // On the pool.
  void Open() {
    auto shard = calls_->keeper->Open(request_.generation(), request_.shard_id());
    absl::Status status = shard.status();
    if (status.ok() && request_.offset() > shard->info.size_bytes()) {
      status = absl::OutOfRangeError(
          absl::StrCat("the offset ", request_.offset(), " is beyond the end of shard '",
                       request_.shard_id(), "', which has ", shard->info.size_bytes(), " bytes"));
    }
    if (!status.ok()) {
      absl::MutexLock lock(&mutex_);
      EndWith(status);
      return;
    }
    file_ = std::move(shard->file);
    offset_ = request_.offset();
    end_offset_ = shard->info.size_bytes();
    auto first = std::make_unique<Response>();
    *first->mutable_info() = std::move(shard->info);
    Fetched(std::move(first));
  }

  // On the pool, one at a time: the next chunk.
  void Fetch() {
    const auto size =
        static_cast<size_t>(std::min<uint64_t>(calls_->chunk_bytes, end_offset_ - offset_));
    auto response = std::make_unique<Response>();
    v1::ShardChunk& chunk = *response->mutable_chunk();
    chunk.set_offset(offset_);
    chunk.mutable_data()->resize(size);
    const auto got = file_->ReadAt(offset_, size, chunk.mutable_data()->data());
    absl::Status status = got.status();
    if (status.ok() && *got != size) {
      status = absl::DataLossError(absl::StrCat("the file of shard '", request_.shard_id(),
                                                "' ends after ", offset_ + *got, " of ",
                                                end_offset_, " bytes"));
    }
    if (!status.ok()) {
      absl::MutexLock lock(&mutex_);
      fetching_ = false;
      EndWith(absl::IsDataLoss(status) ? status
                                       : absl::InternalError(std::string(status.message())));
      return;
    }
    offset_ += size;
    calls_->metrics->bytes_sent->Increment(static_cast<double>(size));
    Fetched(std::move(response));
  }

  void Fetched(std::unique_ptr<Response> response) {
    const bool last = offset_ == end_offset_;
    absl::MutexLock lock(&mutex_);
    fetching_ = false;
    next_ = std::move(response);
    all_fetched_ = last;
    Continue();
  }

  // Hands the next message on when the last is out, and has another fetched.
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_ != nullptr) return;
    if (ended_) {
      finished_ = true;
      Finish(end_);
      return;
    }
    if (next_ == nullptr) {
      if (all_fetched_) {
        finished_ = true;
        Finish(grpc::Status::OK);
      }
      return;
    }
    writing_ = std::move(next_);
    writing_since_ = calls_->steady_clock();
    StartWrite(writing_.get());
    if (!all_fetched_ && !fetching_) {
      const absl::Status submitted = calls_->pool->Submit([self = self_] { self->Fetch(); });
      fetching_ = submitted.ok();
      if (!submitted.ok()) EndWith(submitted);
    }
  }

  void EndWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return;
    ended_ = true;
    end_ = ToGrpc(status);
    Continue();
  }

  Calls* const calls_;
  grpc::CallbackServerContext* const context_;
  const v1::GetShardRequest request_;
  std::shared_ptr<GetShard> self_;  // until gRPC is done with it

  // Of the task on the pool; the next one begins after it has taken the lock.
  std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;
  uint64_t end_offset_ = 0;

  absl::Mutex mutex_;
  std::unique_ptr<Response> writing_ ABSL_GUARDED_BY(mutex_);
  absl::Time writing_since_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Response> next_ ABSL_GUARDED_BY(mutex_);
  bool fetching_ ABSL_GUARDED_BY(mutex_) = false;
  bool all_fetched_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status end_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // the context is no more
};

}  // namespace

grpc::ServerWriteReactor<Response>* StartGetShard(Calls* calls,
                                                  grpc::CallbackServerContext* context,
                                                  const v1::GetShardRequest& request) {
  auto get = std::make_shared<GetShard>(calls, context, request);
  get->Start(get);
  return get.get();
}

}  // namespace qasino::store
