#include "services/ingest/shard_sender.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/ingest/failpoints.h"
#include "services/server/failpoint.h"
#include "services/server/log.h"
#include "services/transfer/shard_chunk.h"

namespace qasino::ingest {
namespace {

constexpr int64_t kBytesASecond = 8 << 20;
constexpr char kPutShard[] = "/qasino.v1.SnapshotStore/PutShard";

int64_t SizeOf(const SealedShard& shard) { return static_cast<int64_t>(shard.bytes.size()); }

}  // namespace

ShardSender::ShardSender(const Options& options, std::shared_ptr<grpc::Channel> store,
                         Metrics& metrics)
    : options_(options), store_(std::move(store)), metrics_(metrics) {
  thread_ = std::thread([this] { Send(); });
}

ShardSender::~ShardSender() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (running_ != nullptr) running_->TryCancel();
    changed_.SignalAll();
  }
  thread_.join();
  GiveUp();
}

void ShardSender::Add(SealedShard shard) {
  std::vector<SealedShard> dropped;
  {
    absl::MutexLock lock(&mutex_);
    backlog_bytes_ += SizeOf(shard);
    backlog_.push_back(std::move(shard));
    // The one that is on its way stays, and so does the newest.
    const size_t oldest = sending_ ? 1 : 0;
    while (oldest + 1 < backlog_.size() &&
           (backlog_bytes_ > options_.backlog_bytes ||
            static_cast<int64_t>(backlog_.size()) > options_.backlog_shards)) {
      dropped.push_back(backlog_[oldest]);
      Remove(oldest);
    }
    ShowBacklog();
    changed_.SignalAll();
  }
  for (const SealedShard& lost : dropped) {
    metrics_.dropped_backlog.Increment();
    log::Error("ingest", "shard dropped: the store is away and the backlog is full",
               {{"generation", lost.info.generation()}, {"bytes", lost.info.size_bytes()}});
  }
}

bool ShardSender::Flush(absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    while (!backlog_.empty() && !stopping_) {
      if (changed_.WaitWithDeadline(&mutex_, deadline)) break;
    }
    if (backlog_.empty()) return true;
    stopping_ = true;
    if (running_ != nullptr) running_->TryCancel();
    changed_.SignalAll();
  }
  GiveUp();
  return false;
}

void ShardSender::GiveUp() {
  std::deque<SealedShard> lost;
  {
    absl::MutexLock lock(&mutex_);
    lost.swap(backlog_);
    backlog_bytes_ = 0;
    ShowBacklog();
  }
  for (const SealedShard& shard : lost) {
    metrics_.dropped_at_end.Increment();
    log::Error("ingest", "shard not handed in",
               {{"generation", shard.info.generation()}, {"bytes", shard.info.size_bytes()}});
  }
}

void ShardSender::Remove(size_t place) {
  backlog_bytes_ -= SizeOf(backlog_[place]);
  backlog_.erase(backlog_.begin() + static_cast<std::ptrdiff_t>(place));
}

void ShardSender::ShowBacklog() {
  metrics_.backlog_shards.Set(static_cast<double>(backlog_.size()));
  metrics_.backlog_bytes.Set(static_cast<double>(backlog_bytes_));
}

