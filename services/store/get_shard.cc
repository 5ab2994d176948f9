#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <prometheus/counter.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/store/calls.h"
#include "services/store/grpc_status.h"
#include "services/store/messages.h"
#include "services/transfer/shard_chunk.h"

namespace qasino::store {
namespace {

using Response = v1::GetShardResponse;

// Bytes in memory, as a file.
class MemoryFile : public ReadableFile {
 public:
  explicit MemoryFile(SnapshotKeeper::CarriedPtr shard) : shard_(std::move(shard)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t size, char* buffer) const override {
    const std::string_view bytes = shard_->bytes->view();
    return offset > bytes.size() ? 0 : bytes.copy(buffer, size, offset);
  }
  absl::StatusOr<uint64_t> Size() const override { return shard_->bytes->size(); }

 private:
  const SnapshotKeeper::CarriedPtr shard_;
};

// One transfer. While one message is with gRPC the next is read from the disk, on
// the pool; so at most two chunks are in memory, and a slow receiver costs no thread.
//
// gRPC's operations are begun with the lock held, so that none follows Finish; they
// only begin something and call nothing back.
class GetShard : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public Stream {
 public:
  GetShard(Calls* calls, grpc::CallbackServerContext* context) : calls_(calls), context_(context) {}
  ~GetShard() override { calls_->gets.Remove(this); }

  // One of a snapshot's shards.
  void Start(std::shared_ptr<GetShard> self, const grpc::ByteBuffer& request) {
    self_ = self;
    absl::Status status = ParseSmallMessage(request, request_);
    if (status.ok()) status = calls_->gets.Add(self);
    if (status.ok()) status = calls_->pool->Submit([self] { self->Open(); });
    if (!status.ok()) Fail(status);
  }

  // The persistent tables as they are.
  void StartCarried(std::shared_ptr<GetShard> self, const grpc::ByteBuffer& request) {
    self_ = self;
    v1::GetCarriedShardRequest nothing;
    absl::Status status = ParseSmallMessage(request, nothing);
    if (status.ok()) status = calls_->gets.Add(self);
    if (!status.ok()) return Fail(status);
    calls_->keeper->Carried([self](absl::StatusOr<SnapshotKeeper::CarriedPtr> carried) {
      if (!carried.ok()) return self->Fail(carried.status());
      self->request_.set_shard_id((*carried)->info.shard_id());
      self->Begin((*carried)->info, std::make_unique<MemoryFile>(*carried));
    });
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
    if (!status.ok()) return Fail(status);
    Begin(shard->info, std::move(shard->file));
  }

  // On the pool.
  void Begin(const v1::ShardInfo& info, std::unique_ptr<ReadableFile> file) {
    file_ = std::move(file);
    offset_ = request_.offset();
    end_offset_ = info.size_bytes();
    Response first;
    *first.mutable_info() = info;
    auto message = std::make_unique<grpc::ByteBuffer>();
    const grpc::Status written = WriteMessage(first, message.get());
    if (!written.ok()) return Fail(absl::InternalError(written.error_message()));
    Fetched(std::move(message));
  }

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    EndWith(status);
  }

  // On the pool, one at a time: the next chunk.
  void Fetch() {
    const auto size =
        static_cast<size_t>(std::min<uint64_t>(calls_->chunk_bytes, end_offset_ - offset_));
    transfer::NewSlice data = transfer::Allocate(size);
    const auto got = file_->ReadAt(offset_, size, data.bytes);
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
    auto message =
        std::make_unique<grpc::ByteBuffer>(transfer::ChunkMessage(offset_, std::move(data.slice)));
    offset_ += size;
    calls_->metrics->bytes_sent->Increment(static_cast<double>(size));
    Fetched(std::move(message));
  }

  void Fetched(std::unique_ptr<grpc::ByteBuffer> message) {
    const bool last = offset_ == end_offset_;
    absl::MutexLock lock(&mutex_);
    fetching_ = false;
    next_ = std::move(message);
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
  v1::GetShardRequest request_;     // does not change once it is begun
  std::shared_ptr<GetShard> self_;  // until gRPC is done with it

  // Of the task on the pool; the next one begins after it has taken the lock.
  std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;
  uint64_t end_offset_ = 0;

  absl::Mutex mutex_;
  std::unique_ptr<grpc::ByteBuffer> writing_ ABSL_GUARDED_BY(mutex_);
  absl::Time writing_since_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::ByteBuffer> next_ ABSL_GUARDED_BY(mutex_);
  bool fetching_ ABSL_GUARDED_BY(mutex_) = false;
  bool all_fetched_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status end_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // the context is no more
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartGetShard(Calls* calls,
                                                          grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) {
  auto get = std::make_shared<GetShard>(calls, context);
  get->Start(get, *request);
  return get.get();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartGetCarriedShard(
    Calls* calls, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto get = std::make_shared<GetShard>(calls, context);
  get->StartCarried(get, *request);
  return get.get();
}

}  // namespace qasino::store
