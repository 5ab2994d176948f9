#ifndef QASINO_SERVICES_STORE_TIMESTAMP_H_
#define QASINO_SERVICES_STORE_TIMESTAMP_H_

#include <google/protobuf/timestamp.pb.h>

#include "absl/time/time.h"

namespace qasino::store {

// Writes `time` as protobuf has it: the nanoseconds count forward, before 1970 too. Any
// thread.
void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_TIMESTAMP_H_
