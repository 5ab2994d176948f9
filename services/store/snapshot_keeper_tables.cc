// What the keeper does with static and persistent tables.

#include <prometheus/gauge.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/failpoint.h"
#include "services/server/log.h"
#include "services/store/disk_status.h"
#include "services/store/failpoints.h"
#include "services/store/published_pairs.h"
#include "services/store/salvage.h"
#include "services/store/snapshot_keeper.h"
#include "services/store/timestamp.h"
#include "services/tables/write_rows.h"

namespace qasino::store {
namespace {

// The generation from which a change of a persistent table counts; 0: at once.
int64_t GenerationOf(const JournalRecord& record) {
  switch (record.change_case()) {
    case JournalRecord::kPutPersistent:
      return record.put_persistent().generation();
    case JournalRecord::kDropPersistent:
      return record.drop_persistent().generation();
    default:
      return 0;
  }
}

// What Apply says of the change itself, and not of the disk.
bool IsRefusal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status);
}

void LogChange(const JournalRecord& record) {
  switch (record.change_case()) {
    case JournalRecord::kPutStatic:
      log::Info("store", "static table put",
                {{"table", record.put_static().table().name()},
                 {"identity", record.put_static().identity()},
                 {"rows", tables::RowCount(record.put_static().table())}});
      return;
    case JournalRecord::kDropStatic:
      log::Info("store", "static table dropped", {{"table", record.drop_static().table_name()}});
      return;
    case JournalRecord::kPutPersistent:
      log::Debug("store", "persistent table put",
                 {{"table", record.put_persistent().table().name()},
                  {"identity", record.put_persistent().identity()},
                  {"generation", record.put_persistent().generation()},
                  {"update", record.put_persistent().update()},
                  {"rows", tables::RowCount(record.put_persistent().table())}});
      return;
    case JournalRecord::kDropPersistent:
      log::Debug("store", "persistent table dropped",
                 {{"table", record.drop_persistent().table_name()},
                  {"identity", record.drop_persistent().identity()},
                  {"generation", record.drop_persistent().generation()}});
      return;
    case JournalRecord::CHANGE_NOT_SET:
      return;
  }
}

bool SameTables(const v1::ShardInfo& a, const v1::ShardInfo& b) {
  return std::equal(a.tables().begin(), a.tables().end(), b.tables().begin(), b.tables().end(),
                    [](const v1::TableInfo& one, const v1::TableInfo& other) {
                      return one.SerializeAsString() == other.SerializeAsString();
                    });
}

// The manifest's shard of that kind; null: it has none.
const v1::ShardInfo* ShardOfKind(const v1::Manifest& manifest, v1::ShardKind kind) {
  for (const v1::ShardInfo& shard : manifest.shards()) {
    if (shard.kind() == kind) return &shard;
  }
  return nullptr;
}

// The shard of no persistent tables.
absl::StatusOr<KeptShard> NoTables() {
  auto database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  const auto writer = KeptShardWriter::Begin(*database);
  if (!writer.ok()) return writer.status();
  return (*writer)->Finish(v1::PERSISTENT, 0);
}

}  // namespace

absl::Status SnapshotKeeper::RestoreTables(const Catalogue& restored) {
  built_ = restored.newest()->generation();
  auto tables = KeptTables::Open(
      folder_->path(), folder_->store_id(), options_.files, options_.kept, built_,
      [&restored](int64_t generation, const std::string& shard_id) {
        if (restored.FindShard(generation, shard_id).info != nullptr) return false;
        // Of an older generation that is gone it cannot be said, and it was
        // in a snapshot.
        return restored.Held(generation) != nullptr || generation > restored.newest()->generation();
      });
  if (!tables.ok()) return tables.status();
  tables_ = *std::move(tables);
  // A snapshot that was announced, or nearly, may be lost; the one before it is as it was.
  built_ = std::max(built_, tables_->built());
  if (tables_->lost_some()) Salvage(*restored.newest());
  // What these shards end was in the journal before their manifests were on the disk; but
  // the journal may have been damaged since.
  std::vector<v1::ShardInfo> newest;
  for (const int64_t generation : restored.Unfinished()) {
    for (const v1::ShardInfo& shard : restored.Held(generation)->shards()) {
      if (shard.kind() == v1::COLLECTED) newest.push_back(shard);
    }
  }
  not_ended_ = std::move(newest);
  EndCarriedBefore();
  UpdateTableMetrics();
  return absl::OkStatus();
}

void SnapshotKeeper::EndCarriedBefore() {
  if (not_ended_.empty()) return;
  if (const absl::Status status = EndCarried(not_ended_); !status.ok()) {
    log::Error("store", "what was published anew is carried still", {{"error", status}});
    return;
  }
  not_ended_.clear();
}

