#include "services/query/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "services/merge/merge_plan.h"

namespace qasino::query {
namespace {

using merge::Access;
using merge::BuiltSnapshot;
using merge::MergedTable;
using merge::ShardSchema;

// More stay open only while more queries run at once.
constexpr size_t kMostIdleConnections = 32;

}  // namespace

absl::StatusOr<std::shared_ptr<const Snapshot>> Snapshot::Build(
    const v1::Manifest& manifest, std::vector<std::shared_ptr<const ShardImage>> shards,
    ServerFacts facts, std::shared_ptr<const ViewSet> views, merge::InternalTables internal) {
  static std::atomic<uint64_t> last_id = 0;
  std::shared_ptr<Snapshot> snapshot(new Snapshot);
  snapshot->id_ = ++last_id;
  if (views != nullptr && !views->empty()) {
    CheckedViews checked =
        CheckViews(*views, merge::PlanMerge(manifest, merge::kMostAttached), internal);
    snapshot->create_views_ = std::move(checked.create);
    snapshot->views_failed_ = static_cast<int64_t>(checked.facts.size()) - snapshot->views_loaded();
    facts.views = std::move(checked.facts);
  }
  snapshot->views_ = std::move(views);
  absl::StatusOr<BuiltSnapshot> built =
      merge::BuildSnapshot(manifest, shards, facts, merge::kMostAttached, internal);
  if (!built.ok()) return built.status();

  snapshot->manifest_ = manifest;
  v1::SnapshotInfo& info = snapshot->info_;
  info.set_store_id(manifest.store_id());
  info.set_generation(manifest.generation());
  info.set_revision(manifest.revision());
  if (manifest.has_duration()) *info.mutable_duration() = manifest.duration();
  info.set_publishers(built->publishers);
  info.set_complete(manifest.complete());
  info.set_identity(facts.identity);
  if (snapshot->views_ != nullptr) info.set_views(Fingerprint(*snapshot->views_));
  if (manifest.has_committed_at()) *info.mutable_committed_at() = manifest.committed_at();
  snapshot->faults_ = std::move(built->faults);
  snapshot->shards_ = std::move(shards);
  snapshot->main_ = std::move(built->main);

  for (int shard = 0; shard < static_cast<int>(snapshot->shards_.size()); ++shard) {
    if (shard < merge::kMostAttached) snapshot->attached_.push_back(shard);
  }
  for (const MergedTable& table : built->tables) {
    if (table.access == Access::kLeftOut) {
      // Without it the name would mean the part of the table that is in the first shard.
      fmt::format_to(std::back_inserter(snapshot->merged_tables_),
                     "CREATE TEMP VIEW {} AS SELECT * FROM {};\n", sqlite::QuoteName(table.name),
                     sqlite::QuoteName(
                         fmt::format("{} could not be merged; see the server's log", table.name)));
    }
    if (table.access != Access::kView) continue;
    fmt::format_to(std::back_inserter(snapshot->merged_tables_), "CREATE TEMP VIEW {} AS {};\n",
                   sqlite::QuoteName(table.name), merge::ViewSelect(table, ShardSchema));
  }

  // What cannot be opened must not become the newest snapshot.
  absl::StatusOr<std::unique_ptr<Sandbox>> first = snapshot->Open();
  if (!first.ok()) return first.status();
  {
    absl::MutexLock lock(&snapshot->mutex_);
    snapshot->idle_.push_back(*std::move(first));
  }
  return snapshot;
}

int64_t Snapshot::size_bytes() const {
  int64_t bytes = static_cast<int64_t>(main_.size());
  for (const auto& shard : shards_) bytes += static_cast<int64_t>(shard->info.size_bytes());
  return bytes;
}

absl::StatusOr<std::unique_ptr<Sandbox>> Snapshot::Open() const {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  // Sorting and grouping spill into scratch files: into memory, which the query's budget bounds,
  // but in pieces, between which the query can be stopped.
  if (absl::Status status = database->Execute("PRAGMA temp_store = FILE"); !status.ok()) {
    return status;
  }
  if (absl::Status status = database->ReadFrom("main", main_.view()); !status.ok()) return status;
  for (int shard : attached_) {
    const std::string schema = ShardSchema(shard);
    if (absl::Status status = database->AttachEmpty(schema); !status.ok()) return status;
    if (absl::Status status = database->ReadFrom(schema, shards_[shard]->view()); !status.ok()) {
      return status;
    }
  }
  if (absl::Status status = database->Execute(merged_tables_); !status.ok()) return status;
  for (const std::string& create : create_views_) {
    if (absl::Status status = database->Execute(create); !status.ok()) return status;
  }
  return std::make_unique<Sandbox>(*std::move(database));
}

absl::StatusOr<Snapshot::Connection> Snapshot::Connect() const {
  std::unique_ptr<Sandbox> sandbox;
  {
    absl::MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      sandbox = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (sandbox == nullptr) {
    absl::StatusOr<std::unique_ptr<Sandbox>> opened = Open();
    if (!opened.ok()) return opened.status();
    sandbox = *std::move(opened);
  }
  return Connection(shared_from_this(), std::move(sandbox));
}

Snapshot::Connection::Connection(std::shared_ptr<const Snapshot> snapshot,
                                 std::unique_ptr<Sandbox> sandbox)
    : snapshot_(std::move(snapshot)), sandbox_(std::move(sandbox)) {}

Snapshot::Connection::~Connection() {
  if (sandbox_ == nullptr) return;
  absl::MutexLock lock(&snapshot_->mutex_);
  if (snapshot_->idle_.size() < kMostIdleConnections) {
    snapshot_->idle_.push_back(std::move(sandbox_));
  }
}

}  // namespace qasino::query
