#include "services/store/kept_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "services/server/log.h"
#include "services/store/persistent_tables.h"
#include "services/store/static_tables.h"
#include "services/store/table_journal.h"
#include "services/store/timestamp.h"
#include "services/tables/write_rows.h"

namespace qasino::store {
namespace {

// What a change that waits takes beside what is in it.
constexpr int64_t kWaitingBytes = 512;

absl::Time TimeOf(const JournalRecord& record) {
  return absl::FromUnixSeconds(record.time().seconds()) + absl::Nanoseconds(record.time().nanos());
}

Pair PairOf(const std::string& table, const std::string& identity) {
  return {absl::AsciiStrToLower(table), identity};
}

Pair PairOf(const JournalRecord& record) {
  if (record.has_put_persistent()) {
    return PairOf(record.put_persistent().table().name(), record.put_persistent().identity());
  }
  return PairOf(record.drop_persistent().table_name(), record.drop_persistent().identity());
}

int64_t GenerationOf(const JournalRecord& record) {
  return record.has_put_persistent() ? record.put_persistent().generation()
                                     : record.drop_persistent().generation();
}

bool IsPersistent(const JournalRecord& record) {
  return record.has_put_persistent() || record.has_drop_persistent();
}

// The record stands for a state, and not for a change of it.
bool IsState(const JournalRecord& record) { return record.updates() > 0; }

// The cells of each column are as many as its kinds say, and as many as those of the others;
// a record that came whole from the disk may be of a store that did not check this.
bool IsWhole(const v1::Table& table) {
  if (table.columns().empty()) return false;
  const int64_t rows = tables::RowCount(table);
  for (const v1::Column& column : table.columns()) {
    if (column.type() < v1::INTEGER || column.type() > v1::BLOB) return false;
    int64_t expected[5] = {};
    if (column.kinds().empty()) {
      expected[column.type()] = rows;
    } else {
      if (static_cast<int64_t>(column.kinds().size()) != rows) return false;
      for (const char kind : column.kinds()) {
        if (kind < 0 || kind > v1::BLOB) return false;
        ++expected[static_cast<int>(kind)];
      }
    }
    if (column.integers_size() != expected[v1::INTEGER] ||
        column.reals_size() != expected[v1::REAL] || column.texts_size() != expected[v1::TEXT] ||
        column.blobs_size() != expected[v1::BLOB]) {
      return false;
    }
  }
  return true;
}

// The table that a change of a static one is of, in lower case.
std::string StaticNameOf(const JournalRecord& record) {
  return absl::AsciiStrToLower(record.has_put_static() ? record.put_static().table().name()
                                                       : record.drop_static().table_name());
}

// Room that accepted changes of persistent tables will need at the most.
struct Room {
  int64_t bytes = 0;
  int64_t catalogue_bytes = 0;
  // Of each table in lower case, the columns that it does not have yet.
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> columns;
  // Tables and pairs that are not carried yet.
  int64_t tables = 0;
  absl::flat_hash_set<Pair> pairs;
};

}  // namespace

class KeptTables::State {
 public:
  State(const KeptLimits& limits, std::unique_ptr<StaticTables> statics,
        std::unique_ptr<PersistentTables> persistent)
      : limits_(limits), static_(std::move(statics)), persistent_(std::move(persistent)) {}

  void Recover(const std::string& data_dir, const std::string& store_id, FileSystem* files,
               int64_t built, const IsLost& is_lost);
  void Apply(std::vector<Change>& changes);
  int64_t built() const { return built_; }
  bool lost_some() const { return lost_some_; }
  bool AnyPersistent() const { return persistent_->pairs() > 0 || !waiting_pairs_.empty(); }
  std::vector<Change> EndedBy(int64_t generation, const std::vector<Pair>& published) const;
  absl::StatusOr<std::optional<KeptShard>> Static() { return static_->Shard(); }
  absl::StatusOr<std::optional<KeptShard>> Persistent(int64_t generation);
  absl::StatusOr<std::optional<KeptShard>> Carried();
  Size size() const;

 private:
  // What waits of one pair, for one generation.
  struct WaitingChanges {
    bool is_put = false;  // by a put, with `update` or without
    bool drop_is_last = false;
  };

  // Changes that are accepted and not made yet.
  struct Pending {
    std::vector<Change*> changes;
    Room room;
    absl::flat_hash_set<Pair> pairs;
    StaticTables::Room static_room;
    absl::flat_hash_set<std::string> static_names;  // in lower case
  };

