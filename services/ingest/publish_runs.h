#ifndef QASINO_SERVICES_INGEST_PUBLISH_RUNS_H_
#define QASINO_SERVICES_INGEST_PUBLISH_RUNS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/pages/page_space.h"
#include "services/pages/table_pages.h"

namespace qasino::ingest {

// Who published what into a shard: which runs of rows came from whom. In memory, until it is
// written as the shard's table qasino_server_publishes, with a row for each run.
//
// A table and identity have one run, unless the table is updated: rows that updates add then
// extend the pair's last run where they follow it, and make a new one where they do not. An
// update that adds none counts with the pair's last run.
//
// Tables are numbered by who uses it; identities here. Used by one thread at a time.
class PublishRuns {
 public:
  using TableName = absl::FunctionRef<std::string_view(uint32_t table)>;

  static constexpr std::string_view kTable = "qasino_server_publishes";
  static constexpr std::string_view kSchema =
      "CREATE TABLE qasino_server_publishes"
      "(tablename TEXT, identity TEXT, first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
      "last_update_epoch REAL)";

  // What a publish takes at the most, here and in the table.
  static int64_t BytesOf(std::string_view identity, std::string_view table);

  // The identity's number, if it has published.
  std::optional<uint32_t> Find(const std::string& identity) const;
  int64_t identities() const { return static_cast<int64_t>(identities_.size()); }

  // The identity of that number has published the table.
  bool Contains(uint32_t table, uint32_t identity) const {
    return published_.contains(Key(table, identity));
  }

  // From now on a pair may publish more than once.
  void BeginUpdates();

  // Rows from `first_rowid` on, if there are some, extend the pair's last run; where it has
  // none they do not. After BeginUpdates.
  bool Extends(uint32_t table, uint32_t identity, int64_t first_rowid) const;

  // Adds a publish that counts; its rows are those from `first_rowid` on. `number` is what Find
  // said. True: it made a new run, which takes BytesOf.
  bool Add(uint32_t table, std::optional<uint32_t> number, const std::string& identity,
           int64_t first_rowid, int64_t rows, absl::Time now);

  // Appends all runs to the table's pages. RESOURCE_EXHAUSTED when the space has no room.
  absl::Status AppendTo(pages::PageSpace& space, pages::TablePages& pages,
                        TableName table_name) const;

 private:
  struct Run {
    uint32_t table;
    uint32_t identity;
    int64_t first_rowid;
    int64_t rows;
    absl::Time time;  // of the last publish
    int32_t publishes = 1;
  };

  static uint64_t Key(uint32_t table, uint32_t identity) {
    return (uint64_t{table} << 32) | identity;
  }

  absl::flat_hash_map<std::string, uint32_t> identities_;  // numbered from 0
  absl::flat_hash_set<uint64_t> published_;
  std::vector<Run> runs_;
  bool updates_ = false;
  // Each pair's last run; kept once there are updates.
  absl::flat_hash_map<uint64_t, size_t> last_runs_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_PUBLISH_RUNS_H_
