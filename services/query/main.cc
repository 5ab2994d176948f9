// qasino-query: answers SQL on the newest snapshot.

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "services/query/flags.h"
#include "services/query/query_part.h"
#include "services/server/channel.h"
#include "services/server/command_line.h"
#include "services/server/process.h"

int main(int argc, char** argv) {
  using namespace qasino;
  query::QueryOptions options;
  server::ChannelOptions store{.target = "127.0.0.1:15603"};
  int port = 15602;
  server::CommandLine line("qasino-query",
                           "Holds the newest snapshot of the store and answers SQL on it.",
                           {.metrics_port = 15612});
  query::AddFlags(line, &options, &port);
  line.AddString("--identity", &options.identity, "this server's name; the host's unless given");
  line.AddString("--store", &store.target, "host:port of qasino-store");
  line.AddString("--store-tls-ca", &store.tls_ca,
                 "PEM file of the authorities to trust; with it the store is spoken to over TLS");
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
  if (absl::StatusOr<int> bound = (*process)->Serve(**part, port); !bound.ok()) {
    return fail(bound.status());
  }
  const int code = (*process)->Run();
  process->reset();
  return code;
}
