#ifndef QASINO_SERVICES_STORE_SHARD_INFO_H_
#define QASINO_SERVICES_STORE_SHARD_INFO_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::store {

// What a shard may be at most.
struct ShardLimits {
  uint64_t max_shard_bytes = uint64_t{4} << 30;
  int max_tables = 100'000;
  int max_columns = 2'000;          // of one table
  int max_all_columns = 1'000'000;  // of all tables together
  // Of the info and all in it; a newer sender may know fields that are not known here.
  int max_unknown_fields = 1'000'000;
  // Of the ShardInfo itself, as it travels. A manifest carries those of all shards.
  size_t max_info_bytes = 16 << 20;
};

// OK when a collected shard may be taken in and its info given to others: ids have the
// form that the contract says (an id is also a file's name), names and the identity that
// of services/names, numbers are in range, kind and format are known, table and column
// names differ without case. Else INVALID_ARGUMENT, or RESOURCE_EXHAUSTED naming the limit.
absl::Status CheckShardInfo(const v1::ShardInfo& info, const ShardLimits& limits);

// The same for a shard that the store made, of kind PERSISTENT or STATIC: it has neither
// duration nor the ids of a process.
absl::Status CheckMadeInfo(const v1::ShardInfo& info, const ShardLimits& limits);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SHARD_INFO_H_
