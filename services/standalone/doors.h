#ifndef QASINO_SERVICES_STANDALONE_DOORS_H_
#define QASINO_SERVICES_STANDALONE_DOORS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "adapters/http/http_part.h"
#include "adapters/line/line_part.h"
#include "adapters/zmq/zmq_part.h"
#include "services/server/command_line.h"
#include "services/server/part.h"
#include "services/server/process.h"

namespace qasino::standalone {

// What the doors can be told.
struct DoorOptions {
  http::HttpOptions http;
  zeromq::ZmqOptions zmq;
  line::LineOptions line;
};

// Adds --http-port, --https-port, --zmq-port, --pubsub-port, --line-port, each of which may be
// `off`, and the adapters' other flags. `options` outlives the parsing.
void AddFlags(server::CommandLine& line, DoorOptions& options);

// The adapters of the process that has everything: the doors of the original's clients. They
// reach the services within the process. Used by main's thread alone; it lives until the
// process is closed, and no longer than the process.
class Doors {
 public:
  // Opens the doors that are not off, on the process's address, and adds them to the process,
  // which serves the services already. An error names the door; those opened before it are
  // closed when the process is. Once.
  absl::Status Open(DoorOptions options, server::Process& process,
                    const server::ProcessOptions& process_options, const std::string& identity,
                    const server::ServicePart& ingest, const server::ServicePart& query);

 private:
  std::unique_ptr<http::HttpPart> http_;
  std::unique_ptr<zeromq::ZmqPart> zmq_;
  std::unique_ptr<line::LinePart> line_;
};

}  // namespace qasino::standalone

#endif  // QASINO_SERVICES_STANDALONE_DOORS_H_
