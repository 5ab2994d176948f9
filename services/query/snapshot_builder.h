#ifndef QASINO_SERVICES_QUERY_SNAPSHOT_BUILDER_H_
#define QASINO_SERVICES_QUERY_SNAPSHOT_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/query/merge_plan.h"
#include "services/query/snapshot.h"
#include "services/sqlite/database.h"

// The work of Snapshot::Build: what is computed once for a snapshot.
namespace qasino::query {

// SQLite attaches at most ten schemas to a connection.
inline constexpr int kMostAttached = 10;

// The schema that a connection attaches a shard as.
std::string ShardSchema(int shard);

struct BuiltSnapshot {
  // The merged tables, without the internal ones.
  std::vector<MergedTable> tables;
  // A database with the internal tables and the tables with Access::kCopy.
  sqlite::Image main;
  // What could not be merged as it should, in words for the log. Only the tables named are
  // affected; one that is left out is a view whose use says why.
  std::vector<std::string> faults;
  // Distinct identities that published, the servers' own not counted.
  int64_t publishers = 0;
};

// Plans the merge, leaves out what an identity published in a second shard again, copies
// what must be copied and fills the internal tables.
absl::StatusOr<BuiltSnapshot> BuildSnapshot(
    const v1::Manifest& manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards,
    const ServerFacts& facts);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SNAPSHOT_BUILDER_H_
