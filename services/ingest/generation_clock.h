#ifndef QASINO_SERVICES_INGEST_GENERATION_CLOCK_H_
#define QASINO_SERVICES_INGEST_GENERATION_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"

namespace qasino::ingest {

// Which generation runs, and when it ends. Pure: it is told the time. A generation's number
// is the Unix second at which it began, a multiple of the duration, so that processes agree
// without talking; numbers only grow, whatever the clock does:
//
//   - The clock jumps ahead: the next generation is the one that the clock shows; those
//     between never were.
//   - The clock steps back by less than a generation: the running one lasts until the clock
//     is at its end, and numbers stay those of the clock.
//   - The clock steps back further: generations go on ending at multiples of the duration by
//     the new time, and each number is the last plus one duration.
//   - The clock stepped back while no process ran: the first number follows the newest one
//     that the store knows of, as after a step back.
//
// Not thread-safe.
class GenerationClock {
 public:
  // `duration` is whole seconds, at least one. `newest` is the newest generation that is known
  // of, 0 if none; when it is newer than the clock's, the first one here comes after it.
  GenerationClock(absl::Duration duration, absl::Time now, int64_t newest = 0);

  // The running generation; at least 1.
  int64_t current() const { return current_; }

  // When the running generation ends, by the clock as it was last shown.
  absl::Time end() const { return end_; }

  // True once the running generation is over. To be asked at least once a second, or a step
  // back is noticed late.
  bool Due(absl::Time now);

  // Goes on to the next generation.
  void Advance(absl::Time now);

 private:
  int64_t Floor(absl::Time now) const;
  void FindEnd(absl::Time now);

  int64_t duration_s_;
  int64_t current_;
  absl::Time end_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_GENERATION_CLOCK_H_
