#include "services/query/shard_fetcher.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "qasino/v1/snapshot.grpc.pb.h"

namespace qasino::query {
namespace {

// One attempt at a shard's transfer; the next goes on where it ended.
constexpr absl::Duration kAttempt = absl::Minutes(1);
// An answer of one message.
constexpr absl::Duration kUnary = absl::Seconds(5);

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

absl::StatusOr<std::shared_ptr<ShardImage>> Allocate(const v1::ShardInfo& info) {
  auto image = std::make_shared<ShardImage>();
  image->info = info;
  // Without initialisation: each byte is written once, by the transfer.
  image->bytes.reset(new (std::nothrow) char[info.size_bytes()]);
  if (image->bytes == nullptr) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory for shard {} of {} bytes", info.shard_id(), info.size_bytes()));
  }
  return image;
}

absl::Status Append(const ShardImage& image, const v1::ShardChunk& chunk, uint64_t* received) {
  if (chunk.offset() != *received || chunk.data().size() > image.info.size_bytes() - *received) {
    return absl::DataLossError(
        fmt::format("shard {}: its bytes came out of order, or too many", image.info.shard_id()));
  }
  std::memcpy(image.bytes.get() + *received, chunk.data().data(), chunk.data().size());
  *received += chunk.data().size();
  return absl::OkStatus();
}

absl::Status CheckWhole(const ShardImage& image, uint64_t received) {
  if (received < image.info.size_bytes()) {
    return absl::DataLossError(
        fmt::format("shard {}: its bytes ended early", image.info.shard_id()));
  }
  if (XXH3_64bits(image.bytes.get(), received) != image.info.xxh3()) {
    return absl::DataLossError(
        fmt::format("shard {}: its bytes do not have the checksum", image.info.shard_id()));
  }
  return absl::OkStatus();
}

}  // namespace

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
  absl::StatusOr<std::shared_ptr<ShardImage>> image = Allocate(info);
  if (!image.ok()) return image.status();
  uint64_t received = 0;
  while (received < info.size_bytes()) {
    const uint64_t before = received;
    const absl::Status status = FetchFrom(generation, **image, &received);
    if (!status.ok() && received == before) return status;
    if (absl::IsDataLoss(status)) return status;
    if (status.ok()) break;
  }
  if (absl::Status status = CheckWhole(**image, received); !status.ok()) return status;
  return *std::move(image);
}

absl::Status ShardFetcher::FetchFrom(int64_t generation, const ShardImage& image,
                                     uint64_t* received) {
  grpc::ClientContext context;
  SetDeadline(context, kAttempt);
  v1::GetShardRequest request;
  request.set_generation(generation);
  request.set_shard_id(image.info.shard_id());
  request.set_offset(*received);
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  const std::unique_ptr<v1::SnapshotStore::Stub> stub = v1::SnapshotStore::NewStub(channel_);
  const auto reader = stub->GetShard(&context, request);
  v1::GetShardResponse response;
  absl::Status wrong;
  while (wrong.ok() && reader->Read(&response)) {
    if (response.has_chunk()) wrong = Append(image, response.chunk(), received);
  }
  if (!wrong.ok()) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  if (!wrong.ok()) return wrong;
  return finished.ok() ? absl::OkStatus() : FromGrpc(finished);
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

template <typename Begin>
absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::FetchWhole(const ShardImages& held,
                                                                           ByteBudget& budget,
                                                                           Begin begin) {
  grpc::ClientContext context;
  SetDeadline(context, kAttempt);
  const Call call(*this, context);
  if (!call.may_begin()) return Stopping();
  const auto reader = begin(&context);
  v1::GetShardResponse response;
  std::shared_ptr<ShardImage> image;
  std::shared_ptr<const ShardImage> known;
  uint64_t received = 0;
  absl::Status wrong;
  while (wrong.ok() && known == nullptr && reader->Read(&response)) {
    if (response.has_info() && image == nullptr) {
      known = FindHeld(held, response.info());
      if (known != nullptr) break;
      if (!budget.Take(response.info().size_bytes())) {
        wrong = NoRoom();
        break;
      }
      absl::StatusOr<std::shared_ptr<ShardImage>> made = Allocate(response.info());
      wrong = made.status();
      if (made.ok()) image = *std::move(made);
    } else if (response.has_chunk() && image != nullptr) {
      wrong = Append(*image, response.chunk(), &received);
    } else {
      wrong = absl::DataLossError("a shard's messages came out of order");
    }
  }
  if (!wrong.ok() || known != nullptr) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  if (known != nullptr) return known;
  if (!wrong.ok()) return wrong;
  if (!finished.ok()) return FromGrpc(finished);
  if (image == nullptr) return absl::DataLossError("a shard came without its info");
  if (absl::Status status = CheckWhole(*image, received); !status.ok()) return status;
  return image;
}

absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::GetCarriedShard(
    const ShardImages& held, ByteBudget& budget) {
  const std::unique_ptr<v1::SnapshotStore::Stub> stub = v1::SnapshotStore::NewStub(channel_);
  return FetchWhole(held, budget, [&stub](grpc::ClientContext* context) {
    return stub->GetCarriedShard(context, v1::GetCarriedShardRequest());
  });
}

absl::StatusOr<std::shared_ptr<const ShardImage>> ShardFetcher::GetRunningShard(
    ByteBudget& budget) {
  const std::unique_ptr<v1::Ingest::Stub> stub = v1::Ingest::NewStub(channel_);
  return FetchWhole({}, budget, [&stub](grpc::ClientContext* context) {
    return stub->GetRunningShard(context, v1::GetRunningShardRequest());
  });
}

}  // namespace qasino::query
