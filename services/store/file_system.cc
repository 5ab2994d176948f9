#include "services/store/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace qasino::store {
namespace {

// Dirty bytes after which the kernel is asked to begin writing, so that the sync at
// a large file's end is short: it waits for the disk to take the last of them.
constexpr uint64_t kWriteBehindBytes = 2 << 20;

// Written by one call.
constexpr size_t kMostPieces = 256;
static_assert(kMostPieces <= IOV_MAX);

absl::Status ErrnoStatus(int error, const std::string& doing, const std::string& path) {
  const std::string message =
      absl::StrCat("cannot ", doing, " '", path, "': ", std::strerror(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

// Calls again what a signal interrupted.
template <typename Call>
auto Retry(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  absl::Status Append(std::string_view bytes) override {
    return AppendPieces(absl::MakeConstSpan(&bytes, 1));
  }

  absl::Status AppendPieces(absl::Span<const std::string_view> pieces) override {
    std::array<iovec, kMostPieces> vectors;
    while (status_.ok() && !pieces.empty()) {
      const size_t count = std::min(pieces.size(), vectors.size());
      for (size_t i = 0; i < count; ++i) {
        vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
      }
      Write({vectors.data(), count});
      pieces.remove_prefix(count);
    }
    if (status_.ok() && size_ - begun_ >= kWriteBehindBytes) {
      // Only a hint: what goes wrong here, Sync reports.
      ::sync_file_range(fd_.get(), static_cast<off64_t>(begun_),
                        static_cast<off64_t>(size_ - begun_), SYNC_FILE_RANGE_WRITE);
      begun_ = size_;
    }
    return status_;
  }

  absl::Status Sync() override {
    if (status_.ok() && Retry([&] { return ::fsync(fd_.get()); }) != 0) {
      status_ = ErrnoStatus(errno, "sync", path_);
    }
    return status_;
  }

 private:
  // Changes the vectors when not all is written at once.
  void Write(absl::Span<iovec> vectors) {
    while (!vectors.empty()) {
      if (vectors.front().iov_len == 0) {
        vectors.remove_prefix(1);
        continue;
      }
      const ssize_t result = Retry(
          [&] { return ::writev(fd_.get(), vectors.data(), static_cast<int>(vectors.size())); });
      if (result < 0) {
        status_ = ErrnoStatus(errno, "write", path_);
        return;
      }
      auto written = static_cast<size_t>(result);
      size_ += written;
      while (written > 0) {
        iovec& first = vectors.front();
        const size_t of_first = std::min(written, first.iov_len);
        first.iov_base = static_cast<char*>(first.iov_base) + of_first;
        first.iov_len -= of_first;
        written -= of_first;
        if (first.iov_len == 0) vectors.remove_prefix(1);
      }
    }
  }

  const Descriptor fd_;
  const std::string path_;
  uint64_t size_ = 0;
  uint64_t begun_ = 0;
  absl::Status status_;
};

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t size, char* buffer) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = Retry([&] {
        return ::pread(fd_.get(), buffer + done, size - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return ErrnoStatus(errno, "read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  absl::StatusOr<uint64_t> Size() const override {
    struct stat info;
    if (::fstat(fd_.get(), &info) != 0) return ErrnoStatus(errno, "read the size of", path_);
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  const Descriptor fd_;
  const std::string path_;
};

class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(int fd) : fd_(fd) {}

 private:
  const Descriptor fd_;
};

class Posix : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    const int fd =
        Retry([&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640); });
    if (fd < 0) return ErrnoStatus(errno, "create", path);
    return std::make_unique<PosixWritableFile>(fd, path);
  }

  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    // Not blocking: a pipe in the file's place must not hold the store up.
    const int fd = Retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    auto file = std::make_unique<PosixReadableFile>(fd, path);
    struct stat info;
    if (::fstat(fd, &info) != 0) return ErrnoStatus(errno, "open", path);
    if (!S_ISREG(info.st_mode)) {
      return absl::InternalError(absl::StrCat("cannot open '", path, "': not an ordinary file"));
    }
    return file;
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("rename '", from, "' to"), to);
    }
    return absl::OkStatus();
  }

  absl::Status Link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("link '", from, "' to"), to);
    }
    return absl::OkStatus();
  }

  absl::Status RemoveFile(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, "remove", path);
    return absl::OkStatus();
  }

  absl::Status RemoveFolder(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return ErrnoStatus(errno, "remove folder", path);
    return absl::OkStatus();
  }

  absl::Status CreateFolder(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) == 0) return absl::OkStatus();
    const int error = errno;
    struct stat info;
    if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return absl::OkStatus();
    }
    return ErrnoStatus(error, "create folder", path);
  }

  absl::Status SyncFolder(const std::string& path) override {
    const Descriptor folder(
        Retry([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
    if (folder.get() < 0) return ErrnoStatus(errno, "open folder", path);
    if (Retry([&] { return ::fsync(folder.get()); }) != 0) {
      return ErrnoStatus(errno, "sync folder", path);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<FolderEntry>> List(const std::string& path) override {
    DIR* const folder = ::opendir(path.c_str());
    if (folder == nullptr) return ErrnoStatus(errno, "list folder", path);
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(folder, &::closedir);
    std::vector<FolderEntry> entries;
    while (true) {
      errno = 0;
      const dirent* const entry = ::readdir(folder);
      if (entry == nullptr) break;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat info;
      if (::fstatat(::dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return ErrnoStatus(errno, "list", absl::StrCat(path, "/", name));
      }
      entries.push_back({.name = name, .is_folder = S_ISDIR(info.st_mode)});
    }
    if (errno != 0) return ErrnoStatus(errno, "list folder", path);
    return entries;
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    const int fd = Retry([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640); });
    if (fd < 0) return ErrnoStatus(errno, "open", path);
    auto lock = std::make_unique<PosixFileLock>(fd);
    if (Retry([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return lock;
    if (errno == EWOULDBLOCK) {
      return absl::FailedPreconditionError(absl::StrCat("'", path, "' is locked by someone else"));
    }
    return ErrnoStatus(errno, "lock", path);
  }
};

}  // namespace

FileSystem& PosixFileSystem() {
  static Posix* const files = new Posix;
  return *files;
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem& files, const std::string& path,
                                          size_t limit) {
  const auto file = files.Open(path);
  if (!file.ok()) return file.status();
  const auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size > limit) {
    return absl::ResourceExhaustedError(
        absl::StrCat("'", path, "' has ", *size, " bytes, more than the ", limit, " it may have"));
  }
  std::string bytes(*size, '\0');
  const auto got = (*file)->ReadAt(0, bytes.size(), bytes.data());
  if (!got.ok()) return got.status();
  bytes.resize(*got);
  return bytes;
}

absl::Status RemoveAll(FileSystem& files, const std::string& path, bool is_folder) {
  if (!is_folder) return files.RemoveFile(path);
  const auto entries = files.List(path);
  if (!entries.ok()) return entries.status();
  for (const FolderEntry& entry : *entries) {
    const absl::Status removed =
        RemoveAll(files, absl::StrCat(path, "/", entry.name), entry.is_folder);
    if (!removed.ok()) return removed;
  }
  return files.RemoveFolder(path);
}

absl::Status CreateFolders(FileSystem& files, const std::string& path) {
  if (const auto there = files.List(path); !absl::IsNotFound(there.status())) {
    return there.status();
  }
  const size_t slash = path.find_last_of('/');
  const std::string parent = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                                        : path.substr(0, slash);
  absl::Status status = CreateFolders(files, parent);
  if (status.ok()) status = files.CreateFolder(path);
  if (status.ok()) status = files.SyncFolder(parent);
  return status;
}

}  // namespace qasino::store
