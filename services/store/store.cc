#include "services/store/store.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <array>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/server/log.h"
#include "services/server/machine_name.h"
#include "services/server/worker_pool.h"
#include "services/store/archiver.h"
#include "services/store/calls.h"
#include "services/store/catalogue.h"
#include "services/store/data_folder.h"
#include "services/store/file_system.h"
#include "services/store/service.h"
#include "services/store/snapshot_keeper.h"
#include "services/store/store_metrics.h"

namespace qasino::store {
namespace {

// Enough that the disk and not the messages decide, little enough for many at once.
constexpr size_t kChunkBytes = 512 << 10;

absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

absl::Status CheckOptions(const StoreOptions& options) {
  const auto check = [](bool right, const char* fault) {
    return right ? absl::OkStatus() : absl::InvalidArgumentError(fault);
  };
  absl::Status status = check(!options.data_dir.empty(), "the data folder has no name");
  status.Update(check(options.retain >= 1 && options.retain <= 1'000,
                      "the generations to retain are not from 1 to 1000"));
  status.Update(check(options.max_shard_bytes >= 1, "a shard's largest size is not positive"));
  status.Update(check(options.completeness_wait >= absl::ZeroDuration() &&
                          options.completeness_wait <= absl::Hours(24),
                      "the wait for completeness is not from 0 to 24 hours"));
  status.Update(check(
      options.max_clock_skew >= absl::ZeroDuration() && options.max_clock_skew <= absl::Hours(24),
      "the largest difference of clocks is not from 0 to 24 hours"));
  status.Update(check(options.progress_interval > absl::ZeroDuration(),
                      "the interval of progress messages is not positive"));
  status.Update(
      check(options.idle_limit > absl::ZeroDuration(), "the limit on idle peers is not positive"));
  status.Update(check(options.max_puts >= 1 && options.max_gets >= 1 && options.max_watches >= 1,
                      "a limit on calls at the same time is not positive"));
  constexpr int64_t kMostKeptBytes = int64_t{1} << 30;
  status.Update(check(options.max_static_bytes >= 1 && options.max_static_bytes <= kMostKeptBytes,
                      "the limit on static tables is not from 1 byte to 1 GiB"));
  status.Update(
      check(options.max_persistent_bytes >= 1 && options.max_persistent_bytes <= kMostKeptBytes,
            "the limit on persistent tables is not from 1 byte to 1 GiB"));
  status.Update(check(options.max_changes >= 1 && options.max_changing_bytes >= 1,
                      "a limit on changes of tables is not positive"));
  status.Update(check(options.worker_threads >= 1 && options.worker_threads <= 256,
                      "the worker threads are not from 1 to 256"));
  return status;
}

// What begins later is beyond any error of clocks that lets a shard in, and beyond what the
// clock may have been put back since.
int64_t LatestGeneration(absl::Time now, absl::Duration max_clock_skew) {
  return absl::ToUnixSeconds(now + max_clock_skew + absl::Hours(1));
}

// Archives what an earlier run could not any more. The newest snapshot may still change.
void ArchiveMissing(const SnapshotKeeper& keeper, Archiver& archiver) {
  const v1::ListGenerationsResponse held = keeper.ListGenerations();
  std::vector<Catalogue::ManifestPtr> missing;
  for (int i = held.generations_size() - 1; i > 0; --i) {
    const v1::GenerationInfo& generation = held.generations(i);
    if (archiver.Has(generation.generation(), generation.revision())) continue;
    if (const auto manifest = keeper.GetManifest(generation.generation()); manifest.ok()) {
      missing.push_back(*manifest);
    }
  }
  archiver.AddMissing(missing);
}

}  // namespace

struct StorePart::State {
  State(const StoreOptions& options, prometheus::Registry& registry)
      : metrics(registry),
        calls{.limits = {.max_shard_bytes = static_cast<uint64_t>(options.max_shard_bytes)},
              .table_limits = {},
              .idle_limit = options.idle_limit,
              .chunk_bytes = kChunkBytes,
              .steady_clock = options.steady_clock ? options.steady_clock : SteadyNow,
              .folder = nullptr,
              .keeper = nullptr,
              .pool = nullptr,
              .metrics = &metrics,
              .puts = {"puts", static_cast<size_t>(options.max_puts)},
              .gets = {"gets", static_cast<size_t>(options.max_gets)},
              .watches = {"watches", static_cast<size_t>(options.max_watches)},
              .changes = {"changes of tables", static_cast<size_t>(options.max_changes)},
              .changing = ByteBudget(options.max_changing_bytes)} {}

  std::array<StreamSet*, 4> Streams() {
    return {&calls.puts, &calls.gets, &calls.watches, &calls.changes};
  }

