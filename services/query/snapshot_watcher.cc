#include "services/query/snapshot_watcher.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/random/random.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/server/log.h"

namespace qasino::query {
namespace {

constexpr char kPart[] = "query";
// One attempt at a shard's transfer; the next goes on where it ended.
constexpr absl::Duration kAttempt = absl::Minutes(1);

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// Generations never fall: a store that lost its data begins with an empty snapshot, and
// what is held is better than that until the next generation is sealed.
bool Replaces(const v1::Manifest& manifest, const v1::SnapshotInfo& held) {
  if (manifest.generation() != held.generation()) return manifest.generation() > held.generation();
  return manifest.store_id() != held.store_id() || manifest.revision() > held.revision();
}

}  // namespace

SnapshotWatcher::SnapshotWatcher(std::shared_ptr<grpc::Channel> store, Options options)
    : store_(std::move(store)),
      options_(std::move(options)),
      connection_(absl::UnavailableError("not connected yet")),
      thread_([this] { Run(); }) {}

SnapshotWatcher::~SnapshotWatcher() { Stop(); }

void SnapshotWatcher::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (grpc::ClientContext* call : calls_) call->TryCancel();
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const Snapshot> SnapshotWatcher::newest() const {
  absl::MutexLock lock(&mutex_);
  return newest_;
}

absl::Status SnapshotWatcher::connection() const {
  absl::MutexLock lock(&mutex_);
  return connection_;
}

bool SnapshotWatcher::Enter(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return false;
  calls_.push_back(context);
  return true;
}

void SnapshotWatcher::Leave(grpc::ClientContext* context) {
  absl::MutexLock lock(&mutex_);
  std::erase(calls_, context);
}

void SnapshotWatcher::Run() {
  absl::BitGen random;
  absl::Duration backoff = options_.initial_backoff;
  bool told = false;
  for (;;) {
    const absl::Time began = absl::Now();
    const absl::Status status = Watch();
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
      connection_ = status;
    }
    // A watch that lived for a while had connected: the store was there.
    const bool had_lived = absl::Now() - began > options_.max_backoff;
    if (had_lived) backoff = options_.initial_backoff;
    if (!told || had_lived) log::Warn(kPart, "the watch of the store ended", {{"status", status}});
    told = true;
    const absl::Duration wait = backoff * absl::Uniform(random, 0.5, 1.0);
    backoff = std::min(backoff * 2, options_.max_backoff);
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait)) return;
  }
}

absl::Status SnapshotWatcher::Watch() {
  grpc::ClientContext context;
  v1::WatchSnapshotsRequest request;
  if (std::shared_ptr<const Snapshot> held = newest()) {
    request.set_from_generation(held->info().generation());
    request.set_from_revision(held->info().revision());
  }
  if (!Enter(&context)) return absl::CancelledError("stopping");
  std::unique_ptr<v1::SnapshotStore::Stub> stub = v1::SnapshotStore::NewStub(store_);
  auto reader = stub->WatchSnapshots(&context, request);
  v1::WatchSnapshotsResponse response;
  absl::Status loaded;
  bool first = true;
  while (loaded.ok() && reader->Read(&response)) {
    if (std::exchange(first, false)) log::Info(kPart, "watching the store");
    {
      absl::MutexLock lock(&mutex_);
      connection_ = absl::OkStatus();
    }
    if (!response.has_manifest()) continue;
    const std::shared_ptr<const Snapshot> held = newest();
    if (held != nullptr && !Replaces(response.manifest(), held->info())) continue;
    loaded = Load(response.manifest());
    if (!loaded.ok()) {
      options_.failed(loaded);
      log::Error(kPart, "a snapshot could not be loaded",
                 {{"generation", response.manifest().generation()},
                  {"revision", response.manifest().revision()},
                  {"status", loaded}});
    }
  }
  // After a failure to load the watch is begun anew, which brings the newest snapshot.
  if (!loaded.ok()) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  Leave(&context);
  if (!loaded.ok()) return loaded;
  return finished.ok() ? absl::UnavailableError("the store ended the watch") : FromGrpc(finished);
}

