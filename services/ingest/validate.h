#ifndef QASINO_SERVICES_INGEST_VALIDATE_H_
#define QASINO_SERVICES_INGEST_VALIDATE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "qasino/v1/ingest.pb.h"
#include "services/ingest/limits.h"

// What a publish must be before it comes near a shard. Pure functions; any thread. They read
// a message of any content in time linear in its size, and the messages of their errors are
// short and valid UTF-8 whatever the names inside.
namespace qasino::ingest {

// OK when the publish can be stored as it is: then its names are names, its columns have
// types and are equally long, and every cell is there. `bytes` is the publish's size on the
// wire. INVALID_ARGUMENT names the fault, RESOURCE_EXHAUSTED the limit, UNIMPLEMENTED the
// option.
absl::Status ValidatePublish(const v1::PublishRequest& publish, int64_t bytes,
                             const Limits& limits);

// OK when it may stand as an identity: not empty, at most 256 bytes of UTF-8 without control
// characters.
absl::Status ValidateIdentity(std::string_view identity);

// Rows of a table that passed ValidatePublish.
int64_t RowCount(const v1::Table& table);

// What a publish counts for in queues: its bytes on the wire, and what its texts and blobs
// take in memory beyond them.
int64_t CostOf(const v1::PublishRequest& publish, int64_t bytes);

// True for [A-Za-z][A-Za-z0-9_]* of at most 128 bytes.
bool IsName(std::string_view name);

// `text` in quotes, for messages: cut when long, escaped where it is not printable.
std::string Quoted(std::string_view text);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_VALIDATE_H_
