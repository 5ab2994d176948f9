// qasino-line: the line protocol, for telnet.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "adapters/line/flags.h"
#include "adapters/line/line_part.h"
#include "adapters/upstream/flags.h"
#include "services/server/command_line.h"
#include "services/server/machine_name.h"
#include "services/server/process.h"

namespace qasino {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino-line: %s\n", std::string(status.message()).c_str());
  return 1;
}

int Main(int argc, char** argv) {
  line::LineOptions options;
  server::CommandLine command_line("qasino-line",
                                   "Answers SQL that is typed into telnet, one statement after "
                                   "the other, as text.",
                                   {.metrics_port = 15616});
  line::AddFlags(command_line, options);
  adapters::AddFlags(command_line, options.upstream);
  command_line.AddString("--identity", &options.identity,
                         "The name under which it reports itself; none: this machine's name");
  command_line.SetFooter(
      "Examples:\n"
      "  qasino-line --query query.example:15602 --listen 0.0.0.0\n"
      "  echo 'SHOW TABLES;' | nc -N localhost 15000");
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;
  if (options.port < 0) {
    return Fail(absl::InvalidArgumentError("--line-port: off leaves it nothing to do"));
  }
  options.listen = command_line.process_options().listen;
  if (options.identity.empty()) options.identity = server::MachineName();

  auto process = server::Process::Create(command_line.process_options());
  if (!process.ok()) return Fail(process.status());
  auto part = line::LinePart::Create(options, (*process)->metrics());
  if (!part.ok()) return Fail(part.status());
  (*process)->Add(**part, (*part)->doors());
  // The door is closed after it, so the part goes before the metrics that it counts in.
  return (*process)->Run();
}

}  // namespace
}  // namespace qasino

int main(int argc, char** argv) { return qasino::Main(argc, argv); }
