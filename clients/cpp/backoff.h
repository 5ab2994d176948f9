#ifndef QASINO_CLIENTS_CPP_BACKOFF_H_
#define QASINO_CLIENTS_CPP_BACKOFF_H_

#include "absl/random/random.h"
#include "absl/time/time.h"
#include "clients/cpp/options.h"

namespace qasino::client {

// The waits between attempts, as RetryPolicy describes them. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : policy_(policy), ceiling_(policy.initial_backoff) {}

  // How long to wait before the next attempt.
  absl::Duration Next();

  // The last attempt went well: begins anew with the shortest wait.
  void Reset() { ceiling_ = policy_.initial_backoff; }

 private:
  const RetryPolicy policy_;
  absl::Duration ceiling_;
  absl::BitGen random_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_BACKOFF_H_
