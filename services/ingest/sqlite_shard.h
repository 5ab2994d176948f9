#ifndef QASINO_SERVICES_INGEST_SQLITE_SHARD_H_
#define QASINO_SERVICES_INGEST_SQLITE_SHARD_H_

#include <memory>

#include "absl/status/statusor.h"
#include "services/ingest/limits.h"
#include "services/ingest/shard.h"

namespace qasino::ingest {

// A shard that inserts into an SQLite database in memory; ShardFormat.SQLITE3.
//
// A table has the columns of all that published it, in the order in which they were first
// seen; a column's declared type is the one that came first, and SQLite's affinity decides
// how cells of another type are stored. Creating a table takes SQLite time that grows with
// the number of tables, as does adding columns to one; Limits::tables_per_shard keeps that
// within bounds. Rows are quick.
//
// An `update` finds rows by an index of its key columns, which is made at the table's first
// update by these and is dropped again from what is sealed or copied: else SQLite would answer
// some statements in the index's order, and rows come in the order of their publishing whatever
// was updated. The pages of such an index stay in the sealed bytes, empty. From the first
// update on, the shard keeps pages that change twice until the next update, so that one which
// fails can be rolled back; a shard without updates spends nothing on that.
absl::StatusOr<std::unique_ptr<Shard>> OpenSqliteShard(const Limits& limits);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_SQLITE_SHARD_H_