  // Whether the change can be made may depend on one that is pending.
  static bool Depends(const JournalRecord& record, const Pending& pending);
  // Of a change that does not depend on one: OK when it can be made.
  absl::Status Check(const JournalRecord& record, const Pending& pending, bool* changes_nothing,
                     bool* duplicate) const;
  void Accept(Change& change, Pending& pending) const;
  absl::Status CheckRoom(const v1::PutPersistentTableRequest& put, const Room& pending) const;
  absl::Status CheckDrop(const v1::DropPersistentTableRequest& drop, bool* changes_nothing) const;
  void Reserve(const v1::PutPersistentTableRequest& put, Room& room) const;

  // Writes the records of the changes into the journal, and does them. An error is one of
  // writing, and that of all the changes.
  absl::Status Commit(const std::vector<Change*>& changes);
  // Does it at once, or lets it wait for its generation.
  absl::Status Do(const JournalRecord& record);
  absl::Status DoNow(const JournalRecord& record);
  void Wait(const JournalRecord& record);
  void ForgetWaiting(const Pair& pair);
  // Does what waits for generations up to this one.
  void Build(int64_t generation);
  void CountWaiting();
  void Replay(const JournalRecord& record, const IsLost& is_lost);
  absl::Status WriteState(const std::function<absl::Status(const JournalRecord&)>& add);