  StoreMetrics metrics;
  Calls calls;
  std::unique_ptr<DataFolder> folder;
  std::unique_ptr<server::WorkerPool> pool;
  std::unique_ptr<Archiver> archiver;  // null: nothing is archived
  std::unique_ptr<SnapshotKeeper> keeper;
  std::unique_ptr<grpc::Service> service;
};

StorePart::StorePart(std::unique_ptr<State> state) : state_(std::move(state)) {}

StorePart::~StorePart() {
  // Tasks of the last calls may still be on the pool.
  for (const StreamSet* set : state_->Streams()) {
    set->AwaitEmpty(absl::InfiniteFuture());
  }
}

absl::StatusOr<std::unique_ptr<StorePart>> StorePart::Create(const StoreOptions& options,
                                                             prometheus::Registry& metrics) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::unique_ptr<State> state;
  try {
    state = std::make_unique<State>(options, metrics);
  } catch (const std::exception& error) {
    return absl::InternalError(
        absl::StrCat("the store's metrics cannot be registered: ", error.what()));
  }
  Calls& calls = state->calls;
  FileSystem* const files = options.files == nullptr ? &PosixFileSystem() : options.files;
  const std::function<absl::Time()> clock = options.clock ? options.clock : absl::Now;
  auto folder = DataFolder::Open(options.data_dir, files, calls.limits,
                                 LatestGeneration(clock(), options.max_clock_skew));
  if (!folder.ok()) return folder.status();
  state->folder = *std::move(folder);
  // Every transfer has at most two tasks, every change of a table and the keeper one.
  const auto tasks =
      static_cast<size_t>(2 * options.max_puts + 2 * options.max_gets + options.max_changes + 1);
  state->pool = std::make_unique<server::WorkerPool>(
      "store", static_cast<int>(options.worker_threads), tasks);

  SnapshotKeeper::Options keeping;
  keeping.retain = static_cast<int>(options.retain);
  keeping.completeness_wait = options.completeness_wait;
  keeping.max_clock_skew = options.max_clock_skew;
  keeping.tick = options.progress_interval;
  keeping.kept.max_static_bytes = options.max_static_bytes;
  keeping.kept.max_persistent_bytes = options.max_persistent_bytes;
  keeping.files = files;
  keeping.clock = clock;
  keeping.steady_clock = calls.steady_clock;
  keeping.on_newest = [&calls] {
    for (const auto& watch : calls.watches.All()) watch->NewestChanged();
  };
  keeping.on_tick = [raw = state.get()] {
    const absl::Time now = raw->calls.steady_clock();
    for (const StreamSet* set : raw->Streams()) {
      for (const auto& stream : set->All()) stream->Tick(now);
    }
  };
  if (!options.archive_dir.empty()) {
    auto archiver = Archiver::Create(options.archive_dir, server::MachineName(), files,
                                     state->folder.get(), &state->metrics);
    if (!archiver.ok()) return archiver.status();
    state->archiver = *std::move(archiver);
    keeping.on_settled = [archiver = state->archiver.get()](
                             const Catalogue::ManifestPtr& manifest) { archiver->Add(manifest); };
  }
  auto keeper =
      SnapshotKeeper::Create(keeping, state->folder.get(), state->pool.get(), &state->metrics);
  if (!keeper.ok()) return keeper.status();
  state->keeper = *std::move(keeper);
  if (state->archiver != nullptr) ArchiveMissing(*state->keeper, *state->archiver);
  calls.folder = state->folder.get();
  calls.pool = state->pool.get();
  calls.keeper = state->keeper.get();
  state->service = NewSnapshotStoreService(&calls);
  return std::unique_ptr<StorePart>(new StorePart(std::move(state)));
}

grpc::Service& StorePart::service() { return *state_->service; }

absl::Status StorePart::Ready() const { return state_->keeper->Disk(); }

void StorePart::Drain(absl::Time deadline) {
  Calls& calls = state_->calls;
  calls.puts.Close();
  calls.gets.Close();
  calls.watches.Close();
  calls.changes.Close();
  for (const auto& watch : calls.watches.All()) watch->End();
  for (const StreamSet* set : state_->Streams()) {
    if (set->AwaitEmpty(deadline)) continue;
    log::Warn("store", "calls broken off", {{"calls", set->size()}});
    for (const auto& stream : set->All()) stream->Abort();
  }
  if (state_->archiver != nullptr) {
    const auto newest = calls.keeper->GetManifest(0);
    if (newest.ok() && (*newest)->generation() > 0) state_->archiver->Add(*newest);
    state_->archiver->Finish(deadline);
  }
}

void StorePart::Wake() { state_->keeper->Wake(); }

}  // namespace qasino::store
