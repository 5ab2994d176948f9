#ifndef QASINO_CLIENTS_CPP_GENERATION_WATCHER_H_
#define QASINO_CLIENTS_CPP_GENERATION_WATCHER_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/options.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::client {

// Calls back at the start of every generation, and at first with the running one. It
// connects by itself and again after a loss, waiting as RetryPolicy says, for as long as
// it lives; a generation that begins while the server is away is told on return if it
// still runs, else skipped. A generation is told once.
class GenerationWatcher {
 public:
  using Callback = absl::AnyInvocable<void(const v1::WatchGenerationsResponse&)>;

  // `callback` runs on the watcher's own thread, one call at a time; while it runs,
  // newer generations wait, and all but the newest are skipped by the server. Fails for
  // options that are wrong and TLS files that cannot be read.
  static absl::StatusOr<std::unique_ptr<GenerationWatcher>> Create(const ConnectOptions& options,
                                                                   Callback callback);
  // Waits for a callback that runs. Not from the callback.
  ~GenerationWatcher();
  GenerationWatcher(const GenerationWatcher&) = delete;
  GenerationWatcher& operator=(const GenerationWatcher&) = delete;

  // OK when a generation has come over the connection that is up now; else why not.
  // Any thread.
  absl::Status status() const;

 private:
  class State;
  explicit GenerationWatcher(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_GENERATION_WATCHER_H_
