#ifndef QASINO_SERVICES_STORE_ARCHIVER_H_
#define QASINO_SERVICES_STORE_ARCHIVER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/store/archive.h"
#include "services/store/catalogue.h"
#include "services/store/data_folder.h"
#include "services/store/store_metrics.h"

namespace qasino::store {

// Archives snapshots one after another, on a thread of its own, so that nothing waits for
// it. While one is written it is in memory, its shards and the whole.
//
// What could not be archived is tried again when the next snapshot comes; when too many
// wait, the oldest is dropped, logged and counted. What waits when the process dies is not
// archived by it; but what the store still holds then comes again after the restart, however
// many they are.
//
// Thread-safe. The file system, the folder and the metrics must outlive it.
class Archiver {
 public:
  // Makes the folder if need be. `identity` is as Archive::Open has it.
  static absl::StatusOr<std::unique_ptr<Archiver>> Create(const std::string& archive_dir,
                                                          const std::string& identity,
                                                          FileSystem* files, DataFolder* folder,
                                                          StoreMetrics* metrics);
  // Lets go of what waits.
  ~Archiver();
  Archiver(const Archiver&) = delete;
  Archiver& operator=(const Archiver&) = delete;

  // Whether the folder has that generation's file, of that revision or a later one.
  bool Has(int64_t generation, int64_t revision) const;

  // Has a snapshot archived; a newer revision takes the place of an older one that waits.
  // Its shards are opened now, so it may be retired at once. Never waits for the archive.
  void Add(const Catalogue::ManifestPtr& manifest);

  // Has these archived while nothing else waits, in their order. They do not count among those
  // that wait, and their shards are opened only then: one that is retired by then is lost.
  void AddMissing(const std::vector<Catalogue::ManifestPtr>& manifests);

  // Waits until nothing is left to be tried, and at the deadline, of the machine's clock,
  // logs what is left and gives it up.
  void Finish(absl::Time deadline);

 private:
  struct Snapshot {
    Catalogue::ManifestPtr manifest;
    std::vector<std::unique_ptr<ReadableFile>> files;  // of its shards, in their order
  };
  using SnapshotPtr = std::shared_ptr<const Snapshot>;

  Archiver(std::unique_ptr<Archive> archive, DataFolder* folder, StoreMetrics* metrics);

  // The manifest with its shards opened; null, logged and counted, where that fails.
  SnapshotPtr Open(const Catalogue::ManifestPtr& manifest);
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() || (!missing_.empty() && !missing_failed_);
  }
  void Work();
  absl::Status Write(const Snapshot& snapshot);

  const std::unique_ptr<Archive> archive_;
  DataFolder* const folder_;
  StoreMetrics* const metrics_;

  absl::Mutex mutex_;
  std::deque<SnapshotPtr> waiting_ ABSL_GUARDED_BY(mutex_);
  // Those that failed since the last Add; they are behind it in no particular order.
  std::deque<SnapshotPtr> failed_ ABSL_GUARDED_BY(mutex_);
  std::deque<Catalogue::ManifestPtr> missing_ ABSL_GUARDED_BY(mutex_);
  // One of those failed since the last Add; it is the last of them.
  bool missing_failed_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_ARCHIVER_H_
