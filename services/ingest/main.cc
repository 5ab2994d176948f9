// qasino-ingest: the ingest part as a process of its own.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "services/ingest/flags.h"
#include "services/ingest/ingest_part.h"
#include "services/server/channel.h"
#include "services/server/command_line.h"
#include "services/server/process.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino-ingest: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using qasino::ingest::IngestOptions;
  using qasino::ingest::IngestPart;
  namespace server = qasino::server;

  IngestOptions options;
  server::ChannelOptions store = {.target = "127.0.0.1:15603"};
  int port = 15601;

  server::CommandLine line("qasino-ingest",
                           "Collects published tables, and hands them to the snapshot store at "
                           "the end of each generation.",
                           {.metrics_port = 15611});
  line.AddPort("--ingest-port", &port, "where publishers reach it, by gRPC; 0 takes a free port");
  line.AddString("--store", &store.target, "the snapshot store, as host:port");
  line.AddString("--store-tls-ca", &store.tls_ca,
                 "PEM file with the authorities to trust for the store; none: plain text");
  line.AddString("--identity", &options.identity,
                 "the name under which it reports itself; none: this machine's name");
  qasino::ingest::AddFlags(line, options);
  line.SetFooter(
      "Example:\n"
      "  qasino-ingest --store store.example:15603 --generation-duration 10s --listen 0.0.0.0");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());
  auto channel = server::MakeChannel(store);
  if (!channel.ok()) return Fail(channel.status());
  auto part = IngestPart::Create(options, *channel, (*process)->metrics());
  if (!part.ok()) return Fail(part.status());
  if (const auto bound = (*process)->Serve(**part, port); !bound.ok()) return Fail(bound.status());
  return (*process)->Run();
}