  const KeptLimits limits_;
  std::unique_ptr<TableJournal> journal_;
  const std::unique_ptr<StaticTables> static_;
  const std::unique_ptr<PersistentTables> persistent_;  // at the end of generation built_
  int64_t built_ = 0;
  bool lost_some_ = false;
  // By generation, in the order of arrival.
  std::map<int64_t, std::vector<JournalRecord>> waiting_;
  absl::flat_hash_map<Pair, std::map<int64_t, WaitingChanges>> waiting_pairs_;
  Room waiting_room_;
  // The shard of persistent_, while it is the newest.
  bool shard_is_fresh_ = false;
  std::optional<KeptShard> shard_;
};

void KeptTables::State::Recover(const std::string& data_dir, const std::string& store_id,
                                FileSystem* files, int64_t built, const IsLost& is_lost) {
  journal_ = TableJournal::Open(
      data_dir, store_id, files,
      [this, &is_lost](const JournalRecord& record) { Replay(record, is_lost); });
  persistent_->EndRestore();
  Build(built);
  lost_some_ = journal_->is_new() || !journal_->damage().empty();
  if (!journal_->damage().empty()) {
    log::Error("store", "journal of static and persistent tables is damaged",
               {{"file", data_dir + "/tables.journal"}, {"fault", journal_->damage()}});
  } else if (journal_->is_new() && built > 0) {
    log::Warn("store", "there is no journal of static and persistent tables",
              {{"file", data_dir + "/tables.journal"}});
  }
  const absl::Status written =
      journal_->Prepare([this](const auto& add) { return WriteState(add); });
  if (!written.ok()) {
    log::Error("store", "journal not written; no change is taken until it can be",
               {{"error", written}});
  }
  const Size found = size();
  if (found.static_tables > 0 || found.persistent_pairs > 0) {
    log::Info("store", "static and persistent tables recovered",
              {{"static_tables", found.static_tables},
               {"persistent_pairs", found.persistent_pairs},
               {"journal_bytes", found.journal_bytes}});
  }
}

void KeptTables::State::Replay(const JournalRecord& record, const IsLost& is_lost) {
  const v1::Table* table = record.has_put_static()       ? &record.put_static().table()
                           : record.has_put_persistent() ? &record.put_persistent().table()
                                                         : nullptr;
  absl::Status status;
  if (record.change_case() == JournalRecord::CHANGE_NOT_SET) {
    status = absl::DataLossError("a record of no known change");
  } else if (table != nullptr && !IsWhole(*table)) {
    status = absl::DataLossError("its cells do not add up");
  } else {
    // Everything happens again as it happened, so what was built then is built first.
    Build(record.built());
    const bool is_lost_publish = !record.ended_by().empty() && is_lost != nullptr &&
                                 is_lost(record.drop_persistent().generation(), record.ended_by());
    if (!is_lost_publish) status = Do(record);
  }
  if (status.ok() || absl::IsNotFound(status)) return;
  log::Error("store", "a change in the journal is left out",
             {{"table", table == nullptr ? std::string() : table->name()}, {"fault", status}});
}

absl::Status KeptTables::State::WriteState(
    const std::function<absl::Status(const JournalRecord&)>& add) {
  absl::Status status = static_->WriteState(add);
  if (status.ok()) status = persistent_->WriteState(built_, add);
  for (const auto& [generation, records] : waiting_) {
    for (const JournalRecord& record : records) {
      if (!status.ok()) return status;
      status = add(record);
    }
  }
  return status;
}

void KeptTables::State::Apply(std::vector<Change>& changes) {
  Pending pending;
  absl::Status written;
  const auto commit = [&] {
    // A disk that failed just now would fail again, and only after the whole state was written.
    if (written.ok()) written = Commit(pending.changes);
    pending = {};
  };
  for (Change& change : changes) {
    if (Depends(change.record, pending)) commit();
    bool changes_nothing = false;
    change.duplicate = false;
    change.status = Check(change.record, pending, &changes_nothing, &change.duplicate);
    if (!change.status.ok() || changes_nothing) continue;
    if (!written.ok()) {
      change.status = written;
      continue;
    }
    change.record.clear_store_id();
    change.record.clear_updates();
    change.record.set_built(built_);
    if (!change.record.has_time()) SetTimestamp(absl::Now(), change.record.mutable_time());
    Accept(change, pending);
  }
  commit();
}

bool KeptTables::State::Depends(const JournalRecord& record, const Pending& pending) {
  if (!IsPersistent(record)) return pending.static_names.contains(StaticNameOf(record));
  // An update can be made whatever was before.
  if (record.has_put_persistent() && record.put_persistent().update()) return false;
  return pending.pairs.contains(PairOf(record));
}

void KeptTables::State::Accept(Change& change, Pending& pending) const {
  const JournalRecord& record = change.record;
  if (IsPersistent(record)) {
    pending.pairs.insert(PairOf(record));
    if (record.has_put_persistent()) Reserve(record.put_persistent(), pending.room);
  } else {
    pending.static_names.insert(StaticNameOf(record));
    if (record.has_put_static()) {
      static_->ReservePut(record.put_static(), pending.static_room);
    } else {
      static_->ReserveDrop(record.drop_static().table_name(), pending.static_room);
    }
  }
  pending.changes.push_back(&change);
}

absl::Status KeptTables::State::Commit(const std::vector<Change*>& changes) {
  if (changes.empty()) return absl::OkStatus();
  std::vector<const JournalRecord*> records;
  for (const Change* change : changes) records.push_back(&change->record);
  absl::Status status = journal_->Prepare([this](const auto& add) { return WriteState(add); });
  if (status.ok()) status = journal_->Append(records);
  for (Change* change : changes) {
    change->status = status.ok() ? Do(change->record) : status;
    if (change->status.ok() || !status.ok()) continue;
    // There was no memory for what the journal says was done.
    journal_->Distrust();
    log::Error("store", "a change was not made", {{"error", change->status}});
  }
  return status;
}

absl::Status KeptTables::State::Check(const JournalRecord& record, const Pending& pending,
                                      bool* changes_nothing, bool* duplicate) const {
  switch (record.change_case()) {
    case JournalRecord::kPutStatic:
      return static_->CheckPut(record.put_static(), pending.static_room);
    case JournalRecord::kDropStatic:
      return static_->CheckDrop(record.drop_static().table_name());
    case JournalRecord::kDropPersistent:
      return CheckDrop(record.drop_persistent(), changes_nothing);
    case JournalRecord::kPutPersistent:
      break;
    default:
      return absl::InvalidArgumentError("there is no change");
  }
  const v1::PutPersistentTableRequest& put = record.put_persistent();
  if (!put.update()) {
    // One that was put for a later generation replaced this one already.
    const std::optional<int64_t> last = persistent_->LastPut(put.identity(), put.table().name());
    const auto waiting = waiting_pairs_.find(PairOf(record));
    bool waits = false;
    if (waiting != waiting_pairs_.end()) {
      const auto same = waiting->second.find(put.generation());
      waits = same != waiting->second.end() && same->second.is_put;
    }
    *duplicate = waits || (last.has_value() && *last >= put.generation());
    *changes_nothing = *duplicate;
    if (*duplicate) return absl::OkStatus();
  }
  return CheckRoom(put, pending.room);
}

absl::Status KeptTables::State::CheckRoom(const v1::PutPersistentTableRequest& put,
                                          const Room& pending) const {
  const std::string& name = put.table().name();
  const Pair pair = PairOf(name, put.identity());
  const auto lacks = [&](const Room& room) -> const absl::flat_hash_set<std::string>* {
    const auto columns = room.columns.find(pair.first);
    return columns == room.columns.end() ? nullptr : &columns->second;
  };
  const auto* waiting_columns = lacks(waiting_room_);
  const auto* pending_columns = lacks(pending);

  const int64_t tables = persistent_->tables() + waiting_room_.tables + pending.tables;
  if (!persistent_->HasTable(name) && waiting_columns == nullptr && pending_columns == nullptr &&
      tables >= limits_.max_tables) {
    return absl::ResourceExhaustedError(fmt::format(
        "table '{}': there are {} persistent tables already, which is the limit", name, tables));
  }
  const int64_t pairs = persistent_->pairs() +
                        static_cast<int64_t>(waiting_room_.pairs.size() + pending.pairs.size());
  if (pairs >= limits_.max_pairs && !persistent_->LastPut(put.identity(), name).has_value() &&
      !waiting_room_.pairs.contains(pair) && !pending.pairs.contains(pair)) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': {} identities' persistent tables are carried already, which is "
                    "the limit",
                    name, pairs));
  }
  int64_t columns = persistent_->columns(name);
  if (waiting_columns != nullptr) columns += static_cast<int64_t>(waiting_columns->size());
  if (pending_columns != nullptr) columns += static_cast<int64_t>(pending_columns->size());
  for (const v1::Column& column : put.table().columns()) {
    const std::string lower = absl::AsciiStrToLower(column.name());
    if (persistent_->HasColumn(name, lower) ||
        (waiting_columns != nullptr && waiting_columns->contains(lower)) ||
        (pending_columns != nullptr && pending_columns->contains(lower))) {
      continue;
    }
    ++columns;
  }
  const int64_t most = std::min(limits_.max_columns, PersistentTables::kMostColumns);
  if (columns > most) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': would have {} columns together with those put before, over the "
                    "limit of {}",
                    name, columns, most));
  }
  Room alone;
  Reserve(put, alone);
  if (persistent_->catalogue_bytes() + waiting_room_.catalogue_bytes + pending.catalogue_bytes +
          alone.catalogue_bytes >
      limits_.max_catalogue_bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': the names of all persistent tables and their columns would take "
                    "over {} bytes, which is the limit",
                    name, limits_.max_catalogue_bytes));
  }
  const int64_t used = persistent_->bytes() + waiting_room_.bytes + pending.bytes;
  if (used + alone.bytes > limits_.max_persistent_bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': no room for about {} bytes: the persistent tables have about {} "
                    "of at most {} bytes",
                    name, alone.bytes, used, limits_.max_persistent_bytes));
  }
  return absl::OkStatus();
}

