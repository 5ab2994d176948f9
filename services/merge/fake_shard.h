#ifndef QASINO_SERVICES_MERGE_FAKE_SHARD_H_
#define QASINO_SERVICES_MERGE_FAKE_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "qasino/v1/snapshot.pb.h"
#include "services/merge/snapshot_builder.h"
#include "services/sqlite/database.h"

// Shards for tests, written by hand instead of by an ingest process.
namespace qasino::merge {

class FakeShard {
 public:
  FakeShard(std::string shard_id, int64_t generation);

  // CREATE TABLE of these columns, each "name TYPE".
  FakeShard& Table(const std::string& name, const std::vector<std::string>& columns);
  // INSERT INTO name VALUES …, as one publish of the identity.
  FakeShard& Publish(const std::string& identity, const std::string& name,
                     const std::vector<std::string>& rows);
  FakeShard& Kind(v1::ShardKind kind);
  // As the store's own shards are.
  FakeShard& Anonymous();
  // Some of the table's publishes had `update`.
  FakeShard& Updated(const std::string& name);

  std::shared_ptr<const ShardImage> Seal();

 private:
  v1::TableInfo& Info(const std::string& name);

  v1::ShardInfo info_;
  sqlite::Database database_;
  int64_t publishers_ = 0;
};

// A manifest of the shards' infos, revision 1, complete.
v1::Manifest ManifestOf(int64_t generation,
                        const std::vector<std::shared_ptr<const ShardImage>>& shards);

}  // namespace qasino::merge

#endif  // QASINO_SERVICES_MERGE_FAKE_SHARD_H_
