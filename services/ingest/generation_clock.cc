#include "services/ingest/generation_clock.h"

#include <algorithm>

namespace qasino::ingest {

GenerationClock::GenerationClock(absl::Duration duration, absl::Time now, int64_t newest)
    : duration_s_(absl::ToInt64Seconds(duration)) {
  // Generation 0 is the empty snapshot's; a clock may well stand at 1970.
  current_ = std::max(Floor(now), duration_s_);
  // A newest one that was made with another duration may be no multiple of this one.
  if (newest > current_) current_ = newest - newest % duration_s_ + duration_s_;
  end_ = absl::FromUnixSeconds(current_ + duration_s_);
  FindEnd(now);
}

bool GenerationClock::Due(absl::Time now) {
  FindEnd(now);
  return now >= end_;
}

void GenerationClock::Advance(absl::Time now) {
  current_ = std::max(Floor(now), current_ + duration_s_);
  end_ = absl::FromUnixSeconds(current_ + duration_s_);
  FindEnd(now);
}

int64_t GenerationClock::Floor(absl::Time now) const {
  const int64_t second = absl::ToUnixSeconds(now);
  const int64_t past = second % duration_s_;
  return second - (past < 0 ? past + duration_s_ : past);
}

void GenerationClock::FindEnd(absl::Time now) {
  if (end_ - now > absl::Seconds(2 * duration_s_)) {
    end_ = absl::FromUnixSeconds(Floor(now) + duration_s_);
  }
}

}  // namespace qasino::ingest
