#include "adapters/line/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <cstddef>
#include <string>

namespace qasino::line {

Metrics::Metrics(prometheus::Registry& registry)
    : connections(prometheus::BuildGauge()
                      .Name("qasino_line_connections")
                      .Help("Clients connected now.")
                      .Register(registry)
                      .Add({})),
      refused_connections(prometheus::BuildCounter()
                              .Name("qasino_line_refused_connections_total")
                              .Help("Clients refused because there were too many.")
                              .Register(registry)
                              .Add({})) {
  auto& statements = prometheus::BuildCounter()
                         .Name("qasino_line_statements_total")
                         .Help("Statements ended, by canonical status code.")
                         .Register(registry);
  for (size_t code = 0; code < statements_.size(); ++code) {
    const std::string name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
    statements_[code] = &statements.Add({{"code", name}});
  }
}

void Metrics::CountStatement(absl::StatusCode code) {
  const auto index = static_cast<size_t>(code);
  statements_[index < statements_.size() ? index : static_cast<size_t>(absl::StatusCode::kUnknown)]
      ->Increment();
}

}  // namespace qasino::line
