#include "services/store/store_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>

namespace qasino::store {
namespace {

prometheus::Counter* NewCounter(prometheus::Registry& registry, const std::string& name,
                                const std::string& help) {
  return &prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Gauge* NewGauge(prometheus::Registry& registry, const std::string& name,
                            const std::string& help) {
  return &prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

const char* RefusalName(Refusal refusal) {
  switch (refusal) {
    case Refusal::kInvalid:
      return "invalid";
    case Refusal::kChecksum:
      return "checksum";
    case Refusal::kTooOld:
      return "too_old";
    case Refusal::kLimit:
      return "limit";
    case Refusal::kDiskFull:
      return "disk_full";
    case Refusal::kDisk:
      return "disk";
    case Refusal::kStopping:
      return "stopping";
    case Refusal::kBrokenOff:
      return "broken_off";
  }
  return "unknown";
}

const char* TableResultName(TableResult result) {
  switch (result) {
    case TableResult::kApplied:
      return "applied";
    case TableResult::kDuplicate:
      return "duplicate";
    case TableResult::kNotFound:
      return "not_found";
    case TableResult::kInvalid:
      return "invalid";
    case TableResult::kLimit:
      return "limit";
    case TableResult::kDisk:
      return "disk";
    case TableResult::kStopping:
      return "stopping";
  }
  return "unknown";
}

StoreMetrics::StoreMetrics(prometheus::Registry& registry)
    : shards_received(NewCounter(registry, "qasino_store_shards_received_total",
                                 "Shards taken in and on disk.")),
      bytes_received(
          NewCounter(registry, "qasino_store_bytes_received_total", "Bytes of shards received.")),
      bytes_sent(NewCounter(registry, "qasino_store_bytes_sent_total", "Bytes of shards sent.")),
      commit_seconds(
          &prometheus::BuildHistogram()
               .Name("qasino_store_commit_seconds")
               .Help("From a shard's last byte until it and its manifest are on disk.")
               .Register(registry)
               .Add({},
                    prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                            0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30})),
      held_generations(NewGauge(registry, "qasino_store_held_generations",
                                "Generations on disk, those that wait for shards included.")),
      held_bytes(NewGauge(registry, "qasino_store_held_bytes",
                          "Bytes of the shards of the generations on disk.")),
      newest_generation(NewGauge(registry, "qasino_store_newest_generation",
                                 "The newest generation announced, as a Unix time in seconds.")),
      watchers(NewGauge(registry, "qasino_store_watchers", "Streams that watch snapshots.")),
      static_tables(NewGauge(registry, "qasino_store_static_tables", "Static tables.")),
      static_bytes(NewGauge(registry, "qasino_store_static_bytes",
                            "Bytes that the static tables take in memory.")),
      persistent_pairs(
          NewGauge(registry, "qasino_store_persistent_pairs",
                   "Pairs of table and identity that are carried from snapshot to snapshot.")),
      persistent_bytes(NewGauge(registry, "qasino_store_persistent_bytes",
                                "Bytes that the persistent tables take in memory.")),
      journal_bytes(NewGauge(registry, "qasino_store_journal_bytes",
                             "Bytes of the journal of static and persistent tables.")),
      archived(NewCounter(registry, "qasino_store_archived_total", "Snapshots archived.")),
      archive_failures(NewCounter(registry, "qasino_store_archive_failures_total",
                                  "Attempts to archive a snapshot that failed.")),
      archive_dropped(NewCounter(registry, "qasino_store_archive_dropped_total",
                                 "Snapshots not archived because too many waited.")) {
  auto& refused = prometheus::BuildCounter()
                      .Name("qasino_store_shards_refused_total")
                      .Help("Shards not taken in, by reason.")
                      .Register(registry);
  for (size_t i = 0; i < kRefusals; ++i) {
    shards_refused[i] = &refused.Add({{"reason", RefusalName(static_cast<Refusal>(i))}});
  }
  auto& changes = prometheus::BuildCounter()
                      .Name("qasino_store_table_changes_total")
                      .Help("Changes of static and persistent tables asked for, by result.")
                      .Register(registry);
  for (size_t i = 0; i < kTableResults; ++i) {
    table_changes[i] = &changes.Add({{"result", TableResultName(static_cast<TableResult>(i))}});
  }
}

}  // namespace qasino::store