void SnapshotKeeper::Salvage(const v1::Manifest& newest) {
  for (const v1::ShardInfo& shard : newest.shards()) {
    if (shard.kind() == v1::COLLECTED) continue;
    const std::string path = folder_->ShardPath(newest.generation(), shard);
    auto records = SalvageTables(path, shard, newest.generation());
    if (!records.ok()) {
      log::Error("store", "tables not taken from the snapshot",
                 {{"file", path}, {"error", records.status()}});
      continue;
    }
    std::vector<KeptTables::Change> changes;
    for (JournalRecord& record : *records) {
      changes.emplace_back().record = std::move(record);
    }
    tables_->Apply(changes);
    int64_t taken = 0;
    for (const KeptTables::Change& change : changes) {
      if (!change.status.ok()) {
        log::Error("store", "table not taken from the snapshot", {{"error", change.status}});
      } else if (!change.duplicate) {
        ++taken;
      }
    }
    log::Warn("store", "tables taken from the newest snapshot, as their journal was not whole",
              {{"generation", newest.generation()}, {"file", path}, {"tables", taken}});
  }
}

void SnapshotKeeper::Change(JournalRecord change, ChangeDone done) {
  if (absl::Status status = CheckClock(GenerationOf(change)); !status.ok()) {
    done(std::move(status));
    return;
  }
  TableArrival arrival;
  arrival.change.record = std::move(change);
  arrival.done = std::move(done);
  absl::MutexLock lock(&mutex_);
  table_arrivals_.push_back(std::move(arrival));
  ScheduleWork();
}

void SnapshotKeeper::Carried(CarriedDone done) {
  absl::MutexLock lock(&mutex_);
  carried_asked_.push_back(std::move(done));
  ScheduleWork();
}

void SnapshotKeeper::Apply(std::vector<TableArrival>& arrivals) {
  if (arrivals.empty()) return;
  const absl::Time now = options_.clock();
  std::vector<KeptTables::Change> changes;
  changes.reserve(arrivals.size());
  for (TableArrival& arrival : arrivals) {
    changes.push_back(std::move(arrival.change));
    SetTimestamp(now, changes.back().record.mutable_time());
  }
  tables_->Apply(changes);
  bool changed = false;
  absl::Status failure;
  for (size_t i = 0; i < changes.size(); ++i) {
    const KeptTables::Change& change = changes[i];
    if (!change.status.ok()) {
      if (!IsRefusal(change.status)) failure = change.status;
    } else if (!change.duplicate) {
      changed = true;
      // What is for a later generation is not seen before that is announced.
      if (GenerationOf(change.record) <= built_) unsettled_ = true;
      LogChange(change.record);
    }
    arrivals[i].change = std::move(changes[i]);
  }
  if (changed) {
    ++changes_;
    UpdateTableMetrics();
  }
  if (failure.ok()) return;
  log::Warn("store", "changes of tables refused", {{"error", failure}});
  // Was it a limit on tables, or the disk?
  if (absl::IsResourceExhausted(failure)) failure = folder_->Probe();
  ReportDisk(failure);
}

void SnapshotKeeper::Answer(std::vector<TableArrival> arrivals, int64_t newest_before,
                            const absl::Status& settled) {
  if (arrivals.empty()) return;
  const NewestPtr newest = this->newest();
  for (TableArrival& arrival : arrivals) {
    const KeptTables::Change& change = arrival.change;
    const int64_t generation = GenerationOf(change.record);
    // Of what is in the newest snapshot now. What is for a later one waits for that.
    const bool at_once = generation <= newest_before;
    if (!change.status.ok()) {
      arrival.done(IsRefusal(change.status) ? change.status : ForSender(change.status));
    } else if (at_once && !settled.ok()) {
      arrival.done(ForSender(settled));
    } else {
      Changed changed;
      changed.generation = at_once ? newest->manifest().generation() : generation;
      changed.revision = newest->manifest().revision();
      changed.duplicate = change.duplicate;
      arrival.done(changed);
    }
    server::Failpoint(kAfterAnswer);
  }
}

absl::StatusOr<std::vector<SnapshotKeeper::Made>> SnapshotKeeper::MadeFor(
    int64_t generation, const v1::Manifest& newest) {
  std::vector<Made> made;
  // The same tables keep the shard that they have in the newest snapshot: after a restart
  // they come under another id.
  const auto add = [&](v1::ShardKind kind, absl::StatusOr<std::optional<KeptShard>> kept) {
    if (!kept.ok()) return kept.status();
    if (!kept->has_value()) return absl::OkStatus();
    KeptShard& shard = **kept;
    const v1::ShardInfo* const before = ShardOfKind(newest, kind);
    // A generation that is announced after a later one has none of that one's shards.
    const bool same = before != nullptr && before->generation() <= generation &&
                      (before->shard_id() == shard.info.shard_id() ||
                       (before->size_bytes() == shard.info.size_bytes() &&
                        before->xxh3() == shard.info.xxh3() && SameTables(*before, shard.info)));
    made.push_back({same ? *before : std::move(shard.info), std::move(shard.bytes)});
    return absl::OkStatus();
  };
  if (generation == newest.generation() && generation < built_) {
    // A later generation could not be announced. Its persistent tables are not this one's.
    const v1::ShardInfo* const before = ShardOfKind(newest, v1::PERSISTENT);
    if (before != nullptr) made.push_back({*before, nullptr});
  } else {
    if (absl::Status status = add(v1::PERSISTENT, tables_->Persistent(generation)); !status.ok()) {
      return status;
    }
    built_ = std::max(built_, generation);
  }
  if (absl::Status status = add(v1::STATIC, tables_->Static()); !status.ok()) return status;
  return made;
}

