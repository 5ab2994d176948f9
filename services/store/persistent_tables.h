#ifndef QASINO_SERVICES_STORE_PERSISTENT_TABLES_H_
#define QASINO_SERVICES_STORE_PERSISTENT_TABLES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/sqlite/database.h"
#include "services/store/kept_shard.h"
#include "services/store/table_journal.h"

namespace qasino::store {

// The persistent tables at one moment, in memory: what is carried of each table for each
// identity (a pair).
//
// A table's columns are those that its pairs have, in the order of first sight; the type is
// the one that came first. A row belongs to the pair that put or last updated it, and goes
// with that. Rows are in the order in which their pairs were first seen, and of one
// pair mostly as they came.
//
// A change is made whole or not at all. Used by one thread at a time.
class PersistentTables {
 public:
  // SQLite's tables have one more, which says whose the row is.
  static constexpr int64_t kMostColumns = 1'999;

  // A pair as it stands in a record of the state.
  struct Restored {
    int64_t updates = 1;
    bool updated = false;
    // All columns of the table, when it is the table's first record.
    const google::protobuf::RepeatedPtrField<v1::ColumnInfo>* columns = nullptr;
  };

  static absl::StatusOr<std::unique_ptr<PersistentTables>> Create();

  // Replaces the pair's rows, or changes the table's rows by key. The request is valid.
  absl::Status Put(const v1::PutPersistentTableRequest& put, absl::Time time,
                   const Restored* restored = nullptr);

  // Does nothing where there is no such pair.
  absl::Status Drop(const std::string& identity, const std::string& table);

  // After the records of a state: forgets columns that none of them has.
  void EndRestore();

  // The generation of the pair's last put; nothing when it is not carried.
  std::optional<int64_t> LastPut(const std::string& identity, const std::string& table) const;
  bool HasTable(const std::string& table) const;
  bool HasColumn(const std::string& table, const std::string& column) const;
  // Of the table; 0 when it is not there.
  int64_t columns(const std::string& table) const;
  int64_t tables() const { return static_cast<int64_t>(numbers_.size()); }
  int64_t pairs() const { return pairs_; }
  // Of the names of all tables and columns, as KeptLimits counts them.
  int64_t catalogue_bytes() const { return catalogue_bytes_; }
  // What it takes in memory.
  int64_t bytes();

  // A record for each pair: putting these in order with what they say of the state makes the
  // same state. `built` goes into each.
  absl::Status WriteState(int64_t built,
                          const std::function<absl::Status(const JournalRecord&)>& add);

  // The pairs that were put for generations up to `newest`, as they are now.
  absl::StatusOr<std::optional<KeptShard>> Shard(int64_t generation, int64_t newest);

  // Does `changes` (Put and Drop), gives the shard of all pairs as they are then, and undoes
  // them.
  absl::StatusOr<std::optional<KeptShard>> ShardAfter(int64_t generation,
                                                      const std::function<void()>& changes);

  // Gives memory back that is not used any more.
  void Compact();

 private:
  struct Column {
    std::string name;
    v1::ColumnType type;
    int64_t pairs = 0;  // that have it
  };
  struct PairState {
    std::string identity;
    std::vector<int> columns;  // numbers, ascending
    int64_t generation = 0;
    int64_t updates = 0;
    bool updated = false;
    absl::Time time;
  };
  // SQLite's table.
  struct Stored {
    // By name in lower case. There may be some that are no longer the table's, and these are
    // NULL in all rows. Empty: there is no table.
    absl::flat_hash_map<std::string, v1::ColumnType> columns;
    bool owners_are_indexed = false;
  };
  struct Table {
    std::string name;
    // In the order of first sight.
    std::map<int, Column> columns;
    absl::flat_hash_map<std::string, int> column_numbers;  // by name in lower case
    int next_column = 0;
    std::map<int64_t, PairState> pairs;
    absl::flat_hash_map<std::string, int64_t> pair_numbers;  // by identity
    Stored stored;
  };
  // What a put makes of a table's columns.
  struct Plan {
    // The numbers of the request's columns, ascending.
    std::vector<int> numbers;
    // Those of them that are new.
    std::map<int, Column> added;
    // Those that the table has, without the ones that go because no other pair has them.
    std::vector<int> kept;
  };

  explicit PersistentTables(sqlite::Database database) : database_(std::move(database)) {}

  std::shared_ptr<Table> Find(const std::string& name) const;

  static Plan MakePlan(const Table& table, const PairState* pair,
                       const v1::PutPersistentTableRequest& put);
  // Makes SQLite's table fit for the plan, and says what columns it has then.
  absl::Status FitSchema(const Table& table, const Plan& plan, Stored* stored);
  absl::Status CreateStored(const Table& table, const Plan& plan, const std::string& name);
  absl::Status Rebuild(const Table& table, const Plan& plan);
  absl::Status IndexOwners(const Table& table);
  absl::Status Update(const Table& table, const v1::PutPersistentTableRequest& put, int64_t number,
                      bool* changed);
  absl::Status DropKeyIndexes(const Table& table);
  // Those of the table's columns, but for `known`, that are not NULL in all rows of the pair.
  absl::StatusOr<std::vector<int>> FilledColumns(const Table& table, int64_t number,
                                                 const std::vector<int>& known);

  // Changes of the bookkeeping, each of which a trial undoes.
  void SetTable(int64_t number, const std::shared_ptr<Table>& table);
  void SetPair(Table& table, int64_t number, std::optional<PairState> state);
  void SetStored(Table& table, Stored stored);
  void SetColumn(Table& table, int number, std::optional<Column> column);
  // So many pairs more have these columns; a column that none has goes.
  void Count(Table& table, const std::vector<int>& columns, int64_t more);
  bool InTransaction() const;
  // SQLite ends a transaction when it has no memory, and what came then would stay.
  absl::Status CheckTrial() const;
  void OnUndo(std::function<void()> undo);
  void Undo();

  absl::Status AddToShard(const Table& table, int64_t newest, KeptShardWriter& writer);

  sqlite::Database database_;
  std::map<int64_t, std::shared_ptr<Table>> tables_;   // in the order of first sight
  absl::flat_hash_map<std::string, int64_t> numbers_;  // by name in lower case
  int64_t next_table_ = 1;
  int64_t next_pair_ = 1;
  int64_t pairs_ = 0;
  int64_t bookkeeping_bytes_ = 0;
  int64_t catalogue_bytes_ = 0;
  // Of the database; absent when it has changed since they were asked for.
  std::optional<int64_t> database_bytes_;
  // How to undo the trial's changes, the last one first.
  bool is_trial_ = false;
  std::vector<std::function<void()>> undo_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_PERSISTENT_TABLES_H_
