#include "adapters/zmq/metrics.h"

#include <string>

namespace qasino::zeromq {
namespace {

prometheus::Family<prometheus::Counter>& Counters(prometheus::Registry& registry,
                                                  const std::string& name,
                                                  const std::string& help) {
  return prometheus::BuildCounter().Name("qasino_zmq_" + name).Help(help).Register(registry);
}

}  // namespace

Metrics::Metrics(prometheus::Registry& registry)
    : dropped(Counters(registry, "messages_dropped_total",
                       "Messages without an answer: no envelope, or too many refusals unread.")
                  .Add({})),
      signals(Counters(registry, "signals_total", "Signals sent.").Add({})),
      requests_(Counters(registry, "requests_total",
                         "Requests answered, by operation and the code of the answer.")) {}

void Metrics::CountRequest(Op op, absl::StatusCode code) {
  const std::string name = code == absl::StatusCode::kOk ? "OK" : absl::StatusCodeToString(code);
  requests_.Add({{"op", std::string(OpName(op))}, {"code", name}}).Increment();
}

}  // namespace qasino::zeromq
