#ifndef QASINO_TESTING_FUZZ_PUBLISH_ORACLE_H_
#define QASINO_TESTING_FUZZ_PUBLISH_ORACLE_H_

#include <cstdint>

#include "adapters/legacy/message.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::fuzz {

// What a publish must be that was read from text, whatever the text was: it can travel, its
// names are names, each column's arrays and kinds make the same number of rows, and it is
// within the limits. The number of rows.
uint64_t RequireGoodPublish(const v1::PublishRequest& request, const legacy::MessageLimits& limits);

}  // namespace qasino::fuzz

#endif  // QASINO_TESTING_FUZZ_PUBLISH_ORACLE_H_
