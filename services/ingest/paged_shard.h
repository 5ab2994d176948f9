#ifndef QASINO_SERVICES_INGEST_PAGED_SHARD_H_
#define QASINO_SERVICES_INGEST_PAGED_SHARD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "services/ingest/limits.h"
#include "services/ingest/shard.h"

namespace qasino::ingest {

// A shard that writes the pages of an SQLite database itself; ShardFormat.SQLITE3. Sealing it
// finishes the pages where they are; what is sealed is not a copy.
//
// A table has the columns of all that published it, in the order in which they were first
// seen; a column's declared type is the one that came first, and SQLite's affinity decides
// how cells of another type are stored.
//
// From its first `update` on a table is kept by SQLite, and costs what SQLite costs; see
// UpdatedTables. Its rows are written as pages when the shard is sealed or copied, in the order
// of their publishing and without an index: else SQLite would answer some statements in the
// index's order.
absl::StatusOr<std::unique_ptr<Shard>> OpenPagedShard(const Limits& limits);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_PAGED_SHARD_H_
