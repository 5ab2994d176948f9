#ifndef QASINO_SERVICES_STORE_SALVAGE_H_
#define QASINO_SERVICES_STORE_SALVAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/store/journal_record.pb.h"

namespace qasino::store {

// What makes the tables of a shard again that the store made, PERSISTENT or STATIC: a put for
// each table and identity, persistent ones for `generation`. For when their journal is lost.
// `path` is the shard's file, whose checksum was right. Any thread; the tables' rows are in
// memory at once.
absl::StatusOr<std::vector<JournalRecord>> SalvageTables(const std::string& path,
                                                         const v1::ShardInfo& info,
                                                         int64_t generation);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SALVAGE_H_
