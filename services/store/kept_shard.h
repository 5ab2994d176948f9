#ifndef QASINO_SERVICES_STORE_KEPT_SHARD_H_
#define QASINO_SERVICES_STORE_KEPT_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/sqlite/database.h"

namespace qasino::store {

// A shard that the store makes: its info is complete.
struct KeptShard {
  v1::ShardInfo info;
  std::shared_ptr<const sqlite::Image> bytes;
};

// Copies tables of a connection's main database into a shard of its own.
//
//   auto writer = KeptShardWriter::Begin(database);
//   status = writer->AddTable(...);                  // for each table
//   auto shard = writer->Finish(v1::STATIC, 0);
//
// The connection has no transaction open when it begins and when it is destroyed; one may be
// opened and ended between. It must outlive the writer. Used by one thread at a time.
class KeptShardWriter {
 public:
  // Rows of a table that lie together, and whose they are.
  struct Run {
    const std::string* identity;
    int64_t rows;
    int64_t updates;
    absl::Time last_update;
  };

  static absl::StatusOr<std::unique_ptr<KeptShardWriter>> Begin(sqlite::Database& database);
  ~KeptShardWriter();
  KeptShardWriter(const KeptShardWriter&) = delete;
  KeptShardWriter& operator=(const KeptShardWriter&) = delete;

  // Adds a table of this name, columns and `updated`; `select` gives its rows, with these
  // columns, in the order of the runs.
  absl::Status AddTable(v1::TableInfo info, const std::string& select,
                        const std::vector<Run>& runs);

  // Its id is new, wherever and whenever else shards are made.
  absl::StatusOr<KeptShard> Finish(v1::ShardKind kind, int64_t generation);

 private:
  explicit KeptShardWriter(sqlite::Database& database) : database_(database) {}

  sqlite::Database& database_;
  v1::ShardInfo info_;
  absl::flat_hash_set<std::string> identities_;
  absl::Time last_change_ = absl::InfinitePast();
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_KEPT_SHARD_H_