absl::Status SnapshotKeeper::Settle() {
  if (!unsettled_) return absl::OkStatus();
  // The newest snapshot, which ended them, does not have them.
  if (!not_ended_.empty()) {
    return absl::InternalError("the disk has not taken yet what was published anew");
  }
  Catalogue next = Current();
  const Catalogue::ManifestPtr newest = next.newest();
  const auto made = MadeFor(newest->generation(), *newest);
  if (!made.ok()) {
    log::Error("store", "changes of tables not announced", {{"error", made.status()}});
    return made.status();
  }
  const auto shards =
      std::count_if(newest->shards().begin(), newest->shards().end(),
                    [](const v1::ShardInfo& shard) { return shard.kind() != v1::COLLECTED; });
  const bool same = static_cast<size_t>(shards) == made->size() &&
                    std::all_of(made->begin(), made->end(), [&](const Made& shard) {
                      const v1::ShardInfo* const before = ShardOfKind(*newest, shard.info.kind());
                      return before != nullptr && before->shard_id() == shard.info.shard_id();
                    });
  if (!same) {
    const absl::Status written = WriteRevision(next, newest->generation());
    if (!written.ok()) {
      log::Error("store", "changes of tables not announced",
                 {{"generation", newest->generation()}, {"error", written}});
      return written;
    }
    LogSnapshot(*next.newest());
    Become(std::move(next), newest->generation());
  }
  unsettled_ = false;
  return absl::OkStatus();
}

absl::Status SnapshotKeeper::EndCarried(const std::vector<v1::ShardInfo>& taken) {
  if (!tables_->AnyPersistent()) return absl::OkStatus();
  std::vector<KeptTables::Change> ended;
  for (const v1::ShardInfo& shard : taken) {
    const std::string path = folder_->ShardPath(shard.generation(), shard);
    const auto pairs = PublishedPairs(path);
    if (!pairs.ok()) {
      log::Warn("store", "cannot tell who published what",
                {{"file", path}, {"error", pairs.status()}});
      continue;
    }
    for (KeptTables::Change& change : tables_->EndedBy(shard.generation(), *pairs)) {
      change.record.set_ended_by(shard.shard_id());
      SetTimestamp(options_.clock(), change.record.mutable_time());
      ended.push_back(std::move(change));
    }
  }
  if (ended.empty()) return absl::OkStatus();
  tables_->Apply(ended);
  ++changes_;
  UpdateTableMetrics();
  for (const KeptTables::Change& change : ended) {
    if (GenerationOf(change.record) <= built_) unsettled_ = true;
    if (!change.status.ok() && !IsRefusal(change.status)) {
      ReportDisk(change.status);
      return change.status;
    }
    if (change.status.ok()) LogChange(change.record);
  }
  return absl::OkStatus();
}

void SnapshotKeeper::AnswerCarried(std::vector<CarriedDone> asked) {
  if (asked.empty()) return;
  CarriedPtr carried = carried_at_ == changes_ ? carried_.lock() : nullptr;
  absl::Status status;
  if (carried == nullptr) {
    auto made = tables_->Carried();
    status = made.status();
    if (made.ok() && !made->has_value()) {
      auto empty = NoTables();
      status = empty.status();
      if (empty.ok()) *made = *std::move(empty);
    }
    if (status.ok()) carried = std::make_shared<const KeptShard>(**std::move(made));
    carried_ = carried;
    carried_at_ = changes_;
  }
  for (const CarriedDone& done : asked) {
    if (status.ok()) {
      done(carried);
    } else {
      done(status);
    }
  }
}

void SnapshotKeeper::UpdateTableMetrics() const {
  const KeptTables::Size size = tables_->size();
  metrics_->static_tables->Set(static_cast<double>(size.static_tables));
  metrics_->static_bytes->Set(static_cast<double>(size.static_bytes));
  metrics_->persistent_pairs->Set(static_cast<double>(size.persistent_pairs));
  metrics_->persistent_bytes->Set(static_cast<double>(size.persistent_bytes));
  metrics_->journal_bytes->Set(static_cast<double>(size.journal_bytes));
}

}  // namespace qasino::store
