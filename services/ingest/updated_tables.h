#ifndef QASINO_SERVICES_INGEST_UPDATED_TABLES_H_
#define QASINO_SERVICES_INGEST_UPDATED_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/table.pb.h"
#include "services/ingest/limits.h"
#include "services/pages/page_space.h"
#include "services/pages/row_writer.h"
#include "services/pages/table_pages.h"
#include "services/sqlite/database.h"
#include "services/tables/write_rows.h"

namespace qasino::ingest {

// The tables of a shard that had an `update`, in an SQLite database in memory: an update finds
// rows by an index of its key columns, which is made at the table's first update by these. Rows
// are never deleted, so that rowids are 1, 2, 3 and so on.
//
// What fails leaves all as it was; when it could not be undone, health() tells so for good. Used
// by one thread at a time.
class UpdatedTables {
 public:
  static absl::StatusOr<std::unique_ptr<UpdatedTables>> Open(const Limits& limits);

  // A publish, and what becomes of its table.
  struct Change {
    const v1::PublishRequest& publish;
    const std::string& name;  // the table's, in the case in which it was first seen
    // It is not here yet. `rows` is then a database that has a table of the same schema with the
    // rows that it has so far, or empty when there are none.
    bool is_new = false;
    std::string_view rows;
    // CREATE TABLE of it as it is from now on, when it is new or gets columns; else empty.
    std::string_view schema;
  };

  // Updates rows, and adds those that are not there. `room` is how many bytes the database may
  // take. RESOURCE_EXHAUSTED names the limit that it would pass.
  absl::StatusOr<tables::UpdateEffect> Update(const Change& change, int64_t room);

  // Adds rows to a table of so many columns that is here. `targets` as for RowWriter.
  absl::Status Insert(const Change& change, size_t columns,
                      std::span<const pages::RowWriter::Target> targets);

  // The rows of all tables as they are now, in memory of their own.
  class Rows {
   public:
    // Appends those of a table, as they are stored, to pages. RESOURCE_EXHAUSTED when the space
    // has no room.
    absl::Status AppendTo(pages::PageSpace& space, pages::TablePages& pages,
                          const std::string& name) const;

   private:
    friend class UpdatedTables;
    sqlite::Image file_;
    absl::flat_hash_map<std::string, uint32_t> roots_;  // by the table's name
  };
  absl::StatusOr<Rows> CopyRows();

  // What the database takes.
  int64_t bytes() const { return bytes_; }
  const absl::Status& health() const { return health_; }

 private:
  UpdatedTables(const Limits& limits, sqlite::Database database)
      : limits_(limits), database_(std::move(database)) {}

  absl::StatusOr<tables::UpdateEffect> ApplyUpdate(const Change& change);
  absl::Status InsertRows(const v1::Table& published, const std::string& name, size_t columns,
                          std::span<const pages::RowWriter::Target> targets);
  absl::StatusOr<sqlite::Statement*> PrepareInsert(const std::string& name, size_t columns);
  // Makes the table's definition `schema`, which has the same columns and then others.
  absl::Status WriteSchema(const std::string& name, std::string_view schema);
  // Ends the transaction of a change: for good, or, when it failed, as if it had never been.
  absl::Status End(const Change& change, const absl::Status& status);
  absl::Status LimitPages(int64_t pages);
  void Count();

  const Limits limits_;
  sqlite::Database database_;
  absl::Status health_;
  int64_t bytes_ = 0;
  // Declared behind the database, so that they go before it.
  absl::flat_hash_map<std::string, sqlite::Statement> inserts_;  // by the table's name
  sqlite::Statement page_count_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_UPDATED_TABLES_H_
