// qasino-http: the HTTP adapter as a process of its own.

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "adapters/http/flags.h"
#include "adapters/http/http_part.h"
#include "adapters/upstream/flags.h"
#include "services/server/command_line.h"
#include "services/server/machine_name.h"
#include "services/server/process.h"

namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "qasino-http: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using qasino::http::HttpOptions;
  using qasino::http::HttpPart;
  namespace server = qasino::server;

  HttpOptions options;
  options.identity.clear();
  server::CommandLine line("qasino-http",
                           "Answers the HTTP clients of the original Qasino: hands what they "
                           "publish to ingest, and what they ask to query.",
                           {.metrics_port = 15614});
  qasino::http::AddFlags(line, options);
  qasino::adapters::AddFlags(line, options.upstream);
  line.AddString("--identity", &options.identity,
                 "the name that answers give as the server's; none: this machine's name");
  line.SetFooter(
      "Example:\n"
      "  qasino-http --ingest ingest.example:15601 --query query.example:15602 --listen 0.0.0.0");
  if (const std::optional<int> code = line.Parse(argc, argv)) return *code;
  qasino::http::TakeProcessOptions(line.process_options(), options);
  if (options.identity.empty()) options.identity = server::MachineName();

  auto process = server::Process::Create(line.process_options());
  if (!process.ok()) return Fail(process.status());
  auto part = HttpPart::Create(options, (*process)->metrics());
  if (!part.ok()) return Fail(part.status());
  (*process)->Add(**part, (*part)->doors());
  return (*process)->Run();
}
