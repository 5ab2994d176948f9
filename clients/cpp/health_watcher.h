#ifndef QASINO_CLIENTS_CPP_HEALTH_WATCHER_H_
#define QASINO_CLIENTS_CPP_HEALTH_WATCHER_H_

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/options.h"

namespace qasino::client {

// Watches, by grpc.health.v1, whether a service can do its job, and connects again by
// itself after a loss, within a second of the server. Any thread may call.
class HealthWatcher {
 public:
  // `service`: "qasino.v1.Query". `server` is how messages call it: "qasino-query". Fails
  // for options that are wrong and TLS files that cannot be read.
  static absl::StatusOr<std::unique_ptr<HealthWatcher>> Create(const ConnectOptions& options,
                                                               std::string_view service,
                                                               std::string_view server);
  // Waits until gRPC has let go of its call.
  ~HealthWatcher();
  HealthWatcher(const HealthWatcher&) = delete;
  HealthWatcher& operator=(const HealthWatcher&) = delete;

  // OK while the service says SERVING over the connection that is up now; else
  // UNAVAILABLE with what it waits for, for the operator.
  absl::Status status() const;

 private:
  class State;
  explicit HealthWatcher(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_HEALTH_WATCHER_H_
