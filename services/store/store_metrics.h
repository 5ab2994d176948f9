#ifndef QASINO_SERVICES_STORE_STORE_METRICS_H_
#define QASINO_SERVICES_STORE_STORE_METRICS_H_

#include <array>
#include <cstddef>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace qasino::store {

// Why a put was refused; the label `reason` of qasino_store_shards_refused_total.
enum class Refusal {
  kInvalid,    // what came is not what the contract says
  kChecksum,   // the bytes differ from their checksum
  kTooOld,     // of a generation no longer held
  kLimit,      // over a limit of the store
  kDiskFull,   // no room
  kDisk,       // the disk failed
  kStopping,   // the store is stopping
  kBrokenOff,  // the sender went away or silent
};
inline constexpr size_t kRefusals = 8;

// "invalid", "checksum" …
const char* RefusalName(Refusal refusal);

// What became of a change of a static or persistent table; the label `result` of
// qasino_store_table_changes_total.
enum class TableResult {
  kApplied,
  kDuplicate,  // it was put for that generation already
  kNotFound,   // what was to be dropped is not there
  kInvalid,    // what came is not what the contract says
  kLimit,      // over a limit of the store
  kDisk,       // the disk is full or failed
  kStopping,   // the store is stopping
};
inline constexpr size_t kTableResults = 7;

// "applied", "duplicate" …
const char* TableResultName(TableResult result);

// The store's metrics, qasino_store_…. The registry owns them and must outlive this.
// Thread-safe. Two of them in one registry count together. Throws where a name is taken
// by another kind of metric.
struct StoreMetrics {
  explicit StoreMetrics(prometheus::Registry& registry);

  prometheus::Counter& Refused(Refusal refusal) const {
    return *shards_refused[static_cast<size_t>(refusal)];
  }

  prometheus::Counter& Changed(TableResult result) const {
    return *table_changes[static_cast<size_t>(result)];
  }

  prometheus::Counter* shards_received;
  std::array<prometheus::Counter*, kRefusals> shards_refused;
  prometheus::Counter* bytes_received;  // of shards, also of such as were refused
  prometheus::Counter* bytes_sent;
  prometheus::Histogram* commit_seconds;  // from a shard's last byte to its answer
  prometheus::Gauge* held_generations;
  prometheus::Gauge* held_bytes;
  prometheus::Gauge* newest_generation;
  prometheus::Gauge* watchers;
  std::array<prometheus::Counter*, kTableResults> table_changes;
  prometheus::Gauge* static_tables;
  prometheus::Gauge* static_bytes;  // in memory, as the next two
  prometheus::Gauge* persistent_pairs;
  prometheus::Gauge* persistent_bytes;
  prometheus::Gauge* journal_bytes;
  prometheus::Counter* archived;
  prometheus::Counter* archive_failures;
  prometheus::Counter* archive_dropped;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_STORE_METRICS_H_
