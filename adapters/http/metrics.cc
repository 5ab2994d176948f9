#include "adapters/http/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace qasino::http {
namespace {

constexpr const char* kNames[] = {
    "query",  "add_table_data", "add_csv_table_data", "name_value_update", "get_table_list",
    "health", "other"};

prometheus::Counter& MakeCounter(prometheus::Registry& registry, const char* name,
                                 const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

Metrics::Metrics(prometheus::Registry& registry)
    : requests_(prometheus::BuildCounter()
                    .Name("qasino_http_requests_total")
                    .Help("HTTP requests answered, by operation and status")
                    .Register(registry)),
      connections_(prometheus::BuildGauge()
                       .Name("qasino_http_connections")
                       .Help("HTTP connections that are open")
                       .Register(registry)
                       .Add({})),
      refused_(MakeCounter(registry, "qasino_http_refused_connections_total",
                           "HTTP connections refused, being too many")),
      received_(MakeCounter(registry, "qasino_http_received_bytes_total",
                            "Bytes of HTTP requests received")),
      sent_(MakeCounter(registry, "qasino_http_sent_bytes_total", "Bytes of HTTP answers sent")) {}

void Metrics::Opened() { connections_.Increment(); }
void Metrics::Closed() { connections_.Decrement(); }
void Metrics::Refused() { refused_.Increment(); }
void Metrics::Received(uint64_t bytes) { received_.Increment(static_cast<double>(bytes)); }
void Metrics::Sent(uint64_t bytes) { sent_.Increment(static_cast<double>(bytes)); }

void Metrics::Answered(Operation operation, int status) {
  const int index = status - kLeastStatus;
  if (index < 0 || index >= kStatuses) return;
  std::atomic<prometheus::Counter*>& slot = answered_[static_cast<int>(operation)][index];
  prometheus::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // For the same labels the same counter.
    counter = &requests_.Add(
        {{"op", kNames[static_cast<int>(operation)]}, {"code", fmt::format("{}", status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->Increment();
}

}  // namespace qasino::http
