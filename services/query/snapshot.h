#ifndef QASINO_SERVICES_QUERY_SNAPSHOT_H_
#define QASINO_SERVICES_QUERY_SNAPSHOT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/query.pb.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/merge/snapshot_builder.h"
#include "services/query/sandbox.h"
#include "services/query/views.h"
#include "services/sqlite/database.h"

namespace qasino::query {

using merge::ServerFacts;
using merge::ShardImage;

// One snapshot, ready for SQL: the tables of all its shards merged, and the internal
// tables about the whole. Immutable; all functions may be called from any thread.
//
// The shards' bytes are read where they lie, by any number of connections. Only what
// must be converted or cannot be attached is copied, once, when the snapshot is built.
// The views that can be used on it are on every connection, in the temp schema.
//
// A query holds a Connection, which keeps the snapshot alive; the last one to let go
// frees it.
class Snapshot : public std::enable_shared_from_this<Snapshot> {
 public:
  // The shards are those of the manifest, in its order. DATA_LOSS when one cannot be
  // read. Takes time in proportion to what must be copied. The views of the facts are those
  // of `views`, as they are on this snapshot; null: there are none.
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Build(
      const v1::Manifest& manifest, std::vector<std::shared_ptr<const ShardImage>> shards,
      ServerFacts facts, std::shared_ptr<const ViewSet> views = nullptr,
      merge::InternalTables internal = merge::InternalTables::kFilled);

  // Its alone among all snapshots of this process.
  uint64_t id() const { return id_; }
  const v1::SnapshotInfo& info() const { return info_; }
  // What it was built from.
  const v1::Manifest& manifest() const { return manifest_; }
  const std::shared_ptr<const ViewSet>& views() const { return views_; }
  // Views that can be used, and that cannot.
  int64_t views_loaded() const { return static_cast<int64_t>(create_views_.size()); }
  int64_t views_failed() const { return views_failed_; }
  const std::vector<std::shared_ptr<const ShardImage>>& shards() const { return shards_; }
  // What could not be merged as it should, in words; only the tables named are affected.
  const std::vector<std::string>& faults() const { return faults_; }
  // Bytes of the shards and of what was built beside them.
  int64_t size_bytes() const;

  // A connection lent to one query; given back for the next one when destroyed. Must not
  // outlive statements prepared on it. Used by one thread at a time.
  class Connection {
   public:
    Connection(std::shared_ptr<const Snapshot> snapshot, std::unique_ptr<Sandbox> sandbox);
    ~Connection();
    Connection(Connection&&) = default;
    Connection& operator=(Connection&&) = delete;

    const Snapshot& snapshot() const { return *snapshot_; }
    Sandbox& sandbox() { return *sandbox_; }
    const Sandbox& sandbox() const { return *sandbox_; }

   private:
    std::shared_ptr<const Snapshot> snapshot_;
    std::unique_ptr<Sandbox> sandbox_;
  };

  // Lends an idle connection, or opens one.
  absl::StatusOr<Connection> Connect() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Snapshot() = default;
  absl::StatusOr<std::unique_ptr<Sandbox>> Open() const;

  // Constant after Build.
  uint64_t id_ = 0;
  v1::SnapshotInfo info_;
  v1::Manifest manifest_;
  std::vector<std::string> faults_;
  std::vector<std::shared_ptr<const ShardImage>> shards_;
  // The internal tables, and the merged tables that had to be copied.
  sqlite::Image main_;
  // Which shards a connection attaches, by index.
  std::vector<int> attached_;
  // CREATE TEMP VIEW statements of tables that several shards have.
  std::string merged_tables_;
  std::shared_ptr<const ViewSet> views_;
  // CREATE TEMP VIEW statements of the views that can be used, each to be executed alone.
  std::vector<std::string> create_views_;
  int64_t views_failed_ = 0;

  mutable absl::Mutex mutex_;
  mutable std::vector<std::unique_ptr<Sandbox>> idle_ ABSL_GUARDED_BY(mutex_);
};

// Called once with a snapshot that was asked for, or with why there is none: at once or later,
// on any thread. It does not block.
using SnapshotFound = std::function<void(absl::StatusOr<std::shared_ptr<const Snapshot>>)>;

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SNAPSHOT_H_
