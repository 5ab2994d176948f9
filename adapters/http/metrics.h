#ifndef QASINO_ADAPTERS_HTTP_METRICS_H_
#define QASINO_ADAPTERS_HTTP_METRICS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace prometheus {
class Counter;
class Gauge;
class Registry;
template <typename T>
class Family;
}  // namespace prometheus

namespace qasino::http {

// What a request asks for; kOther is what is none of the others.
enum class Operation { kQuery, kAddTable, kAddCsvTable, kNameValue, kTableList, kHealth, kOther };

// The adapter's metrics:
//   qasino_http_connections                now open
//   qasino_http_refused_connections_total  beyond --max-http-connections
//   qasino_http_requests_total{op,code}    answered
//   qasino_http_received_bytes_total, qasino_http_sent_bytes_total
//
// Thread-safe.
class Metrics {
 public:
  // `registry` outlives it.
  explicit Metrics(prometheus::Registry& registry);

  void Opened();
  void Closed();
  void Refused();
  // One more request is answered with this status.
  void Answered(Operation operation, int status);
  void Received(uint64_t bytes);
  void Sent(uint64_t bytes);

 private:
  static constexpr int kOperations = 7;
  static constexpr int kLeastStatus = 200;
  static constexpr int kStatuses = 400;

  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Gauge& connections_;
  prometheus::Counter& refused_;
  prometheus::Counter& received_;
  prometheus::Counter& sent_;
  // Looked up once each.
  std::atomic<prometheus::Counter*> answered_[kOperations][kStatuses] = {};
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_METRICS_H_
