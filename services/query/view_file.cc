#include "services/query/view_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/time/clock.h"
#include "services/server/log.h"

namespace qasino::query {
namespace {

constexpr char kPart[] = "query";
// A file that changed so short a time ago may change again without another time of change.
constexpr absl::Duration kUnsettled = absl::Milliseconds(100);

std::string FileName(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

absl::Status Failed(const char* doing) {
  return absl::UnavailableError(fmt::format("{}: {}", doing, std::strerror(errno)));
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  const int descriptor_;
};

}  // namespace

ViewFile::ViewFile(Options options) : options_(std::move(options)) {
  if (!options_.path.empty()) Read();
}

void ViewFile::Start(std::function<void()> changed) {
  changed_ = std::move(changed);
  if (!options_.path.empty()) thread_ = std::thread([this] { Run(); });
}

ViewFile::~ViewFile() { Stop(); }

void ViewFile::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const ViewSet> ViewFile::views() const {
  absl::MutexLock lock(&mutex_);
  return views_;
}

void ViewFile::Run() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), options_.poll)) return;
    }
    const Stamp stamp = StampOf(options_.path);
    const absl::Time changed = absl::FromUnixNanos(stamp_.changed_ns);
    const bool unsettled = stamp.inode != 0 && absl::Now() - changed < kUnsettled + options_.poll;
    if (stamp == stamp_ && !unsettled) continue;
    if (Read()) changed_();
  }
}

ViewFile::Stamp ViewFile::StampOf(const std::string& path) {
  struct stat found;
  if (::stat(path.c_str(), &found) != 0) return {};
  return {.changed_ns = int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec,
          .size = found.st_size,
          .inode = found.st_ino};
}

absl::StatusOr<std::string> ViewFile::Content() {
  // Without waiting, should it be a pipe.
  const File file(::open(options_.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return Failed("it cannot be opened");
  struct stat found;
  if (::fstat(file.get(), &found) != 0) return Failed("it cannot be read");
  if (!S_ISREG(found.st_mode)) return absl::UnavailableError("it is not a file");
  std::string content(kMaxViewsBytes + 1, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t got = ::read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("it cannot be read");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  content.resize(size);
  return content;
}

bool ViewFile::Read() {
  // Before the content, so that a change meanwhile is seen the next time.
  stamp_ = StampOf(options_.path);
  absl::StatusOr<std::string> content = Content();
  if (content.ok() && failure_.ok() && *content == content_) return false;
  absl::Status failure = content.status();
  if (content.ok()) {
    content_ = *std::move(content);
    absl::StatusOr<ViewSet> parsed = ParseViews(content_);
    failure = parsed.status();
    if (parsed.ok()) parsed_ = *std::move(parsed);
  }
  if (!failure.ok() && failure == failure_) return false;
  failure_ = std::move(failure);

  auto views = std::make_shared<ViewSet>(parsed_);
  const auto wrong = std::count_if(parsed_.begin(), parsed_.end(),
                                   [](const ViewDefinition& view) { return !view.error.empty(); });
  if (failure_.ok()) {
    log::Info(kPart, "views read",
              {{"file", options_.path}, {"views", parsed_.size() - wrong}, {"wrong", wrong}});
  } else {
    views->push_back({.name = FileName(options_.path), .error = std::string(failure_.message())});
    log::Warn(kPart, "the views could not be read, and stay as they were",
              {{"file", options_.path}, {"status", failure_}, {"views", parsed_.size() - wrong}});
  }
  absl::MutexLock lock(&mutex_);
  views_ = std::move(views);
  return true;
}

}  // namespace qasino::query
