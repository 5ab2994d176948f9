#ifndef QASINO_SERVICES_SERVER_PROCESS_H_
#define QASINO_SERVICES_SERVER_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/server/command_line.h"
#include "services/server/part.h"

namespace grpc {
class Channel;
}
namespace prometheus {
class Registry;
}

namespace qasino::server {

// What every server process has around its parts: the log, the metrics port, a gRPC
// port for each service with grpc.health.v1 and reflection, and an orderly end.
//
//   auto process = Process::Create(line.process_options());
//   IngestPart ingest(options, process->metrics());
//   if (auto port = process->Serve(ingest, options.port); !port.ok()) …
//   return process->Run();
//
// Health of a part's service, and of the empty service name (all parts together),
// is SERVING while Part::Ready() is OK, which is asked ten times a second.
//
// Used by main's thread alone, but for metrics() and RequestShutdown(), which are
// thread-safe.
class Process {
 public:
  // Configures the log, blocks SIGTERM and SIGINT in all later threads, ignores
  // SIGPIPE, raises the limit of open files to what is allowed, and opens the metrics port, of
  // which it prints, on standard output,
  //   listening: metrics http 127.0.0.1:15611
  static absl::StatusOr<std::unique_ptr<Process>> Create(const ProcessOptions& options);

  // Closes what is still open, in half a second.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Where parts register their metrics; has qasino_build_info.
  prometheus::Registry& metrics();

  // Opens the part's gRPC port (0 takes a free one) and prints, on standard output,
  //   listening: ingest grpc 127.0.0.1:15601
  // Returns the port bound. The part must live until Run has returned or the
  // Process is gone. An error drains this part and those served before, and
  // closes their ports, so that main can return, destroying parts in any order.
  absl::StatusOr<int> Serve(ServicePart& part, int port);

  // A port that a part has opened itself.
  struct Door {
    std::string name;      // "http", "https", "zmq", "pubsub", "line"
    std::string protocol;  // "http", "https", "zmtp", "telnet"
    std::string address;   // an IP address
    int port = 0;
  };

  // Takes in a part whose doors are open, and prints for each, on standard output,
  //   listening: http http 127.0.0.1:15597
  // Such a part is watched and drained in its turn as those are that are served; it
  // closes its doors in its Drain, which may take a second more than its deadline to let go
  // of the services.
  void Add(Part& part, const std::vector<Door>& doors);

  // A channel to a part that this process serves, with a connection of its own; see
  // LocalListener. Null for any other part.
  std::shared_ptr<grpc::Channel> LocalChannel(const ServicePart& part);

  // Prints "ready" on standard output when every part first is, then waits for
  // SIGTERM or SIGINT. Then: health says NOT_SERVING, and one after another, the last
  // served first, parts are drained and their ports closed, within the grace. What
  // runs still at its end is cancelled. Parts with doors of their own are drained at the
  // same time, in half of the grace when there are services behind them.
  //
  // Returns the code to exit with, 0. A second signal ends the process at once with
  // 130 (SIGINT) or 143 (SIGTERM), and a part that is not done 2 s after the grace
  // ends it with 1: then Run does not return.
  int Run();

  // Ends Run as SIGTERM does, also one that is yet to be called. From any thread.
  void RequestShutdown();

  // Ends all parts as Run does, but in half a second, as a failed Serve does. For a main
  // that cannot go on: after it, parts may be destroyed before the process.
  void Close();

 private:
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_PROCESS_H_
