#ifndef QASINO_SERVICES_INGEST_METRICS_H_
#define QASINO_SERVICES_INGEST_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>

#include "absl/status/status.h"

namespace qasino::ingest {

// What ingest tells Prometheus, as qasino_ingest_… No label comes from a table or an
// identity. The registry outlives it. Thread-safe.
class Metrics {
 public:
  explicit Metrics(prometheus::Registry& registry);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Counts publishes that were refused, by the code of the refusal.
  void CountRefused(absl::StatusCode code, double publishes = 1);

  prometheus::Counter& stored;
  prometheus::Counter& duplicates;
  prometheus::Counter& rows;
  prometheus::Counter& bytes;
  prometheus::Counter& shards_sealed;
  // Shards lost: the backlog was full, the store refused it, it could not be sealed, the
  // process ended first.
  prometheus::Counter& dropped_backlog;
  prometheus::Counter& dropped_refused;
  prometheus::Counter& dropped_unsealed;
  prometheus::Counter& dropped_at_end;
  prometheus::Histogram& seal_seconds;
  prometheus::Histogram& send_seconds;
  // From a publish with `persist` or `static` to the store's answer.
  prometheus::Histogram& forward_seconds;
  prometheus::Gauge& queue_bytes;
  prometheus::Gauge& waiting_for_store;
  prometheus::Gauge& backlog_shards;
  prometheus::Gauge& backlog_bytes;
  prometheus::Gauge& generation;
  // 1 while the last attempt to hand in a shard reached the store, and before the first.
  prometheus::Gauge& store_reachable;

 private:
  prometheus::Counter& refused_;
  std::array<prometheus::Counter*, 17> refused_by_code_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_METRICS_H_
