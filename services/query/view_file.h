#ifndef QASINO_SERVICES_QUERY_VIEW_FILE_H_
#define QASINO_SERVICES_QUERY_VIEW_FILE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/query/views.h"

namespace qasino::query {

// The views of a file that may change while the server runs. It is read when this is made,
// and from Start on again whenever its time of change, size or inode is another one.
//
// A file that cannot be read, or is no list of views, leaves the views as they were, and is
// an entry of its own among them, under the file's name without folders, whose error says
// why. Every reading is logged.
//
// One thread of its own looks at the file; all functions may be called from any thread.
//
//   ViewFile file({.path = path});
//   …                                // whoever uses file.views()
//   file.Start([…] { … });
class ViewFile {
 public:
  struct Options {
    // Empty: there are no views, and no thread.
    std::string path;
    absl::Duration poll = absl::Milliseconds(250);
  };

  explicit ViewFile(Options options);
  // Stops.
  ~ViewFile();
  ViewFile(const ViewFile&) = delete;
  ViewFile& operator=(const ViewFile&) = delete;

  // Begins to look at the file; `changed` is told after each change, on the file's thread.
  // Once.
  void Start(std::function<void()> changed);

  // The views as they were last read. Another set after each change.
  std::shared_ptr<const ViewSet> views() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the watch; the views stay. `changed` is not called any more when it returns. For one
  // thread at a time, and as often as liked; not from `changed`.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // What tells one content of the file from another. All zero: there is none.
  struct Stamp {
    int64_t changed_ns = 0;
    int64_t size = 0;
    uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
  };

  void Run();
  static Stamp StampOf(const std::string& path);
  // Reads the file and makes it the views. True when they are other ones than before.
  bool Read() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::string> Content();

  // Constant after construction, and after Start.
  const Options options_;
  std::function<void()> changed_;

  // The constructor's, then the thread's.
  Stamp stamp_;
  std::string content_;
  absl::Status failure_ = absl::UnknownError("not read yet");
  ViewSet parsed_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const ViewSet> views_ ABSL_GUARDED_BY(mutex_) = std::make_shared<ViewSet>();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_VIEW_FILE_H_
