#ifndef QASINO_SERVICES_STORE_DATA_FOLDER_H_
#define QASINO_SERVICES_STORE_DATA_FOLDER_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/store/checksum.h"
#include "services/store/failpoints.h"
#include "services/store/file_system.h"
#include "services/store/shard_info.h"

namespace qasino::store {

class DataFolder;

// A shard on its way in: a file in incoming/ that grows. Used by one thread at a
// time. Destroyed without being committed, it removes the file.
class IncomingShard {
 public:
  ~IncomingShard();
  IncomingShard(const IncomingShard&) = delete;
  IncomingShard& operator=(const IncomingShard&) = delete;

  const v1::ShardInfo& info() const { return info_; }
  uint64_t size() const { return size_; }

  // Writes the bytes that follow, which are these pieces one after another. INVALID_ARGUMENT
  // when they are more than the info says, and nothing of them is written.
  absl::Status Append(absl::Span<const std::string_view> pieces);
  absl::Status Append(std::string_view bytes) { return Append(absl::MakeConstSpan(&bytes, 1)); }

  // Checks size and checksum and brings the file onto the disk. INVALID_ARGUMENT:
  // too few bytes; DATA_LOSS: another checksum. Call it once, after all bytes.
  absl::Status Finish();

 private:
  friend class DataFolder;
  IncomingShard(DataFolder* folder, v1::ShardInfo info, std::string path,
                std::unique_ptr<WritableFile> file);

  DataFolder* const folder_;
  const v1::ShardInfo info_;
  const std::string path_;
  std::unique_ptr<WritableFile> file_;  // null once finished
  Checksum checksum_;
  uint64_t size_ = 0;
  bool committed_ = false;
};

// The store's files:
//   lock                                    held by the store that uses the folder
//   store-id                                32 hexadecimal digits, XXH3 of them
//   generations/<generation>/manifest       what the generation is
//   generations/<generation>/<shard_id>.sqlite        a shard that came in
//   generations/<generation>/<shard_id>.made.sqlite   one that the store made
//   tables.journal                          see table_journal.h
//   incoming/                               what is not finished, or is going
//   incoming/<generation>-<shard_id>.commit a shard that is in its place, and that no
//                                           manifest may name yet
//   damaged/                                what start-up found and could not use
// A manifest file is 8 bytes "QASINOM1", the length of the message in 8 bytes with
// the least first, the Manifest, and XXH3 of all that in 8 bytes. One with revision 0
// is of a generation that still waits for shards.
//
// What must last is written in incoming/, synced, renamed to its place, and the
// folder synced; so a crash leaves the old or the new, and files in incoming/, which
// start-up removes. A shard that the store made may lie in several generations, by
// links to one file. One that no manifest names, and one that came in and is noted in
// incoming/, is a crash's leftover, and removed; nobody was told that it is here.
// Nothing else is ever deleted that was not retired. Generation 0 is the snapshot
// before the first, when there are static tables.
//
// Failures: a file that could not be written or synced is given up, and a later
// attempt writes a new one. A folder that could not be synced is another matter, for
// nobody can say then what a crash would leave: everything that writes is refused
// from then on, until a restart has read anew what is there.
//
// Thread-safe, but for what changes generations/ (CommitShard, DiscardShard, PutMade,
// RemoveMade, WriteManifest, Retire): one thread at a time.
class DataFolder {
 public:
  struct Recovered {
    v1::Manifest manifest;          // without the shards that are lost
    std::vector<std::string> lost;  // the identities of those that had come in
    bool made_lost = false;         // one that the store had made is lost
  };

  // Makes the folder if need be, locks it, and recovers: reads and verifies every
  // byte of what is held (so it takes as long as the disk takes to read that), and
  // moves to damaged/ what is not whole, each with a line in the log. So it does with
  // generations after `latest`: no clock is so wrong, and they would be the newest for
  // as long. FAILED_PRECONDITION: another store uses the folder. `files` must outlive
  // this.
  static absl::StatusOr<std::unique_ptr<DataFolder>> Open(
      const std::string& path, FileSystem* files, const ShardLimits& limits,
      int64_t latest = std::numeric_limits<int64_t>::max());

