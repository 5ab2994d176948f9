// qasino: every part in one process, with one data directory.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "services/ingest/flags.h"
#include "services/ingest/ingest_part.h"
#include "services/query/flags.h"
#include "services/query/query_part.h"
#include "services/server/command_line.h"
#include "services/server/process.h"
#include "services/standalone/doors.h"
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
  query::IngestFlags other_ingests;
  int ingest_port = 15601;
  int query_port = 15602;
  int store_port = 15603;
  std::string identity;

  server::CommandLine line("qasino",
                           "Answers SQL on what the machines around it publish: ingest, store, "
                           "query and the doors for HTTP, ZeroMQ and telnet in one process.",
                           {.metrics_port = 15610});
  line.AddPort("--ingest-port", &ingest_port, "Port where publishers come, by gRPC; 0: a free one");
  line.AddPort("--query-port", &query_port, "Port where queries come, by gRPC; 0: a free one");
  line.AddPort("--store-port", &store_port,
               "Port where further ingest and query processes come, by gRPC; 0: a free one");
  line.AddString("--identity", &identity,
                 "The name under which it reports itself; none: this machine's name");
  standalone::DoorOptions door_options;
  standalone::AddFlags(line, door_options);
  ingest::AddFlags(line, ingest_options);
  store::AddFlags(line, store_options);
  query::AddFlags(line, query_options);
  query::AddIngestFlags(line, other_ingests,
                        "Further ingest processes of the store, as host:port,host:port: they are "
                        "asked for the running generation beside the one in this process");
  line.SetFooter(
      "Examples:\n"
      "  qasino --generation-duration 5s --data-dir /var/lib/qasino\n"
      "  qasinosql -q 'SHOW TABLES'\n"
      "  curl 'http://localhost:15597/request?op=query&format=text' -G "
      "--data-urlencode 'sql=SHOW TABLES'");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;
  ingest_options.identity = identity;
  query_options.identity = identity;

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());

  standalone::Doors doors;

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

  auto query = query::QueryPart::Create(query_options, (*process)->LocalChannel(**store),
                                        (*process)->metrics());
  if (!query.ok()) return stop(query.status());
  if (auto bound = (*process)->Serve(**query, query_port); !bound.ok()) {
    return stop(bound.status());
  }

  auto ingest = ingest::IngestPart::Create(ingest_options, (*process)->LocalChannel(**store),
                                           (*process)->metrics());
  if (!ingest.ok()) return stop(ingest.status());
  if (auto bound = (*process)->Serve(**ingest, ingest_port); !bound.ok()) {
    return stop(bound.status());
  }
  auto peers = query::MakeIngestPeers(other_ingests);
  if (!peers.ok()) return stop(peers.status());
  peers->push_back({"of this process", (*process)->LocalChannel(**ingest)});
  (*query)->SetIngests(*std::move(peers));

  // Last, because the adapters use the services, and are drained before them.
  if (absl::Status status =
          doors.Open(door_options, **process, line.process_options(), identity, **ingest, **query);
      !status.ok()) {
    return stop(status);
  }
  return (*process)->Run();
}

}  // namespace
}  // namespace qasino

int main(int argc, char** argv) { return qasino::Main(argc, argv); }
