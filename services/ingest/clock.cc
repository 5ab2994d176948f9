#include "services/ingest/clock.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace qasino::ingest {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }

  void Wait(absl::Mutex& mutex, absl::CondVar& changed, absl::Time deadline) override {
    // Never long: a clock that is set meanwhile is noticed within a second.
    const absl::Duration left = deadline - absl::Now();
    if (left > absl::ZeroDuration()) {
      changed.WaitWithTimeout(&mutex, std::min(left, absl::Seconds(1)));
    }
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock* const clock = new RealClock();
  return *clock;
}

}  // namespace qasino::ingest
