#ifndef QASINO_SERVICES_INGEST_CLOCK_H_
#define QASINO_SERVICES_INGEST_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace qasino::ingest {

// The wall clock, so that a test can step it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  virtual absl::Time Now() const = 0;

  // Waits, with `mutex` released meanwhile, until `changed` is signalled or the clock shows
  // `deadline`. May return earlier: the caller looks again at what it waits for.
  virtual void Wait(absl::Mutex& mutex, absl::CondVar& changed, absl::Time deadline)
      ABSL_SHARED_LOCKS_REQUIRED(mutex) = 0;

  // The machine's clock. Lives for ever.
  static Clock& Real();
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_CLOCK_H_
