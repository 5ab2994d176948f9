// qasino-store: the snapshot store as a process of its own.

#include <cstdio>
#include <optional>
#include <string>

#include "services/server/command_line.h"
#include "services/server/process.h"
#include "services/store/flags.h"
#include "services/store/store.h"

namespace qasino::store {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino-store: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Main(int argc, char** argv) {
  StoreOptions options;
  int port = 15603;
  server::CommandLine line(
      "qasino-store",
      "Keeps the newest snapshots on disk: takes shards from ingest processes, and tells query "
      "processes of every new snapshot.",
      {.metrics_port = 15613});
  line.AddPort("--store-port", &port, "Port of the gRPC service; 0 takes a free one");
  AddFlags(line, options);
  line.SetFooter(
      "Example: a store for other machines, which keeps the snapshots of ten minutes\n"
      "  qasino-store --listen 0.0.0.0 --data-dir /var/lib/qasino --retain 20\n");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());
  auto part = StorePart::Create(options, (*process)->metrics());
  if (!part.ok()) return Fail(part.status());
  if (const auto bound = (*process)->Serve(**part, port); !bound.ok()) {
    return Fail(bound.status());
  }
  // The ports are closed after it, so the part goes before the metrics that it counts in.
  return (*process)->Run();
}

}  // namespace
}  // namespace qasino::store

int main(int argc, char** argv) { return qasino::store::Main(argc, argv); }
