#ifndef QASINO_SERVICES_STORE_PUT_REQUEST_SCAN_H_
#define QASINO_SERVICES_STORE_PUT_REQUEST_SCAN_H_

#include "absl/status/status.h"
#include "services/store/shard_info.h"

namespace google::protobuf::io {
class ZeroCopyInputStream;
}

namespace qasino::store {

// Looks through a PutShardRequest as it came, without making it: an empty table or column
// is two bytes on the wire and a hundred in memory. OK when it has so few of them, and of
// fields that are not known here, that it may be parsed; it may still not parse.
// RESOURCE_EXHAUSTED names the limit, INVALID_ARGUMENT says that it is no such message.
// A pure function; linear in the message's size.
absl::Status ScanPutRequest(google::protobuf::io::ZeroCopyInputStream* message,
                            const ShardLimits& limits);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_PUT_REQUEST_SCAN_H_
