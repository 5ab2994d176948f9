#ifndef QASINO_SERVICES_STORE_FAULTY_FILE_SYSTEM_H_
#define QASINO_SERVICES_STORE_FAULTY_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/store/file_system.h"

namespace qasino::store {

// The system's file system, with faults that a test puts in. Thread-safe.
class FaultyFileSystem : public FileSystem {
 public:
  enum class Operation {
    kCreate,
    kAppend,
    kSync,
    kRename,
    kLink,
    kRemove,
    kCreateFolder,
    kSyncFolder,
  };

  // From now on the operation fails on paths that contain `part`. An Append that
  // fails writes half of its bytes first, as a full disk does.
  void Fail(Operation operation, const std::string& part, const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    faults_.push_back({operation, part, status});
  }

  // No more faults; files that have failed stay as they are.
  void Heal() {
    absl::MutexLock lock(&mutex_);
    faults_.clear();
  }

  // How often the operation was tried so far, wherever.
  int64_t Count(Operation operation) const {
    absl::MutexLock lock(&mutex_);
    const auto count = counts_.find(operation);
    return count == counts_.end() ? 0 : count->second;
  }

  absl::Status Check(Operation operation, const std::string& path) {
    absl::MutexLock lock(&mutex_);
    ++counts_[operation];
    for (const Fault& fault : faults_) {
      if (fault.operation == operation && absl::StrContains(path, fault.part)) {
        return absl::Status(fault.status.code(),
                            absl::StrCat(std::string(fault.status.message()), " '", path, "'"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    if (absl::Status status = Check(Operation::kCreate, path); !status.ok()) return status;
    auto file = real_.Create(path);
    if (!file.ok()) return file.status();
    return std::make_unique<File>(this, path, *std::move(file));
  }
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    return real_.Open(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    absl::Status status = Check(Operation::kRename, to);
    return status.ok() ? real_.Rename(from, to) : status;
  }
  absl::Status Link(const std::string& from, const std::string& to) override {
    absl::Status status = Check(Operation::kLink, to);
    return status.ok() ? real_.Link(from, to) : status;
  }
  absl::Status RemoveFile(const std::string& path) override {
    absl::Status status = Check(Operation::kRemove, path);
    return status.ok() ? real_.RemoveFile(path) : status;
  }
  absl::Status RemoveFolder(const std::string& path) override {
    absl::Status status = Check(Operation::kRemove, path);
    return status.ok() ? real_.RemoveFolder(path) : status;
  }
  absl::Status CreateFolder(const std::string& path) override {
    absl::Status status = Check(Operation::kCreateFolder, path);
    return status.ok() ? real_.CreateFolder(path) : status;
  }
  absl::Status SyncFolder(const std::string& path) override {
    absl::Status status = Check(Operation::kSyncFolder, path);
    return status.ok() ? real_.SyncFolder(path) : status;
  }
  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    return real_.List(path);
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    return real_.Lock(path);
  }

 private:
  struct Fault {
    Operation operation;
    std::string part;
    absl::Status status;
  };

  class File : public WritableFile {
   public:
    File(FaultyFileSystem* files, std::string path, std::unique_ptr<WritableFile> real)
        : files_(files), path_(std::move(path)), real_(std::move(real)) {}

    absl::Status Append(std::string_view bytes) override {
      if (!status_.ok()) return status_;
      status_ = files_->Check(Operation::kAppend, path_);
      const absl::Status written =
          real_->Append(status_.ok() ? bytes : bytes.substr(0, bytes.size() / 2));
      if (status_.ok()) status_ = written;
      return status_;
    }
    absl::Status Sync() override {
      if (status_.ok()) status_ = files_->Check(Operation::kSync, path_);
      if (status_.ok()) status_ = real_->Sync();
      return status_;
    }

   private:
    FaultyFileSystem* const files_;
    const std::string path_;
    const std::unique_ptr<WritableFile> real_;
    absl::Status status_;
  };

  FileSystem& real_ = PosixFileSystem();
  mutable absl::Mutex mutex_;
  std::vector<Fault> faults_ ABSL_GUARDED_BY(mutex_);
  std::map<Operation, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_FAULTY_FILE_SYSTEM_H_