void KeptTables::State::Reserve(const v1::PutPersistentTableRequest& put, Room& room) const {
  const std::string& name = put.table().name();
  Pair pair = PairOf(name, put.identity());
  // What waits has its room already.
  const bool is_waiting_room = &room == &waiting_room_;
  const auto waiting = waiting_room_.columns.find(pair.first);
  const bool waits = !is_waiting_room && waiting != waiting_room_.columns.end();
  const auto [table, is_new] = room.columns.try_emplace(pair.first);
  if (is_new && !waits && !persistent_->HasTable(name)) {
    ++room.tables;
    room.catalogue_bytes += static_cast<int64_t>(name.size()) + KeptLimits::kNameBytes;
  }
  for (const v1::Column& column : put.table().columns()) {
    std::string lower = absl::AsciiStrToLower(column.name());
    if (persistent_->HasColumn(name, lower)) continue;
    if (waits && waiting->second.contains(lower)) continue;
    const auto bytes = static_cast<int64_t>(lower.size()) + KeptLimits::kNameBytes;
    if (table->second.insert(std::move(lower)).second) room.catalogue_bytes += bytes;
  }
  if (!persistent_->LastPut(put.identity(), name).has_value() &&
      (is_waiting_room || !waiting_room_.pairs.contains(pair))) {
    room.pairs.insert(std::move(pair));
  }
  // In the database, with the index that says whose a row is; and while it waits.
  room.bytes += tables::MostBytes(put.table(), put.table().columns_size()) +
                32 * tables::RowCount(put.table()) + kWaitingBytes +
                static_cast<int64_t>(put.SpaceUsedLong());
}

