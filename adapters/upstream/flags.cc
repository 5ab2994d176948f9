#include "adapters/upstream/flags.h"

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace qasino::adapters {
namespace {

void AddService(server::CommandLine& line, const std::string& flag, std::string_view program,
                client::ConnectOptions& options) {
  line.AddString(flag, &options.target, "where " + std::string(program) + " is, as host:port");
  line.AddString(flag + "-tls-ca", &options.tls.ca_file,
                 "PEM file with the authorities to trust for it; none: plain text");
}

}  // namespace

void AddFlags(server::CommandLine& line, UpstreamOptions& options) {
  constexpr absl::Duration kShortest = absl::Milliseconds(1);
  constexpr absl::Duration kLongest = absl::Hours(24);
  if (options.publishes) {
    AddService(line, "--ingest", "qasino-ingest", options.ingest);
    line.AddDuration("--publish-timeout", &options.publish_timeout, kShortest, kLongest,
                     "how long a publish may take");
  }
  AddService(line, "--query", "qasino-query", options.query);
  line.AddDuration("--query-timeout", &options.query_timeout, kShortest, kLongest,
                   "how long a query may take, where the server's own limit is not shorter");
  line.app().parse_complete_callback([&options] {
    for (client::ConnectOptions* one : {&options.ingest, &options.query}) {
      if (!one->tls.ca_file.empty()) one->tls.enabled = true;
    }
  });
}

}  // namespace qasino::adapters
