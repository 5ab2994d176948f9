#ifndef QASINO_SERVICES_STORE_STATIC_TABLES_H_
#define QASINO_SERVICES_STORE_STATIC_TABLES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/sqlite/database.h"
#include "services/store/kept_limits.h"
#include "services/store/kept_shard.h"
#include "services/store/table_journal.h"

namespace qasino::store {

// The static tables as they are now, in memory: a put replaces the rows of a table and only
// adds columns; a column's type is the one that came first. Used by one thread at a time.
class StaticTables {
 public:
  static absl::StatusOr<std::unique_ptr<StaticTables>> Create(const KeptLimits& limits);

  // By how much changes that are accepted and not made yet, each of another table, will change
  // what there is; negative where they take away.
  struct Room {
    int64_t tables = 0;
    int64_t bytes = 0;
    int64_t catalogue_bytes = 0;
  };
  // Adds the change, which was checked.
  void ReservePut(const v1::PutStaticTableRequest& put, Room& room) const;
  void ReserveDrop(const std::string& name, Room& room) const;

  // OK when Put can be done, as things are after what is pending: RESOURCE_EXHAUSTED names the
  // limit.
  absl::Status CheckPut(const v1::PutStaticTableRequest& put, const Room& pending) const;
  // Whole or not at all. After CheckPut it fails only where there is no memory.
  absl::Status Put(const v1::PutStaticTableRequest& put, absl::Time time);

  // NOT_FOUND: there is none of that name.
  absl::Status CheckDrop(const std::string& name) const;
  absl::Status Drop(const std::string& name);

  // A record for each table; putting these in order makes the same state.
  absl::Status WriteState(const std::function<absl::Status(const JournalRecord&)>& add);

  // The same shard until something changes; nothing when there is no table.
  absl::StatusOr<std::optional<KeptShard>> Shard();

  int64_t tables() const { return static_cast<int64_t>(tables_.size()); }
  // By an estimate from above.
  int64_t bytes() const { return bytes_; }

 private:
  struct Table {
    v1::TableInfo info;                             // name, columns, rows
    absl::flat_hash_map<std::string, int> columns;  // lower case
    std::string identity;
    absl::Time time;
    int64_t bytes = 0;
    int64_t catalogue_bytes = 0;
  };

  StaticTables(const KeptLimits& limits, sqlite::Database database)
      : limits_(limits), database_(std::move(database)) {}

  // Null when there is none of that name.
  const Table* Find(const std::string& name) const;
  // What the table is with the put's columns and rows.
  Table With(const v1::PutStaticTableRequest& put, absl::Time time) const;
  absl::Status Write(const Table* before, const Table& after, const v1::Table& rows);

  const KeptLimits limits_;
  sqlite::Database database_;
  // In the order of first sight.
  std::map<int64_t, Table> tables_;
  absl::flat_hash_map<std::string, int64_t> numbers_;  // by name in lower case
  int64_t next_number_ = 1;
  int64_t bytes_ = 0;
  int64_t catalogue_bytes_ = 0;
  std::optional<KeptShard> shard_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_STATIC_TABLES_H_
