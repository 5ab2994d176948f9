#ifndef QASINO_ADAPTERS_ZMQ_METRICS_H_
#define QASINO_ADAPTERS_ZMQ_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/registry.h>

#include "absl/status/status.h"
#include "adapters/zmq/request.h"

namespace qasino::zeromq {

// What the adapter tells Prometheus, as qasino_zmq_… The registry outlives it. Thread-safe.
class Metrics {
 public:
  explicit Metrics(prometheus::Registry& registry);
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Counts a request that was answered, by the code of the answer.
  void CountRequest(Op op, absl::StatusCode code);

  // Messages that were not answered.
  prometheus::Counter& dropped;
  prometheus::Counter& signals;

 private:
  prometheus::Family<prometheus::Counter>& requests_;
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_METRICS_H_
