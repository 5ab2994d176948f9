#include "services/standalone/doors.h"

#include <fmt/format.h>

#include <utility>

#include "adapters/http/flags.h"
#include "adapters/line/flags.h"
#include "adapters/zmq/flags.h"
#include "services/server/machine_name.h"

namespace qasino::standalone {

void AddFlags(server::CommandLine& line, DoorOptions& options) {
  http::AddFlags(line, options.http);
  zeromq::AddFlags(line, options.zmq);
  line::AddFlags(line, options.line);
}

absl::Status Doors::Open(DoorOptions options, server::Process& process,
                         const server::ProcessOptions& process_options, const std::string& identity,
                         const server::ServicePart& ingest, const server::ServicePart& query) {
  const std::string name = identity.empty() ? server::MachineName() : identity;
  // Each has connections of its own, as gRPC bounds the calls of one.
  const auto prepare = [&](auto& door) {
    door.listen = process_options.listen;
    door.identity = name;
    for (const auto& [options, part] :
         {std::pair(&door.upstream.ingest, &ingest), std::pair(&door.upstream.query, &query)}) {
      options->target = "this process";
      options->channel = process.LocalChannel(*part);
      if (options->channel == nullptr) {
        return absl::FailedPreconditionError(
            fmt::format("{} must be served before its doors", part->name()));
      }
    }
    return absl::OkStatus();
  };
  const auto add = [&process](auto opened, auto& part) {
    if (!opened.ok()) return opened.status();
    part = *std::move(opened);
    process.Add(*part, part->doors());
    return absl::OkStatus();
  };

  if (absl::Status status = prepare(options.http); !status.ok()) return status;
  http::TakeProcessOptions(process_options, options.http);
  if (options.http.port >= 0 || (options.http.https_port >= 0 && !options.http.tls_cert.empty())) {
    absl::Status status = add(http::HttpPart::Create(options.http, process.metrics()), http_);
    if (!status.ok()) return status;
  }
  if (absl::Status status = prepare(options.zmq); !status.ok()) return status;
  if (options.zmq.port >= 0 || options.zmq.pubsub_port >= 0) {
    absl::Status status = add(zeromq::ZmqPart::Create(options.zmq, process.metrics()), zmq_);
    if (!status.ok()) return status;
  }
  if (absl::Status status = prepare(options.line); !status.ok()) return status;
  if (options.line.port >= 0) {
    absl::Status status = add(line::LinePart::Create(options.line, process.metrics()), line_);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace qasino::standalone
