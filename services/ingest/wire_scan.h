#ifndef QASINO_SERVICES_INGEST_WIRE_SCAN_H_
#define QASINO_SERVICES_INGEST_WIRE_SCAN_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "services/ingest/limits.h"

namespace google::protobuf::io {
class ZeroCopyInputStream;
}

// What a message would take, found before anything is made of it: an empty column is two bytes
// on the wire and hundreds in memory.
//
//   const std::optional<WireSize> size = ScanPublishRequest(input, bytes);
//   if (!size.has_value()) ...        // not a PublishRequest
//   absl::Status status = CheckPublish(*size, limits);
//
// Pure functions; any thread. They take time linear in the bytes and no memory, whatever the
// bytes are, and do not go deeper with them.
namespace qasino::ingest {

struct WireSize {
  // Publishes of the message; 1 for a PublishRequest.
  int64_t publishes = 0;
  // Columns, and keycols, of the publish with the most.
  int64_t columns = 0;
  int64_t keycols = 0;
  // The bytes, and an upper estimate of what the parsed message takes beside them.
  int64_t memory = 0;
};

// Reads the `bytes` of `input`. Nothing when they cannot be such a message. One that passes may
// still not parse: texts are not looked at.
std::optional<WireSize> ScanPublishRequest(google::protobuf::io::ZeroCopyInputStream& input,
                                           int64_t bytes);
std::optional<WireSize> ScanPublishStreamRequest(google::protobuf::io::ZeroCopyInputStream& input,
                                                 int64_t bytes);

// RESOURCE_EXHAUSTED names the limit that the message is over: that of publishes, and that of
// memory.
absl::Status CheckMessage(const WireSize& size, const Limits& limits);

// The same for a publish alone, with its columns and keycols. In a message of many a publish
// with too many is refused by itself, after parsing; that of memory bounds them.
absl::Status CheckPublish(const WireSize& size, const Limits& limits);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_WIRE_SCAN_H_