absl::Status KeptTables::State::CheckDrop(const v1::DropPersistentTableRequest& drop,
                                          bool* changes_nothing) const {
  const auto waiting = waiting_pairs_.find(PairOf(drop.table_name(), drop.identity()));
  const bool is_waiting = waiting != waiting_pairs_.end() &&
                          std::any_of(waiting->second.begin(), waiting->second.end(),
                                      [](const auto& changes) { return changes.second.is_put; });
  if (!is_waiting && !persistent_->LastPut(drop.identity(), drop.table_name()).has_value()) {
    return absl::NotFoundError(fmt::format("no persistent table '{}' of '{}' is carried",
                                           drop.table_name(), drop.identity()));
  }
  if (waiting != waiting_pairs_.end()) {
    const auto same = waiting->second.find(drop.generation());
    *changes_nothing = same != waiting->second.end() && same->second.drop_is_last;
  }
  return absl::OkStatus();
}

absl::Status KeptTables::State::Do(const JournalRecord& record) {
  if (IsPersistent(record) && !IsState(record) && GenerationOf(record) > built_) {
    Wait(record);
    return absl::OkStatus();
  }
  return DoNow(record);
}

absl::Status KeptTables::State::DoNow(const JournalRecord& record) {
  switch (record.change_case()) {
    case JournalRecord::kPutStatic:
      return static_->Put(record.put_static(), TimeOf(record));
    case JournalRecord::kDropStatic:
      return static_->Drop(record.drop_static().table_name());
    case JournalRecord::kPutPersistent: {
      shard_is_fresh_ = false;
      if (!IsState(record)) return persistent_->Put(record.put_persistent(), TimeOf(record));
      PersistentTables::Restored restored;
      restored.updates = record.updates();
      restored.updated = record.updated();
      if (!record.columns().empty()) restored.columns = &record.columns();
      return persistent_->Put(record.put_persistent(), TimeOf(record), &restored);
    }
    default:
      break;
  }
  const v1::DropPersistentTableRequest& drop = record.drop_persistent();
  if (drop.generation() == 0) {
    ForgetWaiting(PairOf(record));
  } else {
    // What was put for that generation or a later one stays.
    const std::optional<int64_t> last = persistent_->LastPut(drop.identity(), drop.table_name());
    if (!last.has_value() || *last >= drop.generation()) return absl::OkStatus();
  }
  shard_is_fresh_ = false;
  return persistent_->Drop(drop.identity(), drop.table_name());
}

void KeptTables::State::Wait(const JournalRecord& record) {
  const int64_t generation = GenerationOf(record);
  WaitingChanges& changes = waiting_pairs_[PairOf(record)][generation];
  if (record.has_put_persistent()) {
    changes.is_put = true;
    Reserve(record.put_persistent(), waiting_room_);
  }
  changes.drop_is_last = record.has_drop_persistent();
  waiting_[generation].push_back(record);
}

void KeptTables::State::ForgetWaiting(const Pair& pair) {
  if (waiting_pairs_.erase(pair) == 0) return;
  for (auto generation = waiting_.begin(); generation != waiting_.end();) {
    std::erase_if(generation->second,
                  [&](const JournalRecord& record) { return PairOf(record) == pair; });
    generation = generation->second.empty() ? waiting_.erase(generation) : std::next(generation);
  }
  CountWaiting();
}

void KeptTables::State::Build(int64_t generation) {
  if (generation <= built_) return;
  built_ = generation;
  bool any = false;
  while (!waiting_.empty() && waiting_.begin()->first <= generation) {
    any = true;
    const std::vector<JournalRecord> records = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    for (const JournalRecord& record : records) {
      if (const absl::Status status = DoNow(record); !status.ok()) {
        // While the journal is read there is none yet; it is written anew after that.
        if (journal_ != nullptr) journal_->Distrust();
        log::Error("store", "a change was not made",
                   {{"table", PairOf(record).first}, {"error", status}});
      }
    }
  }
  if (!any) return;
  CountWaiting();
  persistent_->Compact();
}

void KeptTables::State::CountWaiting() {
  waiting_room_ = {};
  waiting_pairs_.clear();
  for (const auto& [generation, records] : waiting_) {
    for (const JournalRecord& record : records) {
      WaitingChanges& changes = waiting_pairs_[PairOf(record)][generation];
      changes.drop_is_last = record.has_drop_persistent();
      if (!record.has_put_persistent()) continue;
      changes.is_put = true;
      Reserve(record.put_persistent(), waiting_room_);
    }
  }
}

