#ifndef QASINO_ADAPTERS_HTTP_LISTENER_H_
#define QASINO_ADAPTERS_HTTP_LISTENER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "adapters/http/service.h"
#include "adapters/http/tls.h"
#include "adapters/http/worker.h"

namespace qasino::http {

// How many connections there are. Thread-safe.
class ConnectionCount {
 public:
  ConnectionCount(int64_t most, Metrics& metrics) : most_(most), metrics_(metrics) {}

  // False: there are `most` already.
  bool Add();
  void Remove();
  // Waits until there are none; false: at the deadline there still are.
  bool WaitForNone(absl::Time deadline);

 private:
  const int64_t most_;
  Metrics& metrics_;
  absl::Mutex mutex_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Takes the connections of one door and deals them out to the workers in turn. Everything that
// it is given outlives it, and it outlives the workers' threads.
class Listener {
 public:
  struct Options {
    std::string address;
    int port = 0;
    // Null: without TLS. Used in the first worker's thread.
    TlsFiles* tls = nullptr;
  };

  // Opens the door; the first worker's thread looks after it.
  static absl::StatusOr<std::unique_ptr<Listener>> Create(
      const Options& options, const Service& service, ConnectionCount& connections,
      const std::vector<std::unique_ptr<Worker>>& workers);
  ~Listener();

  // The port bound.
  int port() const;

  // Closes the door; from any thread but the workers'.
  void Close();

 private:
  class State;
  explicit Listener(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_LISTENER_H_
