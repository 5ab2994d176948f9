#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/server_callback.h>
#include <prometheus/counter.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/server/log.h"
#include "services/store/calls.h"
#include "services/store/grpc_status.h"
#include "services/store/put_request_scan.h"
#include "services/transfer/shard_chunk.h"

namespace qasino::store {
namespace {

using Request = v1::PutShardRequest;

// Messages that wait while one goes to the disk.
constexpr size_t kMaxQueued = 1;

// One upload. Messages are taken in order, on the pool, and the bytes go straight to
// the file; gRPC's threads only hand them on. What is not read is the sender's to
// keep: the transport holds it back.
//
// Reads are begun with the lock held and never once the call is settled, so that none
// follows Finish; beginning one calls nothing back.
//
// Messages are bytes to gRPC. It would parse whatever they are, and take one that does
// not parse for the stream's end.
class PutShard : public grpc::ServerReadReactor<grpc::ByteBuffer>, public Stream {
 public:
  PutShard(Calls* calls, grpc::CallbackServerContext* context, grpc::ByteBuffer* response)
      : calls_(calls), context_(context), response_(response), peer_(context->peer()) {}
  ~PutShard() override {
    shard_.reset();
    calls_->puts.Remove(this);
  }

  void Start(std::shared_ptr<PutShard> self) {
    self_ = self;
    const absl::Status added = calls_->puts.Add(self);
    if (!added.ok()) {
      Refuse(added, absl::IsUnavailable(added) ? Refusal::kStopping : Refusal::kLimit);
      return;
    }
    absl::MutexLock lock(&mutex_);
    counted_ = true;
    Read();
  }

  void OnReadDone(bool ok) override {
    if (const absl::Status queued = Queue(ok); !queued.ok()) Refuse(queued, Refusal::kLimit);
  }

  void OnDone() override {
    std::shared_ptr<PutShard> last;
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
      last = std::move(self_);
    }
    // The last owner removes an unfinished file, which is not for gRPC's thread to do.
    if (counted_) calls_->pool->Submit([last = std::move(last)] {}).IgnoreError();
  }

  void Tick(absl::Time now) override {
    bool silent = false;
    {
      absl::MutexLock lock(&mutex_);
      silent = reading_ && now - reading_since_ > calls_->idle_limit;
    }
    if (silent) {
      Refuse(absl::DeadlineExceededError(absl::StrCat("nothing of the shard came for ",
                                                      absl::FormatDuration(calls_->idle_limit))),
             Refusal::kBrokenOff);
    }
  }

  void Abort() override {
    Refuse(absl::UnavailableError("the store is stopping"), Refusal::kStopping);
    absl::MutexLock lock(&mutex_);
    if (!done_) context_->TryCancel();
  }

