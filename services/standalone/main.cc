// qasino: every part in one process, with one data directory.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "services/ingest/flags.h"
#include "services/ingest/ingest_part.h"
#include "services/query/flags.h"
#include "services/query/query_part.h"
#include "services/server/command_line.h"
#include "services/server/process.h"
#include "services/store/flags.h"
#include "services/store/store.h"

namespace qasino {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Main(int argc, char** argv) {
  ingest::IngestOptions ingest_options;
  store::StoreOptions store_options;
  query::QueryOptions query_options;
  int ingest_port = 15601;
  int query_port = 15602;
  int store_port = 15603;
  std::string identity;

  server::CommandLine line("qasino",
                           "Answers SQL on what the machines around it publish: ingest, store and "
                           "query in one process.",
                           {.metrics_port = 15610});
  line.AddPort("--ingest-port", &ingest_port, "Port where publishers come, by gRPC; 0: a free one");
  line.AddPort("--query-port", &query_port, "Port where queries come, by gRPC; 0: a free one");
  line.AddPort("--store-port", &store_port,
               "Port where further ingest and query processes come, by gRPC; 0: a free one");
  line.AddString("--identity", &identity,
                 "The name under which it reports itself; none: this machine's name");
  ingest::AddFlags(line, ingest_options);
  store::AddFlags(line, store_options);
  query::AddFlags(line, query_options);
  line.SetFooter(
      "Examples:\n"
      "  qasino --generation-duration 5s --data-dir /var/lib/qasino\n"
      "  qasinosql -q 'SHOW TABLES'");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;
  ingest_options.identity = identity;
  query_options.identity = identity;

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());

  // Parts that serve already must not go while their ports are open.
  const auto stop = [&process](const absl::Status& status) {
    (*process)->Close();
    return Fail(status);
  };

  // The store first, because the others reach it through the process, and last to be
  // drained, because ingest hands it the running generation.
  auto store = store::StorePart::Create(store_options, (*process)->metrics());
  if (!store.ok()) return stop(store.status());
  if (auto bound = (*process)->Serve(**store, store_port); !bound.ok()) {
    return stop(bound.status());
  }
  const auto channel = (*process)->InProcessChannel(**store);

  auto query = query::QueryPart::Create(query_options, channel, (*process)->metrics());
  if (!query.ok()) return stop(query.status());
  if (auto bound = (*process)->Serve(**query, query_port); !bound.ok()) {
    return stop(bound.status());
  }

  auto ingest = ingest::IngestPart::Create(ingest_options, channel, (*process)->metrics());
  if (!ingest.ok()) return stop(ingest.status());
  if (auto bound = (*process)->Serve(**ingest, ingest_port); !bound.ok()) {
    return stop(bound.status());
  }
  return (*process)->Run();
}

}  // namespace
}  // namespace qasino

int main(int argc, char** argv) { return qasino::Main(argc, argv); }
