#ifndef QASINO_SERVICES_STORE_FILE_SYSTEM_H_
#define QASINO_SERVICES_STORE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

// The one seam between the store and its disk, so that tests can fail the disk.
//
// Errors of everything here name the path and the fault:
//   NOT_FOUND            there is no such file or folder
//   ALREADY_EXISTS       there is one already
//   RESOURCE_EXHAUSTED   the disk or a quota is full
//   INTERNAL             anything else
namespace qasino::store {

// A new file that is being written. Used by one thread at a time. The first failure
// stays: every later call gives it again, for what a failed write or sync left on
// the disk is unknown. Destroying it closes the file; it does not sync or remove it.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  // Writes all of `bytes` behind what is there.
  virtual absl::Status Append(std::string_view bytes) = 0;
  // The same for bytes that are in pieces, in their order.
  virtual absl::Status AppendPieces(absl::Span<const std::string_view> pieces) {
    absl::Status status;
    for (size_t i = 0; status.ok() && i < pieces.size(); ++i) status = Append(pieces[i]);
    return status;
  }
  // Returns when everything appended is on the disk.
  virtual absl::Status Sync() = 0;
};

// A file that is being read. It stays readable after its name is gone. Thread-safe.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Reads up to `size` bytes at `offset`; fewer only at the file's end.
  virtual absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t size, char* buffer) const = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

// Holds a lock until destroyed, or until the process ends in whatever way.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

struct FolderEntry {
  std::string name;
  bool is_folder = false;
};

// Thread-safe. Folders and paths are the caller's; links are not followed by List.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // Makes a file that does not exist yet.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) = 0;
  // Also takes the place of a file of the new name, at once and whole.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Gives a file a second name. Fails where the file system has no such links.
  virtual absl::Status Link(const std::string& from, const std::string& to) = 0;
  virtual absl::Status RemoveFile(const std::string& path) = 0;
  // An empty one.
  virtual absl::Status RemoveFolder(const std::string& path) = 0;
  // OK if it is there already. Its parent must exist.
  virtual absl::Status CreateFolder(const std::string& path) = 0;
  // Returns when the names in the folder are on the disk.
  virtual absl::Status SyncFolder(const std::string& path) = 0;
  // In no particular order.
  virtual absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) = 0;
  // Makes the file if need be. FAILED_PRECONDITION when someone else holds it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// The system's file system. Lives as long as the process.
FileSystem& PosixFileSystem();

// The whole of a small file. RESOURCE_EXHAUSTED when it is longer than `limit`.
absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path, size_t limit);

// Makes a folder and those above it, and syncs each folder in which a name is new. OK if it is
// there already.
absl::Status CreateFolders(FileSystem& files, const std::string& path);

// Removes a file or a folder with all that is in it.
absl::Status RemoveAll(FileSystem& files, const std::string& path, bool is_folder);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_FILE_SYSTEM_H_
