// qasino-query: answers SQL on the newest snapshot.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/query/flags.h"
#include "services/query/query_part.h"
#include "services/server/channel.h"
#include "services/server/command_line.h"
#include "services/server/process.h"

int main(int argc, char** argv) {
  using namespace qasino;
  query::QueryOptions options;
  server::ChannelOptions store{.target = "127.0.0.1:15603"};
  query::IngestFlags ingests{.addresses = "127.0.0.1:15601"};
  int port = 15602;
  server::CommandLine line("qasino-query",
                           "Holds the newest snapshot of the store and answers SQL on it.",
                           {.metrics_port = 15612});
  line.AddPort("--query-port", &port, "Port of the gRPC service; 0 takes a free one");
  line.AddString("--store", &store.target, "The snapshot store, as host:port");
  line.AddString("--store-tls-ca", &store.tls_ca,
                 "PEM file with the authorities to trust for the store; none: plain text");
  query::AddIngestFlags(line, ingests,
                        "All ingest processes, as host:port,host:port: they are asked for the "
                        "running generation; none: it cannot be queried");
  line.AddString("--identity", &options.identity,
                 "The name under which it reports itself; none: this machine's name");
  query::AddFlags(line, options);
  line.SetFooter(
      "Examples:\n"
      "  qasino-query --store store.example:15603\n"
      "  qasino-query --query-timeout 5s --max-rows 100000\n"
      "  qasinosql -p 15602 -q 'SHOW TABLES'");
  if (std::optional<int> code = line.Parse(argc, argv)) return *code;

  const auto fail = [](const absl::Status& status) {
    std::fprintf(stderr, "qasino-query: %s\n", std::string(status.message()).c_str());
    return 1;
  };
  absl::StatusOr<std::unique_ptr<server::Process>> process =
      server::Process::Create(line.process_options());
  if (!process.ok()) return fail(process.status());
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = server::MakeChannel(store);
  if (!channel.ok()) return fail(channel.status());
  absl::StatusOr<std::unique_ptr<query::QueryPart>> part =
      query::QueryPart::Create(options, *channel, (*process)->metrics());
  if (!part.ok()) return fail(part.status());
  absl::StatusOr<std::vector<query::IngestPeer>> peers = query::MakeIngestPeers(ingests);
  if (!peers.ok()) return fail(peers.status());
  (*part)->SetIngests(*std::move(peers));
  if (absl::StatusOr<int> bound = (*process)->Serve(**part, port); !bound.ok()) {
    return fail(bound.status());
  }
  // The ports are closed after it, so the part goes before the metrics that it counts in.
  return (*process)->Run();
}
