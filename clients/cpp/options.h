#ifndef QASINO_CLIENTS_CPP_OPTIONS_H_
#define QASINO_CLIENTS_CPP_OPTIONS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Channel;
}

namespace qasino::client {

// Transport security. Paths are of PEM files, read once when a client is created.
struct TlsOptions {
  // False: plain text, and the rest must be empty.
  bool enabled = false;
  // The authorities to trust. Empty: those that gRPC trusts by itself.
  std::string ca_file;
  // The certificate and key to show to the server; both or none.
  std::string cert_file;
  std::string key_file;
  // The name that the server's certificate must have. Empty: the target's host.
  std::string server_name;
};

// How often and how fast a call that failed with UNAVAILABLE is tried again. The wait
// before attempt n+1 is between 0 and initial_backoff * 2^(n-1), at most max_backoff: a
// random part of it, so that many clients do not come back at the same instant.
struct RetryPolicy {
  // Tries in all; 1 is no retry. At least 1. Streams that live long (PublishStream,
  // GenerationWatcher) do not count attempts.
  int attempts = 5;
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(2);
  // False: always the whole wait. For tests.
  bool jitter = true;
};

// How to reach one service. Clients of the same target share a connection.
struct ConnectOptions {
  // "host:port"; an IPv6 address in brackets.
  std::string target;
  // A channel to the service that is there already, in the place of one that the client makes:
  // `target` is then only how messages call it, and the limits of messages, `tls` and `keepalive`
  // are the channel's own. Not gRPC's channel without a socket, which has no state.
  std::shared_ptr<grpc::Channel> channel;
  TlsOptions tls;
  // The time limit of a call that does not bring its own. More than 0.
  absl::Duration timeout = absl::Seconds(30);
  RetryPolicy retry;
  // The longest message that is sent or received. 1 to 1 GiB.
  int64_t max_message_bytes = 64 << 20;
  // A peer that is silent for so long during a call is asked whether it lives, and the
  // connection is given up when it does not answer within 10 s. At least 10 s.
  absl::Duration keepalive = absl::Seconds(30);
};

// What one call may differ in.
struct CallOptions {
  // The call's time limit, retries included. 0: as in ConnectOptions.
  absl::Duration timeout = absl::ZeroDuration();
};

// INVALID_ARGUMENT with a sentence about the first value that is out of its range.
absl::Status Validate(const ConnectOptions& options);

// True when `status`, from a client of this library, says that the server was not
// reached or the connection to it was lost, rather than that the server refused.
bool IsUnreachable(const absl::Status& status);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_OPTIONS_H_
