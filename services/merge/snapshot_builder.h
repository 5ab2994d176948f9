#ifndef QASINO_SERVICES_MERGE_SNAPSHOT_BUILDER_H_
#define QASINO_SERVICES_MERGE_SNAPSHOT_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/merge/merge_plan.h"
#include "services/sqlite/database.h"

// Makes one snapshot of shards: for queries, which read most of it where it lies, and for
// the archive, which is one database with everything in it.
namespace qasino::merge {

// A shard's bytes in memory. Immutable once filled; shared by snapshots.
struct ShardImage {
  v1::ShardInfo info;
  std::unique_ptr<char[]> bytes;

  std::string_view view() const { return {bytes.get(), info.size_bytes()}; }
};

// A view as qasino_server_views tells of it.
struct ViewFact {
  std::string name;
  // It can be used on this snapshot; else `error` says why not.
  bool loaded = false;
  std::string error;
  // Its CREATE VIEW statement.
  std::string sql;
};

// What a server tells of itself in the internal tables.
struct ServerFacts {
  std::string identity;
  int64_t sql_received = 0;
  int64_t sql_completed = 0;
  int64_t sql_errors = 0;
  // Of the completed ones: without being run for it.
  int64_t sql_from_cache = 0;
  // Sorted by name.
  std::vector<ViewFact> views;
  // The generations that the store holds, newest first.
  std::vector<v1::GenerationInfo> generations;
};

// SQLite attaches at most ten schemas to a connection.
inline constexpr int kMostAttached = 10;

// The schema that a connection attaches a shard as.
std::string ShardSchema(int shard);

struct BuiltSnapshot {
  // The merged tables, without the internal ones.
  std::vector<MergedTable> tables;
  // A database with the internal tables, the tables with Access::kCopy, and the empty ones
  // that ColumnsTable names.
  sqlite::Image main;
  // What could not be merged as it should, in words for the log. Only the tables named are
  // affected; one that is left out is a view whose use says why.
  std::vector<std::string> faults;
  // Distinct identities that published, the servers' own not counted.
  int64_t publishers = 0;
};

// Whether a snapshot has the internal tables. That of a running generation has none: they
// tell of a generation as a whole.
enum class InternalTables { kFilled, kNone };

// Plans the merge, leaves out what an identity published in a second shard again, copies
// what must be copied and fills the internal tables. Of the shards, the first
// `attachable` can be read in place; 0 copies everything, so that `main` is the whole
// snapshot. The shards are those of the manifest, in its order. DATA_LOSS when one cannot
// be read.
//
// Rows of one table and identity in two shards are the same publish again, and count in the
// earlier shard alone; but they all count where either shard's table was updated. What is
// running hides in any case what is carried: its end will end that too. And so does what was
// collected hide what is carried from before that generation.
//
// Static tables have no publishers: who put one is neither counted nor among the connections.
absl::StatusOr<BuiltSnapshot> BuildSnapshot(
    const v1::Manifest& manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards,
    const ServerFacts& facts, int attachable = kMostAttached,
    InternalTables internal = InternalTables::kFilled);

// The CREATE TABLE statements of the internal tables, in the main schema.
std::vector<std::string> CreateInternalTables();

// True for the name, in any case, of an internal table.
bool IsInternalTable(std::string_view name);

}  // namespace qasino::merge

#endif  // QASINO_SERVICES_MERGE_SNAPSHOT_BUILDER_H_