void ShardSender::Send() {
  absl::Duration pause = options_.first_pause;
  int without_room = 0;
  std::string last_without_room;
  while (true) {
    SealedShard shard;
    {
      absl::MutexLock lock(&mutex_);
      while (backlog_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      shard = backlog_.front();
      sending_ = true;
    }
    const absl::Time start = absl::Now();
    server::Failpoint(kBeforeHandIn);
    absl::Status status = Put(shard);
    const absl::Duration took = absl::Now() - start;

    const bool reached = status.code() != absl::StatusCode::kUnavailable;
    if (reached != reachable_) {
      reachable_ = reached;
      metrics_.store_reachable.Set(reached ? 1 : 0);
      if (reached) {
        log::Info("ingest", "store reached again", {});
      } else {
        log::Warn("ingest", "store out of reach; sealed shards are kept", {{"error", status}});
      }
    }
    if (status.code() == absl::StatusCode::kResourceExhausted) {
      if (last_without_room != shard.info.shard_id()) without_room = 0;
      last_without_room = shard.info.shard_id();
      ++without_room;
    } else {
      without_room = 0;
    }
    const bool refused = status.code() == absl::StatusCode::kInvalidArgument ||
                         status.code() == absl::StatusCode::kFailedPrecondition ||
                         without_room >= options_.attempts_without_room;

    if (status.ok()) {
      server::Failpoint(kAfterHandIn);
      metrics_.send_seconds.Observe(absl::ToDoubleSeconds(took));
      log::Debug("ingest", "shard handed in",
                 {{"generation", shard.info.generation()}, {"seconds", took}});
    } else if (refused) {
      metrics_.dropped_refused.Increment();
      log::Error("ingest", "shard dropped: the store refuses it",
                 {{"generation", shard.info.generation()}, {"error", status}});
    }
    if (!status.ok() && !refused && reached) {
      log::Warn("ingest", "shard not taken by the store; it is sent again",
                {{"generation", shard.info.generation()}, {"error", status}});
    }
    absl::MutexLock lock(&mutex_);
    sending_ = false;
    if (stopping_) return;
    if (status.ok() || refused) {
      Remove(0);
      ShowBacklog();
      changed_.SignalAll();
      pause = options_.first_pause;
      continue;
    }
    // Many ingest processes come back to one store: they should not come together.
    const absl::Time until = absl::Now() + pause * absl::Uniform(random_, 0.5, 1.0);
    pause = std::min(2 * pause, options_.longest_pause);
    while (!stopping_ && !changed_.WaitWithDeadline(&mutex_, until)) {
    }
    if (stopping_) return;
  }
}

absl::Status ShardSender::Put(const SealedShard& shard) {
  grpc::ClientContext context;
  const absl::Duration timeout =
      options_.put_timeout + absl::Seconds(1.0 * SizeOf(shard) / kBytesASecond);
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::CancelledError("ingest is stopping");
    running_ = &context;
  }
  const absl::Status status = Upload(context, shard);
  absl::MutexLock lock(&mutex_);
  running_ = nullptr;
  return status;
}

absl::Status ShardSender::Upload(grpc::ClientContext& context, const SealedShard& shard) {
  // Messages are made by hand and not by the stub, so that gRPC reads the bytes where they are.
  // The call is served by this thread: each operation is begun and waited for.
  grpc::CompletionQueue done;
  const auto finished = [&done] {
    void* tag = nullptr;
    bool ok = false;
    return done.Next(&tag, &ok) && ok;
  };
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call =
      grpc::GenericStub(store_).PrepareCall(&context, kPutShard, &done);
  call->StartCall(nullptr);
  bool open = finished();
  v1::PutShardRequest info;
  *info.mutable_info() = shard.info;
  grpc::ByteBuffer message;
  bool own_buffer = false;
  grpc::Status status =
      grpc::SerializationTraits<v1::PutShardRequest>::Serialize(info, &message, &own_buffer);
  if (!status.ok()) context.TryCancel();
  if (open && status.ok()) {
    call->Write(message, nullptr);
    open = finished();
  }
  for (size_t offset = 0; open && offset < shard.bytes.size(); offset += options_.chunk_bytes) {
    const std::string_view part = shard.bytes.substr(offset, options_.chunk_bytes);
    call->Write(transfer::ChunkMessage(offset, transfer::Share(part, shard.owner)), nullptr);
    // False: the store has answered already, perhaps because it holds the shard.
    open = finished();
  }
  if (open) {
    call->WritesDone(nullptr);
    finished();
  }
  // The answer, if there is one, comes before the status.
  call->Read(&message, nullptr);
  finished();
  call->Finish(&status, nullptr);
  finished();
  done.Shutdown();
  while (finished()) {
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace qasino::ingest
