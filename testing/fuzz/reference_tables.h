#ifndef QASINO_TESTING_FUZZ_REFERENCE_TABLES_H_
#define QASINO_TESTING_FUZZ_REFERENCE_TABLES_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/sqlite/database.h"

namespace qasino::fuzz {

// What a shard must hold after some publishes, written down in the plainest way: a table in an
// SQLite database for each, a statement for each row. Slow, and for few rows and columns.
//
// Ends the process (Require) when it cannot do what it was told, or a shard differs.
class ReferenceTables {
 public:
  ReferenceTables();

  // Whether this one would change nothing, as the same table came from the same identity.
  bool IsDuplicate(const v1::PublishRequest& publish) const;

  // Adds or changes what a publish that counts says.
  void Apply(const v1::PublishRequest& publish);

  // That the bytes are a whole SQLite database which has the same tables with the same columns
  // and rows, cell for cell and type for type; that the info tells of these tables; and that
  // qasino_server_publishes says of each row whose it is.
  void RequireEqual(const v1::ShardInfo& info, std::string_view bytes);

 private:
  struct Table {
    std::string name;
    std::vector<v1::ColumnInfo> columns;
    int64_t publishes = 0;
    bool updated = false;
    std::set<std::string> identities;
    // Of publishes without `update`, in order: the identity and its rows.
    std::vector<std::pair<std::string, int64_t>> runs;
  };

  Table& Fit(const v1::Table& published);
  void Insert(const Table& table, const v1::Table& published, int row);
  void Update(const Table& table, const v1::PublishRequest& publish, int row);
  void RequireSameRows(const Table& table, sqlite::Database& shard);
  void RequireSameRuns(const Table& table, sqlite::Database& shard);

  sqlite::Database database_;
  std::map<std::string, Table> tables_;  // by name in lower case
  std::vector<std::string> order_;       // their keys in the order of first sight
  std::set<std::string> identities_;
};

}  // namespace qasino::fuzz

#endif  // QASINO_TESTING_FUZZ_REFERENCE_TABLES_H_
