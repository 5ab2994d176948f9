#ifndef QASINO_SERVICES_STORE_BYTE_BUDGET_H_
#define QASINO_SERVICES_STORE_BYTE_BUDGET_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace qasino::store {

// Bytes that may wait at a time. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t limit) : limit_(limit) {}

  // RESOURCE_EXHAUSTED, and nothing is taken, when it would be too much: for good, or while
  // others have what there is.
  absl::Status Take(int64_t bytes) {
    if (bytes > limit_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the message takes about ", bytes, " bytes of memory, over the limit of ", limit_));
    }
    absl::MutexLock lock(&mutex_);
    if (bytes > limit_ - taken_) {
      return absl::ResourceExhaustedError(absl::StrCat("changes of tables that take ", taken_,
                                                       " bytes of memory wait already, and ",
                                                       limit_, " is the limit; try again"));
    }
    taken_ += bytes;
    return absl::OkStatus();
  }

  // What was taken.
  void Give(int64_t bytes) {
    absl::MutexLock lock(&mutex_);
    taken_ -= bytes;
  }

 private:
  const int64_t limit_;
  absl::Mutex mutex_;
  int64_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_BYTE_BUDGET_H_
