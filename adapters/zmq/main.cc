// qasino-zmq: the legacy ZeroMQ doors as a process of their own.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "adapters/upstream/flags.h"
#include "adapters/zmq/flags.h"
#include "adapters/zmq/zmq_part.h"
#include "services/server/command_line.h"
#include "services/server/process.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino-zmq: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  namespace server = qasino::server;
  using qasino::zeromq::ZmqPart;

  qasino::zeromq::ZmqOptions options;
  server::CommandLine line("qasino-zmq",
                           "Answers the requests of ZeroMQ clients, and signals the start of "
                           "every generation.",
                           {.metrics_port = 15615});
  qasino::zeromq::AddFlags(line, options);
  line.AddString("--identity", &options.identity,
                 "The name under which it answers and signals; none: this machine's name");
  qasino::adapters::AddFlags(line, options.upstream);
  line.SetFooter(
      "Example:\n"
      "  qasino-zmq --ingest ingest.example:15601 --query query.example:15602 --listen 0.0.0.0");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;
  options.listen = line.process_options().listen;

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());
  auto part = ZmqPart::Create(options, (*process)->metrics());
  if (!part.ok()) return Fail(part.status());
  (*process)->Add(**part, (*part)->doors());
  return (*process)->Run();
}
