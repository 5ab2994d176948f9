#ifndef QASINO_ADAPTERS_LINE_METRICS_H_
#define QASINO_ADAPTERS_LINE_METRICS_H_

#include <array>

#include "absl/status/status.h"

namespace prometheus {
class Counter;
class Gauge;
class Registry;
}  // namespace prometheus

namespace qasino::line {

// What the adapter tells Prometheus, as qasino_line_…. The registry outlives it. Thread-safe.
class Metrics {
 public:
  explicit Metrics(prometheus::Registry& registry);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Counts a statement by how it ended.
  void CountStatement(absl::StatusCode code);

  prometheus::Gauge& connections;
  prometheus::Counter& refused_connections;

 private:
  std::array<prometheus::Counter*, 17> statements_;
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_METRICS_H_