std::vector<KeptTables::Change> KeptTables::State::EndedBy(
    int64_t generation, const std::vector<Pair>& published) const {
  std::vector<Change> changes;
  for (const Pair& pair : published) {
    const std::optional<int64_t> last = persistent_->LastPut(pair.second, pair.first);
    bool is_earlier = last.has_value() && *last < generation;
    bool is_again = last.has_value() && *last >= generation;
    if (const auto waiting = waiting_pairs_.find(pair); waiting != waiting_pairs_.end()) {
      for (const auto& [when, waits] : waiting->second) {
        if (!waits.is_put) continue;
        is_earlier |= when < generation;
        is_again |= when == generation;
      }
    }
    if (!is_earlier || is_again) continue;
    v1::DropPersistentTableRequest& drop = *changes.emplace_back().record.mutable_drop_persistent();
    drop.set_table_name(pair.first);
    drop.set_identity(pair.second);
    drop.set_generation(generation);
  }
  return changes;
}

absl::StatusOr<std::optional<KeptShard>> KeptTables::State::Persistent(int64_t generation) {
  Build(generation);
  // Never the shard at hand, which may have been made for a later one.
  if (generation < built_) return persistent_->Shard(generation, generation);
  if (shard_is_fresh_) return shard_;
  absl::StatusOr<std::optional<KeptShard>> shard =
      persistent_->Shard(generation, std::numeric_limits<int64_t>::max());
  if (!shard.ok()) return shard;
  shard_ = *shard;
  shard_is_fresh_ = true;
  return shard;
}

absl::StatusOr<std::optional<KeptShard>> KeptTables::State::Carried() {
  const int64_t newest = waiting_.empty() ? built_ : waiting_.rbegin()->first;
  const bool was_fresh = shard_is_fresh_;
  absl::StatusOr<std::optional<KeptShard>> shard = persistent_->ShardAfter(newest, [this] {
    for (const auto& [generation, records] : waiting_) {
      for (const JournalRecord& record : records) {
        if (const absl::Status status = DoNow(record); !status.ok()) {
          log::Error("store", "a change that waits is not shown", {{"error", status}});
        }
      }
    }
  });
  shard_is_fresh_ = was_fresh;
  return shard;
}

KeptTables::Size KeptTables::State::size() const {
  Size size;
  size.static_tables = static_->tables();
  size.static_bytes = static_->bytes();
  size.persistent_pairs = persistent_->pairs();
  size.persistent_bytes = persistent_->bytes() + waiting_room_.bytes;
  size.journal_bytes = static_cast<int64_t>(journal_->size_bytes());
  return size;
}

KeptTables::KeptTables(std::unique_ptr<State> state) : state_(std::move(state)) {}
KeptTables::~KeptTables() = default;

absl::StatusOr<std::unique_ptr<KeptTables>> KeptTables::Open(const std::string& data_dir,
                                                             const std::string& store_id,
                                                             FileSystem* files,
                                                             const KeptLimits& limits,
                                                             int64_t built, const IsLost& is_lost) {
  auto statics = StaticTables::Create(limits);
  if (!statics.ok()) return statics.status();
  auto persistent = PersistentTables::Create();
  if (!persistent.ok()) return persistent.status();
  auto state = std::make_unique<State>(limits, *std::move(statics), *std::move(persistent));
  state->Recover(data_dir, store_id, files, built, is_lost);
  return std::unique_ptr<KeptTables>(new KeptTables(std::move(state)));
}

void KeptTables::Apply(std::vector<Change>& changes) { state_->Apply(changes); }
bool KeptTables::lost_some() const { return state_->lost_some(); }

int64_t KeptTables::built() const { return state_->built(); }
bool KeptTables::AnyPersistent() const { return state_->AnyPersistent(); }
std::vector<KeptTables::Change> KeptTables::EndedBy(int64_t generation,
                                                    const std::vector<Pair>& published) const {
  return state_->EndedBy(generation, published);
}
absl::StatusOr<std::optional<KeptShard>> KeptTables::Static() { return state_->Static(); }
absl::StatusOr<std::optional<KeptShard>> KeptTables::Persistent(int64_t generation) {
  return state_->Persistent(generation);
}
absl::StatusOr<std::optional<KeptShard>> KeptTables::Carried() { return state_->Carried(); }
KeptTables::Size KeptTables::size() const { return state_->size(); }

}  // namespace qasino::store
