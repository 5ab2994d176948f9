#ifndef QASINO_SERVICES_STORE_PUBLISHED_PAIRS_H_
#define QASINO_SERVICES_STORE_PUBLISHED_PAIRS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace qasino::store {

// Reads from a collected shard's file who published which table, as its table
// qasino_server_publishes says: table names in lower case, and identities; each pair once.
//
// The file may have come from anywhere. DATA_LOSS or INVALID_ARGUMENT when it is no such
// database; RESOURCE_EXHAUSTED when reading it takes too much. It is never written, and
// nothing is made beside it. Takes time linear in the pairs; any thread.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> PublishedPairs(
    const std::string& path);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_PUBLISHED_PAIRS_H_