absl::Status SnapshotWatcher::Load(const v1::Manifest& manifest) {
  const absl::Time began = absl::Now();
  uint64_t bytes = 0;
  for (const v1::ShardInfo& info : manifest.shards()) {
    // Each alone is compared first, so that the sum cannot overflow.
    if (info.size_bytes() > static_cast<uint64_t>(options_.max_snapshot_bytes)) bytes = UINT64_MAX;
    if (bytes != UINT64_MAX) bytes += info.size_bytes();
  }
  if (bytes > static_cast<uint64_t>(options_.max_snapshot_bytes)) {
    return absl::ResourceExhaustedError(fmt::format(
        "the snapshot is larger than {} bytes (--max-snapshot-size)", options_.max_snapshot_bytes));
  }

  const std::shared_ptr<const Snapshot> held = newest();
  std::vector<std::shared_ptr<const ShardImage>> shards;
  for (const v1::ShardInfo& info : manifest.shards()) {
    std::shared_ptr<const ShardImage> shard;
    if (held != nullptr && held->info().store_id() == manifest.store_id()) {
      for (const auto& known : held->shards()) {
        if (known->info.shard_id() == info.shard_id() && known->info.xxh3() == info.xxh3() &&
            known->info.size_bytes() == info.size_bytes()) {
          shard = known;
        }
      }
    }
    if (shard == nullptr) {
      absl::StatusOr<std::shared_ptr<const ShardImage>> fetched = Fetch(manifest, info);
      if (!fetched.ok()) return fetched.status();
      shard = *std::move(fetched);
    }
    shards.push_back(std::move(shard));
  }
  absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot =
      Snapshot::Build(manifest, std::move(shards), options_.facts());
  if (!snapshot.ok()) return snapshot.status();
  const std::shared_ptr<const Snapshot> placed = *snapshot;
  for (const std::string& fault : placed->faults()) {
    log::Warn(kPart, "not merged", {{"generation", manifest.generation()}, {"fault", fault}});
  }
  std::shared_ptr<const Snapshot> last = placed;
  {
    absl::MutexLock lock(&mutex_);
    newest_.swap(last);
  }
  last.reset();  // outside the lock: it may be the last holder of much memory
  const absl::Duration took = absl::Now() - began;
  options_.loaded(*placed, took);
  log::Info(kPart, "snapshot loaded",
            {{"generation", manifest.generation()},
             {"revision", manifest.revision()},
             {"shards", manifest.shards_size()},
             {"bytes", placed->size_bytes()},
             {"publishers", placed->info().publishers()},
             {"complete", manifest.complete()},
             {"seconds", took}});
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ShardImage>> SnapshotWatcher::Fetch(
    const v1::Manifest& manifest, const v1::ShardInfo& info) {
  auto image = std::make_shared<ShardImage>();
  image->info = info;
  // Without initialisation: each byte is written once, by the transfer.
  image->bytes.reset(new (std::nothrow) char[info.size_bytes()]);
  if (image->bytes == nullptr) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory for shard {} of {} bytes", info.shard_id(), info.size_bytes()));
  }
  uint64_t received = 0;
  while (received < info.size_bytes()) {
    const uint64_t before = received;
    const absl::Status status = FetchFrom(manifest.generation(), *image, &received);
    if (!status.ok() && received == before) return status;
    if (absl::IsDataLoss(status)) return status;
    if (status.ok() && received < info.size_bytes()) {
      return absl::DataLossError(fmt::format("shard {}: its bytes ended early", info.shard_id()));
    }
  }
  if (XXH3_64bits(image->bytes.get(), received) != info.xxh3()) {
    return absl::DataLossError(
        fmt::format("shard {}: its bytes do not have the checksum", info.shard_id()));
  }
  return image;
}

absl::Status SnapshotWatcher::FetchFrom(int64_t generation, const ShardImage& image,
                                        uint64_t* received) {
  const uint64_t size = image.info.size_bytes();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kAttempt));
  v1::GetShardRequest request;
  request.set_generation(generation);
  request.set_shard_id(image.info.shard_id());
  request.set_offset(*received);
  if (!Enter(&context)) return absl::CancelledError("stopping");
  std::unique_ptr<v1::SnapshotStore::Stub> stub = v1::SnapshotStore::NewStub(store_);
  auto reader = stub->GetShard(&context, request);
  v1::GetShardResponse response;
  absl::Status wrong;
  while (reader->Read(&response)) {
    if (!response.has_chunk()) continue;
    const v1::ShardChunk& chunk = response.chunk();
    if (chunk.offset() != *received || chunk.data().size() > size - *received) {
      wrong = absl::DataLossError(
          fmt::format("shard {}: its bytes came out of order, or too many", image.info.shard_id()));
      break;
    }
    std::memcpy(image.bytes.get() + *received, chunk.data().data(), chunk.data().size());
    *received += chunk.data().size();
  }
  if (!wrong.ok()) context.TryCancel();
  const grpc::Status finished = reader->Finish();
  Leave(&context);
  if (!wrong.ok()) return wrong;
  return finished.ok() ? absl::OkStatus() : FromGrpc(finished);
}

}  // namespace qasino::query
