#ifndef QASINO_SERVICES_SERVER_PROCESS_METRICS_H_
#define QASINO_SERVICES_SERVER_PROCESS_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

namespace qasino::server {

// What the operating system knows of this process, read from /proc at each scrape,
// under the names that Prometheus' own client libraries use:
//   process_cpu_seconds_total, process_resident_memory_bytes,
//   process_virtual_memory_bytes, process_open_fds, process_start_time_seconds
// What cannot be read is left out. Thread-safe.
class ProcessMetrics : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_PROCESS_METRICS_H_
