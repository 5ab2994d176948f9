#ifndef QASINO_SERVICES_SERVER_METRICS_SERVER_H_
#define QASINO_SERVICES_SERVER_METRICS_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace prometheus {
class Collectable;
}

namespace qasino::server {

// What /readyz answers: 200 when ready, else 503, with the text as body.
struct Readiness {
  bool ready = false;
  std::string text;
};

// The HTTP port for those who watch a process:
//   /metrics  every metric, in Prometheus' text format
//   /livez    200 "ok" while the process runs
//   /readyz   as `readiness` says
// GET and HEAD only; anything else is 404 or 405. Four requests are answered at a
// time and 64 wait; a request has at most 8 KiB of head and 5 s to arrive.
class MetricsServer {
 public:
  struct Options {
    std::string address;  // an IP address
    int port = 0;         // 0 takes a free one
    // Asked at each scrape, from any thread; outlive the server.
    std::vector<const prometheus::Collectable*> collectables;
    // Called from any thread; does not block.
    std::function<Readiness()> readiness;
  };

  // Listens and answers until destroyed. The error names address and fault.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Create(Options options);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const;

 private:
  struct State;
  explicit MetricsServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_METRICS_SERVER_H_
