#ifndef QASINO_SERVICES_INGEST_VALIDATE_H_
#define QASINO_SERVICES_INGEST_VALIDATE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "qasino/v1/ingest.pb.h"
#include "services/ingest/limits.h"
#include "services/names/names.h"
#include "services/tables/write_rows.h"

// What a publish must be before it comes near a shard. Pure functions; any thread. They read
// a message of any content in time linear in its size, and the messages of their errors are
// short and valid UTF-8 whatever the names inside.
namespace qasino::ingest {

// The rest of ingest asks for these here.
using names::IsName;
using names::Quoted;
using names::ValidateIdentity;
using tables::RowCount;

// OK when the publish can be stored as it is: then its names are names, its columns have
// types and are equally long, every cell is there, and its options go together. `bytes` is
// the publish's size on the wire. INVALID_ARGUMENT names the fault, RESOURCE_EXHAUSTED the
// limit.
absl::Status ValidatePublish(const v1::PublishRequest& publish, int64_t bytes,
                             const Limits& limits);

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_VALIDATE_H_
