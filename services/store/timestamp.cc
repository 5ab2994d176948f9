#include "services/store/timestamp.h"

#include <cstdint>

namespace qasino::store {

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const absl::Duration since_epoch = time - absl::UnixEpoch();
  absl::Duration rest;
  int64_t seconds = absl::IDivDuration(since_epoch, absl::Seconds(1), &rest);
  if (rest < absl::ZeroDuration()) {
    --seconds;
    rest += absl::Seconds(1);
  }
  timestamp->set_seconds(seconds);
  timestamp->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

}  // namespace qasino::store