 private:
  void Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || reading_ || queue_.size() >= kMaxQueued) return;
    reading_ = true;
    reading_since_ = calls_->steady_clock();
    StartRead(&incoming_);
  }

  // Queues what was read, or the stream's end, and has it taken.
  absl::Status Queue(bool ok) {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (finished_) return absl::OkStatus();
    std::unique_ptr<grpc::ByteBuffer> message;
    if (ok) {
      message = std::make_unique<grpc::ByteBuffer>();
      message->Swap(&incoming_);
    }
    queue_.push_back(std::move(message));
    if (working_) return absl::OkStatus();
    working_ = true;
    return calls_->pool->Submit([self = self_] { self->Work(self); });
  }

  // On the pool, one at a time: takes what is queued.
  void Work(const std::shared_ptr<PutShard>& self) {
    while (true) {
      std::unique_ptr<grpc::ByteBuffer> message;
      {
        absl::MutexLock lock(&mutex_);
        if (queue_.empty() || finished_) {
          working_ = false;
          return;
        }
        message = std::move(queue_.front());
        queue_.pop_front();
        if (message != nullptr) Read();
      }
      if (message == nullptr) {
        TakeEnd(self);
      } else {
        Take(*message);
      }
    }
  }

  void Take(grpc::ByteBuffer& message) {
    // An info is larger than a chunk may be, and either is all that is in a message.
    const size_t most = calls_->limits.max_info_bytes + transfer::kMaxChunkBytes;
    if (message.Length() > most) {
      return Refuse(absl::ResourceExhaustedError(
                        absl::StrCat("shard upload: a message has ", message.Length(),
                                     " bytes, more than the ", most, " allowed")),
                    Refusal::kLimit);
    }
    if (const auto chunk = transfer::ReadChunk(message)) return TakeChunk(*chunk);
    Request request;
    if (absl::Status status = Parse(message, request); !status.ok()) {
      const bool limit = absl::IsResourceExhausted(status);
      return Refuse(status, limit ? Refusal::kLimit : Refusal::kInvalid);
    }
    switch (request.part_case()) {
      case Request::kInfo:
        TakeInfo(request.info());
        return;
      case Request::kChunk: {
        const std::string& data = request.chunk().data();
        return TakeChunk({.offset = request.chunk().offset(),
                          .size = data.size(),
                          .slices = {grpc::Slice(data)}});
      }
      case Request::PART_NOT_SET:
        Invalid("a message has neither info nor chunk");
        return;
    }
  }

  absl::Status Parse(grpc::ByteBuffer& message, Request& request) const {
    {
      grpc::ProtoBufferReader reader(&message);
      const absl::Status scanned =
          reader.status().ok() ? ScanPutRequest(&reader, calls_->limits) : absl::OkStatus();
      if (!scanned.ok()) return scanned;
    }
    grpc::ProtoBufferReader reader(&message);
    if (!reader.status().ok() || !request.ParseFromZeroCopyStream(&reader)) {
      return absl::InvalidArgumentError(
          "the message is not a PutShardRequest (texts must be valid UTF-8)");
    }
    return absl::OkStatus();
  }

  void TakeInfo(const v1::ShardInfo& info) {
    if (shard_ != nullptr) return Invalid("the info came twice");
    if (absl::Status status = CheckShardInfo(info, calls_->limits); !status.ok()) {
      const bool limit = absl::IsResourceExhausted(status);
      return Refuse(status, limit ? Refusal::kLimit : Refusal::kInvalid);
    }
    const absl::StatusOr<bool> held = calls_->keeper->Admit(info);
    if (!held.ok()) return RefuseAdmission(held.status());
    if (*held) return Accept(/*already_held=*/true);
    auto shard = calls_->folder->NewShard(info);
    if (!shard.ok()) return RefuseForDisk(shard.status());
    shard_ = *std::move(shard);
  }

  void TakeChunk(const transfer::Chunk& chunk) {
    if (shard_ == nullptr) return Invalid("the bytes came before the info");
    if (chunk.offset != shard_->size()) {
      return Invalid(absl::StrCat("a chunk begins at byte ", chunk.offset, " where byte ",
                                  shard_->size(), " should follow"));
    }
    // It would begin the idle time anew without bringing the end nearer.
    if (chunk.size == 0) return Invalid("a chunk has no bytes");
    if (chunk.size > transfer::kMaxChunkBytes) {
      return Invalid(absl::StrCat("a chunk has ", chunk.size, " bytes, more than the ",
                                  transfer::kMaxChunkBytes, " allowed"));
    }
    calls_->metrics->bytes_received->Increment(static_cast<double>(chunk.size));
    std::vector<std::string_view> pieces;
    chunk.ForEach([&pieces](std::string_view piece) {
      pieces.push_back(piece);
      return true;
    });
    const absl::Status status = shard_->Append(pieces);
    if (absl::IsInvalidArgument(status)) return Refuse(status, Refusal::kInvalid);
    if (!status.ok()) return RefuseForDisk(status);
  }

  void TakeEnd(const std::shared_ptr<PutShard>& self) {
    if (shard_ == nullptr) {
      return Refuse(absl::InvalidArgumentError("the stream ended before the shard's info"),
                    Refusal::kBrokenOff);
    }
    const absl::Status status = shard_->Finish();
    if (absl::IsInvalidArgument(status)) return Refuse(status, Refusal::kBrokenOff);
    if (absl::IsDataLoss(status)) return Refuse(status, Refusal::kChecksum);
    if (!status.ok()) return RefuseForDisk(status);
    calls_->keeper->Commit(std::move(shard_), [self](absl::StatusOr<bool> held) {
      if (held.ok()) {
        self->Accept(*held);
      } else {
        self->RefuseAdmission(held.status());
      }
    });
  }

  void Invalid(const std::string& fault) {
    Refuse(absl::InvalidArgumentError(absl::StrCat("shard upload: ", fault)), Refusal::kInvalid);
  }

  // What the keeper said: its own reasons, or the disk's.
  void RefuseAdmission(const absl::Status& status) {
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
        return Refuse(status, Refusal::kInvalid);
      case absl::StatusCode::kFailedPrecondition:
        return Refuse(status, Refusal::kTooOld);
      case absl::StatusCode::kResourceExhausted:
        return Refuse(status, calls_->keeper->Disk().ok() ? Refusal::kLimit : Refusal::kDiskFull);
      default:
        return Refuse(status, Refusal::kDisk);
    }
  }

  void RefuseForDisk(const absl::Status& status) {
    calls_->keeper->ReportDisk(status);
    if (absl::IsResourceExhausted(status)) return Refuse(status, Refusal::kDiskFull);
    Refuse(absl::InternalError(std::string(status.message())), Refusal::kDisk);
  }

  void Accept(bool already_held) {
    if (!Settle()) return;
    v1::PutShardResponse response;
    response.set_already_held(already_held);
    bool own_buffer = false;
    Finish(grpc::SerializationTraits<v1::PutShardResponse>::Serialize(response, response_,
                                                                      &own_buffer));
  }

  void Refuse(const absl::Status& status, Refusal refusal) {
    if (!Settle()) return;
    calls_->metrics->Refused(refusal).Increment();
    log::Warn("store", "shard refused",
              {{"peer", peer_}, {"reason", RefusalName(refusal)}, {"error", status}});
    Finish(ToGrpc(status));
  }

  // True for the one that is to finish the call; nothing is read any more.
  bool Settle() {
    absl::MutexLock lock(&mutex_);
    return !std::exchange(finished_, true);
  }

  Calls* const calls_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  const std::string peer_;

  // Of Work; the next one begins after it has given up `working_`.
  std::unique_ptr<IncomingShard> shard_;

  absl::Mutex mutex_;
  std::shared_ptr<PutShard> self_;  // until gRPC is done with it
  grpc::ByteBuffer incoming_;       // gRPC's while reading
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time reading_since_ ABSL_GUARDED_BY(mutex_);
  // Read and not yet taken; null is the stream's end.
  std::deque<std::unique_ptr<grpc::ByteBuffer>> queue_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;
  bool counted_ = false;  // is in the set; does not change after Start
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // the context is no more
};

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* StartPutShard(Calls* calls,
                                                         grpc::CallbackServerContext* context,
                                                         grpc::ByteBuffer* response) {
  auto put = std::make_shared<PutShard>(calls, context, response);
  put->Start(put);
  return put.get();
}

}  // namespace qasino::store
