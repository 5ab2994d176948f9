#ifndef QASINO_SERVICES_INGEST_FAKE_CLOCK_H_
#define QASINO_SERVICES_INGEST_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/ingest/clock.h"

namespace qasino::ingest {

// A clock that stands still until a test sets it. Thread-safe.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time now) : now_(now) {}

  absl::Time Now() const override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }

  void Set(absl::Time now) {
    absl::MutexLock lock(&mutex_);
    now_ = now;
  }

  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
  }

  // A waiter looks at the clock every few milliseconds of real time, so that Set needs to
  // know nobody.
  void Wait(absl::Mutex& mutex, absl::CondVar& changed, absl::Time) override {
    changed.WaitWithTimeout(&mutex, absl::Milliseconds(2));
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_FAKE_CLOCK_H_
