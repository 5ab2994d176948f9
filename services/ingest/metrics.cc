#include "services/ingest/metrics.h"

#include <string>

#include "absl/strings/ascii.h"

namespace qasino::ingest {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Registry;

Family<Counter>& Counters(Registry& registry, const std::string& name, const std::string& help) {
  return BuildCounter().Name("qasino_ingest_" + name).Help(help).Register(registry);
}

Gauge& MakeGauge(Registry& registry, const std::string& name, const std::string& help) {
  return BuildGauge().Name("qasino_ingest_" + name).Help(help).Register(registry).Add({});
}

Histogram& Seconds(Registry& registry, const std::string& name, const std::string& help) {
  return BuildHistogram()
      .Name("qasino_ingest_" + name)
      .Help(help)
      .Register(registry)
      .Add({}, Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                           1, 2.5, 5, 10, 30, 60});
}

Family<Counter>& Publishes(Registry& registry) {
  return Counters(registry, "publishes_total", "Publishes received, by what became of them.");
}

Family<Counter>& Dropped(Registry& registry) {
  return Counters(registry, "shards_dropped_total",
                  "Sealed shards that the store will never get, by reason.");
}

}  // namespace

Metrics::Metrics(Registry& registry)
    : stored(Publishes(registry).Add({{"result", "stored"}})),
      duplicates(Publishes(registry).Add({{"result", "duplicate"}})),
      rows(Counters(registry, "rows_total", "Rows stored.").Add({})),
      bytes(Counters(registry, "bytes_total", "Bytes of the publishes received.").Add({})),
      shards_sealed(Counters(registry, "shards_sealed_total", "Shards sealed.").Add({})),
      dropped_backlog(Dropped(registry).Add({{"reason", "backlog_full"}})),
      dropped_refused(Dropped(registry).Add({{"reason", "refused"}})),
      dropped_unsealed(Dropped(registry).Add({{"reason", "not_sealed"}})),
      dropped_at_end(Dropped(registry).Add({{"reason", "process_end"}})),
      seal_seconds(Seconds(registry, "seal_seconds", "Time to seal a shard.")),
      send_seconds(Seconds(registry, "send_seconds", "Time to hand a shard to the store.")),
      forward_seconds(Seconds(registry, "forward_seconds",
                              "Time from a publish with persist or static to the store's answer.")),
      queue_bytes(MakeGauge(registry, "queue_bytes", "Publishes that wait for the writer.")),
      waiting_for_store(MakeGauge(registry, "waiting_for_store",
                                  "Publishes with persist or static without an answer yet.")),
      backlog_shards(MakeGauge(registry, "backlog_shards", "Sealed shards kept for the store.")),
      backlog_bytes(MakeGauge(registry, "backlog_bytes", "Bytes of the shards in the backlog.")),
      generation(MakeGauge(registry, "generation", "The running generation.")),
      store_reachable(MakeGauge(registry, "store_reachable",
                                "Whether the last shard handed in reached the store.")),
      refused_(Publishes(registry).Add({{"result", "refused"}})) {
  Family<Counter>& reasons =
      Counters(registry, "refused_total", "Publishes refused, by canonical status code.");
  for (size_t code = 0; code < refused_by_code_.size(); ++code) {
    const std::string name =
        absl::AsciiStrToLower(absl::StatusCodeToString(static_cast<absl::StatusCode>(code)));
    refused_by_code_[code] = code == 0 ? nullptr : &reasons.Add({{"reason", name}});
  }
  store_reachable.Set(1);
}

void Metrics::CountRefused(absl::StatusCode code, double publishes) {
  refused_.Increment(publishes);
  const auto number = static_cast<size_t>(code);
  if (number > 0 && number < refused_by_code_.size())
    refused_by_code_[number]->Increment(publishes);
}

}  // namespace qasino::ingest
