#ifndef QASINO_TESTING_FUZZ_MEMORY_FILES_H_
#define QASINO_TESTING_FUZZ_MEMORY_FILES_H_

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "services/store/file_system.h"

namespace qasino::fuzz {

// Files in memory, because a disk's fsync takes longer than all the rest of a target. Folders
// are there where a path goes through them. Used by one thread.
class MemoryFiles : public store::FileSystem {
 public:
  // By path.
  std::map<std::string, std::shared_ptr<std::string>> files;

  absl::StatusOr<std::unique_ptr<store::WritableFile>> Create(const std::string& path) override {
    if (files.contains(path)) return absl::AlreadyExistsError(path);
    return std::make_unique<Writer>(files[path] = std::make_shared<std::string>());
  }

  absl::StatusOr<std::unique_ptr<store::ReadableFile>> Open(const std::string& path) override {
    const auto file = files.find(path);
    if (file == files.end()) return absl::NotFoundError(path);
    return std::make_unique<Reader>(file->second);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    const absl::Status linked = Link(from, to);
    if (linked.ok()) files.erase(from);
    return linked;
  }

  absl::Status Link(const std::string& from, const std::string& to) override {
    const auto file = files.find(from);
    if (file == files.end()) return absl::NotFoundError(from);
    files[to] = file->second;
    return absl::OkStatus();
  }

  absl::Status RemoveFile(const std::string& path) override {
    return files.erase(path) == 1 ? absl::OkStatus() : absl::NotFoundError(path);
  }

  absl::Status RemoveFolder(const std::string& /*path*/) override { return absl::OkStatus(); }
  absl::Status CreateFolder(const std::string& /*path*/) override { return absl::OkStatus(); }
  absl::Status SyncFolder(const std::string& /*path*/) override { return absl::OkStatus(); }

  absl::StatusOr<std::vector<store::FolderEntry>> List(const std::string& path) override {
    std::vector<store::FolderEntry> entries;
    for (const auto& [name, bytes] : files) {
      if (name.starts_with(path + "/") && name.find('/', path.size() + 1) == name.npos) {
        entries.push_back({.name = name.substr(path.size() + 1)});
      }
    }
    return entries;
  }

  absl::StatusOr<std::unique_ptr<store::FileLock>> Lock(const std::string& /*path*/) override {
    return std::make_unique<store::FileLock>();
  }

 private:
  class Writer : public store::WritableFile {
   public:
    explicit Writer(std::shared_ptr<std::string> bytes) : bytes_(std::move(bytes)) {}
    absl::Status Append(std::string_view bytes) override {
      bytes_->append(bytes);
      return absl::OkStatus();
    }
    absl::Status Sync() override { return absl::OkStatus(); }

   private:
    const std::shared_ptr<std::string> bytes_;
  };

  class Reader : public store::ReadableFile {
   public:
    explicit Reader(std::shared_ptr<const std::string> bytes) : bytes_(std::move(bytes)) {}
    absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t size, char* buffer) const override {
      if (offset >= bytes_->size()) return size_t{0};
      const size_t read = std::min<size_t>(size, bytes_->size() - offset);
      std::memcpy(buffer, bytes_->data() + offset, read);
      return read;
    }
    absl::StatusOr<uint64_t> Size() const override { return bytes_->size(); }

   private:
    const std::shared_ptr<const std::string> bytes_;
  };
};

}  // namespace qasino::fuzz

#endif  // QASINO_TESTING_FUZZ_MEMORY_FILES_H_