  const std::string& path() const { return path_; }
  const std::string& store_id() const { return store_id_; }

  // What Open found, oldest generation first. Call it once.
  std::vector<Recovered> TakeRecovered() { return std::move(recovered_); }

  // OK, or the failure after which nothing is written until a restart.
  absl::Status Writable() const;

  // Begins a shard whose info is checked.
  absl::StatusOr<std::unique_ptr<IncomingShard>> NewShard(const v1::ShardInfo& info);

  // Puts a finished shard in its place. It counts once a manifest names it.
  absl::Status CommitShard(IncomingShard& shard);

  // Takes a committed shard back that no manifest came to name.
  void DiscardShard(const v1::ShardInfo& info);

  // Puts a shard that the store made, with these bytes, into a generation. If `other` is a
  // generation that has the same shard, its file serves both where the file system can do
  // that. It counts once a manifest names it. One that is there already is written anew.
  absl::Status PutMade(int64_t generation, const v1::ShardInfo& info, std::string_view bytes,
                       std::optional<int64_t> other);

  // Removes it from that generation, whose manifest does not name it.
  void RemoveMade(int64_t generation, const v1::ShardInfo& info);

  // Replaces its generation's manifest.
  absl::Status WriteManifest(const v1::Manifest& manifest);

  // Removes a generation. Files that are being read stay readable.
  absl::Status Retire(int64_t generation);

  // NOT_FOUND when it was just retired.
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenShard(int64_t generation,
                                                          const v1::ShardInfo& info) const;

  // Where a shard's file is.
  std::string ShardPath(int64_t generation, const v1::ShardInfo& info) const;

  // Writes, syncs and removes a small file: whether the disk takes something.
  absl::Status Probe();

 private:
  friend class IncomingShard;
  DataFolder(std::string path, FileSystem* files);

  absl::Status Recover(const ShardLimits& limits, int64_t latest);
  absl::Status RecoverGeneration(const std::string& name, const ShardLimits& limits);
  absl::StatusOr<v1::Manifest> ReadManifest(int64_t generation, const ShardLimits& limits) const;
  absl::Status CheckShardFile(int64_t generation, const v1::ShardInfo& info) const;
  absl::Status RecoverStoreId();
  absl::StatusOr<std::string> StoreIdOfManifests() const;

  std::string NotePath(int64_t generation, const std::string& shard_id) const;
  absl::Status Note(int64_t generation, const std::string& shard_id);
  // The shard, or all shards of the generation, are no leftovers if a crash comes.
  void RemoveNote(int64_t generation, const std::string& shard_id);
  void RemoveNotes(int64_t generation);
  // A crash left the file before a manifest came to name it.
  bool IsLeftover(int64_t generation, const FolderEntry& entry) const;

  // Moves a file or folder, given below path_, to damaged/, and says why.
  absl::Status SetAside(const std::string& name, const absl::Status& fault);
  // Writes a file whole and syncs it under a name in incoming/, then moves it.
  absl::Status Replace(const std::string& folder, const std::string& name, std::string_view bytes,
                       const FileSteps& steps);
  absl::Status CreateGeneration(int64_t generation);
  absl::Status SyncFolder(const std::string& folder);

  std::string IncomingPath();
  std::string GenerationPath(int64_t generation) const;

  const std::string path_;
  FileSystem* const files_;
  std::unique_ptr<FileLock> lock_;
  std::string store_id_;
  std::vector<Recovered> recovered_;
  // At recovery, the names in incoming/.
  std::set<std::string> unfinished_;
  // By generation, the shards that are noted.
  std::map<int64_t, std::set<std::string>> notes_;
  std::atomic<uint64_t> next_incoming_{1};

  mutable absl::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_DATA_FOLDER_H_
