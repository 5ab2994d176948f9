#include "services/query/shard_fetcher.h"

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/transfer/shard_chunk.h"

namespace qasino::query {
namespace {

// One attempt at a shard's transfer; the next goes on where it ended.
constexpr absl::Duration kAttempt = absl::Minutes(1);
// An answer of one message.
constexpr absl::Duration kUnary = absl::Seconds(5);

constexpr char kGetShard[] = "/qasino.v1.SnapshotStore/GetShard";
constexpr char kGetCarriedShard[] = "/qasino.v1.SnapshotStore/GetCarriedShard";
constexpr char kGetRunningShard[] = "/qasino.v1.Ingest/GetRunningShard";

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

absl::Status Stopping() { return absl::CancelledError("stopping"); }

absl::Status NoRoom() {
  return absl::ResourceExhaustedError(
      "the copies of the running generation are larger together than --max-snapshot-size leaves "
      "room for; try again");
}

std::shared_ptr<const ShardImage> FindHeld(const ShardImages& held, const v1::ShardInfo& info) {
  for (const auto& known : held) {
    if (known->info.shard_id() == info.shard_id() && known->info.xxh3() == info.xxh3() &&
        known->info.size_bytes() == info.size_bytes()) {
      return known;
    }
  }
  return nullptr;
}

// A call of the store or of ingest that answers with a shard. Messages are bytes, so that the
// shard's are copied once, from where gRPC has received them; served by the thread that reads.
class ShardStream {
 public:
  template <typename Request>
  ShardStream(const std::shared_ptr<grpc::Channel>& channel, const char* method,
              grpc::ClientContext* context, const Request& request)
      : call_(grpc::GenericStub(channel).PrepareCall(context, method, &done_)) {
    grpc::ByteBuffer message;
    bool own_buffer = false;
    written_ = grpc::SerializationTraits<Request>::Serialize(request, &message, &own_buffer);
    call_->StartCall(nullptr);
    if (!Await() || !written_.ok()) return;
    call_->WriteLast(message, grpc::WriteOptions(), nullptr);
    Await();
  }
  ~ShardStream() {
    done_.Shutdown();
    while (Await()) {
    }
  }
  ShardStream(const ShardStream&) = delete;
  ShardStream& operator=(const ShardStream&) = delete;

  // False at the end, which Finish explains.
  bool Read(grpc::ByteBuffer* message) {
    if (!written_.ok()) return false;
    call_->Read(message, nullptr);
    return Await();
  }

  // Once, when Read has returned false or the call was cancelled.
  absl::Status Finish() {
    if (!written_.ok()) return FromGrpc(written_);
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Await();
    return FromGrpc(status);
  }

 private:
  // Waits for the operation that was begun.
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    return done_.Next(&tag, &ok) && ok;
  }

  grpc::CompletionQueue done_;
  grpc::Status written_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

// What a message holds: the info or a chunk.
struct Part {
  std::optional<v1::ShardInfo> info;
  std::optional<transfer::Chunk> chunk;
};

absl::StatusOr<Part> ReadPart(grpc::ByteBuffer message) {
  Part part;
  part.chunk = transfer::ReadChunk(message);
  if (part.chunk.has_value()) return part;
  grpc::ProtoBufferReader reader(&message);
  v1::GetShardResponse response;
  if (!reader.status().ok() || !response.ParseFromZeroCopyStream(&reader)) {
    return absl::DataLossError("the message is not a GetShardResponse");
  }
  if (response.has_info()) part.info = std::move(*response.mutable_info());
  if (response.has_chunk()) {
    const std::string& data = response.chunk().data();
    part.chunk = transfer::Chunk{
        .offset = response.chunk().offset(), .size = data.size(), .slices = {grpc::Slice(data)}};
  }
  return part;
}

}  // namespace

// A shard whose bytes come in, in order.
class ShardFetcher::Arrival {
 public:
  static absl::StatusOr<std::unique_ptr<Arrival>> Create(const v1::ShardInfo& info) {
    auto image = std::make_shared<ShardImage>();
    image->info = info;
    // Without initialisation: each byte is written once, by the transfer.
    image->bytes.reset(new (std::nothrow) char[info.size_bytes()]);
    std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> checksum(XXH3_createState(),
                                                                             XXH3_freeState);
    if (image->bytes == nullptr || checksum == nullptr) {
      return absl::ResourceExhaustedError(
          fmt::format("no memory for shard {} of {} bytes", info.shard_id(), info.size_bytes()));
    }
    XXH3_64bits_reset(checksum.get());
    return std::unique_ptr<Arrival>(new Arrival(std::move(image), std::move(checksum)));
  }

