#include "services/store/store.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <chrono>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/log.h"
#include "services/server/worker_pool.h"
#include "services/store/calls.h"
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
  status.Update(check(options.worker_threads >= 1 && options.worker_threads <= 256,
                      "the worker threads are not from 1 to 256"));
  return status;
}

}  // namespace

struct StorePart::State {
  State(const StoreOptions& options, prometheus::Registry& registry)
      : metrics(registry),
        calls{.limits = {.max_shard_bytes = static_cast<uint64_t>(options.max_shard_bytes)},
              .idle_limit = options.idle_limit,
              .chunk_bytes = kChunkBytes,
              .steady_clock = options.steady_clock ? options.steady_clock : SteadyNow,
              .folder = nullptr,
              .keeper = nullptr,
              .pool = nullptr,
              .metrics = &metrics,
              .puts = {"puts", static_cast<size_t>(options.max_puts)},
              .gets = {"gets", static_cast<size_t>(options.max_gets)},
              .watches = {"watches", static_cast<size_t>(options.max_watches)}} {}

  StoreMetrics metrics;
  Calls calls;
  std::unique_ptr<DataFolder> folder;
  std::unique_ptr<server::WorkerPool> pool;
  std::unique_ptr<SnapshotKeeper> keeper;
  std::unique_ptr<grpc::Service> service;
};

StorePart::StorePart(std::unique_ptr<State> state) : state_(std::move(state)) {}

StorePart::~StorePart() {
  // Tasks of the last calls may still be on the pool.
  for (const StreamSet* set : {&state_->calls.puts, &state_->calls.gets, &state_->calls.watches}) {
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
  auto folder =
      DataFolder::Open(options.data_dir,
                       options.files == nullptr ? &PosixFileSystem() : options.files, calls.limits);
  if (!folder.ok()) return folder.status();
  state->folder = *std::move(folder);
  // Every call has at most two tasks, and the keeper one.
  const auto tasks = static_cast<size_t>(2 * options.max_puts + 2 * options.max_gets + 1);
  state->pool = std::make_unique<server::WorkerPool>(
      "store", static_cast<int>(options.worker_threads), tasks);

  SnapshotKeeper::Options keeping;
  keeping.retain = static_cast<int>(options.retain);
  keeping.completeness_wait = options.completeness_wait;
  keeping.max_clock_skew = options.max_clock_skew;
  keeping.tick = options.progress_interval;
  keeping.clock = options.clock ? options.clock : absl::Now;
  keeping.steady_clock = calls.steady_clock;
  keeping.on_newest = [&calls] {
    for (const auto& watch : calls.watches.All()) watch->NewestChanged();
  };
  keeping.on_tick = [&calls] {
    const absl::Time now = calls.steady_clock();
    for (const StreamSet* set : {&calls.puts, &calls.gets, &calls.watches}) {
      for (const auto& stream : set->All()) stream->Tick(now);
    }
  };
  auto keeper =
      SnapshotKeeper::Create(keeping, state->folder.get(), state->pool.get(), &state->metrics);
  if (!keeper.ok()) return keeper.status();
  state->keeper = *std::move(keeper);
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
  for (const auto& watch : calls.watches.All()) watch->End();
  for (const StreamSet* set : {&calls.puts, &calls.gets, &calls.watches}) {
    if (set->AwaitEmpty(deadline)) continue;
    log::Warn("store", "calls broken off", {{"calls", set->size()}});
    for (const auto& stream : set->All()) stream->Abort();
  }
}

void StorePart::Wake() { state_->keeper->Wake(); }

}  // namespace qasino::store
