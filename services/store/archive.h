#ifndef QASINO_SERVICES_STORE_ARCHIVE_H_
#define QASINO_SERVICES_STORE_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/merge/snapshot_builder.h"
#include "services/store/file_system.h"

namespace qasino::store {

// Keeps snapshots for good: each generation's is one ordinary SQLite database,
// <generation>.sqlite, with the merged tables and the internal ones. Its revision is the
// file's PRAGMA user_version. Nothing here is ever removed.
//
// A folder is the archive of one store. A file is written as .<generation>.sqlite.tmp,
// synced, and renamed, and the folder synced; so what has a database's name is whole.
//
// Used by one thread at a time, but for Revision.
class Archive {
 public:
  // Makes the folder and those above it if need be, and removes what an earlier run left
  // unfinished. `identity` stands for the server in snapshots that no ingest process had a
  // part in. `files` must outlive it. Errors are those of the file system.
  static absl::StatusOr<std::unique_ptr<Archive>> Open(const std::string& folder,
                                                       const std::string& identity,
                                                       FileSystem* files);

  // Returns when the snapshot is on the disk. The shards are those of the manifest, in its
  // order. A file of the generation is replaced by a newer revision; else it stays, and that
  // is OK. Takes memory for the whole snapshot meanwhile. A failure leaves what was there
  // before, and trying again does no harm:
  //   DATA_LOSS           a shard cannot be read
  //   RESOURCE_EXHAUSTED  the disk is full, or there is no memory
  //   INTERNAL            the disk failed
  absl::Status Write(const v1::Manifest& manifest,
                     const std::vector<std::shared_ptr<const merge::ShardImage>>& shards);

  // The revision of the generation's file; -1 when there is none, or it is none of ours.
  // Thread-safe. Errors are those of the file system.
  absl::StatusOr<int64_t> Revision(int64_t generation) const;

 private:
  Archive(const std::string& folder, const std::string& identity, FileSystem* files);

  absl::Status RemoveUnfinished();
  std::string PathOf(int64_t generation) const;
  absl::Status WriteFile(const std::string& path, std::string_view image, int64_t revision);
  absl::Status SyncFolder();

  const std::string folder_;
  const std::string identity_;
  FileSystem* const files_;
  // The names in the folder are on the disk.
  bool is_synced_ = false;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_ARCHIVE_H_
