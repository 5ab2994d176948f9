#ifndef QASINO_CLIENTS_CPP_CHANNEL_H_
#define QASINO_CLIENTS_CPP_CHANNEL_H_

#include <grpc/impl/codegen/connectivity_state.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/options.h"

namespace grpc {
class Channel;
class ClientContext;
class Status;
}  // namespace grpc

namespace qasino::client {

// The longest wait between attempts to connect, give or take a fifth that is random: of
// clients that come in fleets, and of those that promise to be back within a second of
// their server.
inline constexpr absl::Duration kUsualReconnect = absl::Seconds(2);
inline constexpr absl::Duration kQuickReconnect = absl::Milliseconds(400);

// A channel to one service and what this library's clients need with it. Thread-safe.
class Channel {
 public:
  // `server` is how messages call the peer: "qasino-ingest". Does not connect.
  static absl::StatusOr<std::shared_ptr<const Channel>> Create(
      const ConnectOptions& options, std::string_view server,
      absl::Duration max_reconnect = kUsualReconnect);

  const std::shared_ptr<grpc::Channel>& grpc() const { return channel_; }
  const ConnectOptions& options() const { return options_; }
  // "qasino-ingest at 127.0.0.1:15601".
  const std::string& peer() const { return peer_; }

  // gRPC's state of the connection, after asking for one if `connect`.
  grpc_connectivity_state State(bool connect) const;

  // When a call that begins now must be over.
  absl::Time Deadline(const CallOptions& call) const;

  // The status of a call that has ended; IsUnreachable when no server gave it.
  absl::Status ToStatus(const grpc::Status& status) const;

 private:
  Channel(std::shared_ptr<grpc::Channel> channel, const ConnectOptions& options,
          std::string_view server);

  const std::shared_ptr<grpc::Channel> channel_;
  const ConnectOptions options_;
  const std::string peer_;
};

// Gives the call its deadline; none for InfiniteFuture.
void SetDeadline(absl::Time deadline, grpc::ClientContext* context);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_CHANNEL_H_
