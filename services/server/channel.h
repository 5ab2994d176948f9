#ifndef QASINO_SERVICES_SERVER_CHANNEL_H_
#define QASINO_SERVICES_SERVER_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class Channel;
}

namespace qasino::server {

// How a service reaches another one.
struct ChannelOptions {
  std::string target;  // host:port
  // PEM file with the authorities to trust; empty: plain text.
  std::string tls_ca;
  // PEM files with this client's own certificate and key, for a server that asks
  // for one; both or none, and only with tls_ca.
  std::string tls_cert, tls_key;
  int64_t max_message_bytes = 64 << 20;
};

// A channel that connects by itself, again after a loss, within 2 s of the peer's
// coming back, and notices a silent peer by keepalive pings. Nothing is sent yet.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ChannelOptions& options);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_CHANNEL_H_