  const v1::ShardInfo& info() const { return image_->info; }
  uint64_t received() const { return received_; }

  absl::Status Append(const transfer::Chunk& chunk) {
    if (chunk.offset != received_ || chunk.size > info().size_bytes() - received_) {
      return absl::DataLossError(
          fmt::format("shard {}: its bytes came out of order, or too many", info().shard_id()));
    }
    chunk.ForEach([this](std::string_view piece) {
      char* const to = image_->bytes.get() + received_;
      std::memcpy(to, piece.data(), piece.size());
      // Now, while they are in the processor's cache.
      XXH3_64bits_update(checksum_.get(), to, piece.size());
      received_ += piece.size();
      return true;
    });
    return absl::OkStatus();
  }

  // The shard, once all is here.
  absl::StatusOr<std::shared_ptr<const ShardImage>> Finish() {
    if (received_ < info().size_bytes()) {
      return absl::DataLossError(fmt::format("shard {}: its bytes ended early", info().shard_id()));
    }
    if (XXH3_64bits_digest(checksum_.get()) != info().xxh3()) {
      return absl::DataLossError(
          fmt::format("shard {}: its bytes do not have the checksum", info().shard_id()));
    }
    return std::move(image_);
  }

 private:
  using State = std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)>;
  Arrival(std::shared_ptr<ShardImage> image, State checksum)
      : image_(std::move(image)), checksum_(std::move(checksum)) {}

  std::shared_ptr<ShardImage> image_;
  State checksum_;
  uint64_t received_ = 0;
};

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

uint64_t SumOfSizes(const v1::Manifest& manifest) {
  uint64_t sum = 0;
  for (const v1::ShardInfo& info : manifest.shards()) {
    if (info.size_bytes() > UINT64_MAX - sum) return UINT64_MAX;
    sum += info.size_bytes();
  }
  return sum;
}

bool ByteBudget::Take(uint64_t bytes) {
  int64_t left = left_.load(std::memory_order_relaxed);
  do {
    if (left < 0 || bytes > static_cast<uint64_t>(left)) return false;
  } while (!left_.compare_exchange_weak(left, left - static_cast<int64_t>(bytes)));
  return true;
}

ShardFetcher::ShardFetcher(std::shared_ptr<grpc::Channel> channel) : channel_(std::move(channel)) {}

ShardFetcher::~ShardFetcher() = default;

void ShardFetcher::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  for (grpc::ClientContext* call : calls_) call->TryCancel();
}

ShardFetcher::Call::Call(ShardFetcher& fetcher, grpc::ClientContext& context)
    : fetcher_(fetcher), context_(context), may_begin_([&] {
        absl::MutexLock lock(&fetcher.mutex_);
        if (fetcher.stopping_) return false;
        fetcher.calls_.push_back(&context);
        return true;
      }()) {}

ShardFetcher::Call::~Call() {
  absl::MutexLock lock(&fetcher_.mutex_);
  std::erase(fetcher_.calls_, &context_);
}

absl::StatusOr<v1::Manifest> ShardFetcher::GetManifest(int64_t generation) {
  grpc::ClientContext context;
  SetDeadline(context, kUnary);
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  v1::GetManifestRequest request;
  request.set_generation(generation);
  v1::Manifest manifest;
  const grpc::Status status =
      v1::SnapshotStore::NewStub(channel_)->GetManifest(&context, request, &manifest);
  if (!status.ok()) return FromGrpc(status);
  return manifest;
}

absl::StatusOr<std::vector<v1::GenerationInfo>> ShardFetcher::ListGenerations() {
  grpc::ClientContext context;
  SetDeadline(context, kUnary);
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  v1::ListGenerationsResponse response;
  const grpc::Status status = v1::SnapshotStore::NewStub(channel_)->ListGenerations(
      &context, v1::ListGenerationsRequest(), &response);
  if (!status.ok()) return FromGrpc(status);
  return std::vector<v1::GenerationInfo>(response.generations().begin(),
                                         response.generations().end());
}

absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::GetShard(int64_t generation,
                                                                         const v1::ShardInfo& info,
                                                                         const ShardImages& held,
                                                                         ByteBudget* budget) {
  if (std::shared_ptr<const ShardImage> known = FindHeld(held, info)) return known;
  if (budget != nullptr && !budget->Take(info.size_bytes())) return NoRoom();
  const absl::StatusOr<std::unique_ptr<Arrival>> arrival = Arrival::Create(info);
  if (!arrival.ok()) return arrival.status();
  while ((*arrival)->received() < info.size_bytes()) {
    const uint64_t before = (*arrival)->received();
    const absl::Status status = FetchFrom(generation, **arrival);
    if (!status.ok() && (*arrival)->received() == before) return status;
    if (absl::IsDataLoss(status)) return status;
    if (status.ok()) break;
  }
  return (*arrival)->Finish();
}

absl::Status ShardFetcher::FetchFrom(int64_t generation, Arrival& arrival) {
  grpc::ClientContext context;
  SetDeadline(context, kAttempt);
  v1::GetShardRequest request;
  request.set_generation(generation);
  request.set_shard_id(arrival.info().shard_id());
  request.set_offset(arrival.received());
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  ShardStream stream(channel_, kGetShard, &context, request);
  grpc::ByteBuffer message;
  absl::Status wrong;
  while (wrong.ok() && stream.Read(&message)) {
    const absl::StatusOr<Part> part = ReadPart(std::move(message));
    wrong = part.status();
    if (part.ok() && part->chunk.has_value()) wrong = arrival.Append(*part->chunk);
    message.Clear();
  }
  if (!wrong.ok()) context.TryCancel();
  absl::Status finished = stream.Finish();
  return wrong.ok() ? finished : wrong;
}

absl::StatusOr<ShardImages> ShardFetcher::GetShards(const v1::Manifest& manifest,
                                                    const ShardImages& held) {
  ShardImages shards;
  for (const v1::ShardInfo& info : manifest.shards()) {
    auto shard = GetShard(manifest.generation(), info, held);
    if (!shard.ok()) return shard.status();
    shards.push_back(*std::move(shard));
  }
  return shards;
}

template <typename Request>
absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::FetchWhole(const ShardImages& held,
                                                                           ByteBudget& budget,
                                                                           const char* method,
                                                                           const Request& request) {
  grpc::ClientContext context;
  SetDeadline(context, kAttempt);
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  ShardStream stream(channel_, method, &context, request);
  grpc::ByteBuffer message;
  std::unique_ptr<Arrival> arrival;
  std::shared_ptr<const ShardImage> known;
  absl::Status wrong;
  while (wrong.ok() && known == nullptr && stream.Read(&message)) {
    const absl::StatusOr<Part> part = ReadPart(std::move(message));
    message.Clear();
    if (!part.ok()) {
      wrong = part.status();
    } else if (part->info.has_value() && arrival == nullptr) {
      known = FindHeld(held, *part->info);
      if (known != nullptr) break;
      if (!budget.Take(part->info->size_bytes())) {
        wrong = NoRoom();
        break;
      }
      absl::StatusOr<std::unique_ptr<Arrival>> made = Arrival::Create(*part->info);
      wrong = made.status();
      if (made.ok()) arrival = *std::move(made);
    } else if (part->chunk.has_value() && arrival != nullptr) {
      wrong = arrival->Append(*part->chunk);
    } else {
      wrong = absl::DataLossError("a shard's messages came out of order");
    }
  }
  if (!wrong.ok() || known != nullptr) context.TryCancel();
  const absl::Status finished = stream.Finish();
  if (known != nullptr) return known;
  if (!wrong.ok()) return wrong;
  if (!finished.ok()) return finished;
  if (arrival == nullptr) return absl::DataLossError("a shard came without its info");
  return arrival->Finish();
}

absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::GetCarriedShard(
    const ShardImages& held, ByteBudget& budget) {
  return FetchWhole(held, budget, kGetCarriedShard, v1::GetCarriedShardRequest());
}

absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::GetRunningShard(
    ByteBudget& budget) {
  return FetchWhole({}, budget, kGetRunningShard, v1::GetRunningShardRequest());
}

}  // namespace qasino::query
