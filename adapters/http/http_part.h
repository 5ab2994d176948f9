#ifndef QASINO_ADAPTERS_HTTP_HTTP_PART_H_
#define QASINO_ADAPTERS_HTTP_HTTP_PART_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "adapters/upstream/upstream.h"
#include "services/server/part.h"
#include "services/server/process.h"

namespace prometheus {
class Registry;
}

namespace qasino::http {

struct HttpOptions {
  // The IP address of both doors.
  std::string listen = "127.0.0.1";
  // -1: no such door; 0: a free port.
  int port = 15597;
  // Opened only where there is a certificate.
  int https_port = 15443;
  // PEM files, both or none; heeded as they change.
  std::string tls_cert, tls_key;
  // Who may come: Apache's htpasswd, heeded as it changes. Over HTTPS it is asked for always,
  // over HTTP with require_auth, which needs it. Empty: everybody.
  std::string htpasswd_file;
  bool require_auth = false;
  // The name that answers give as the server's.
  std::string identity = "localhost";
  // The longest body of a request, packed and unpacked. 1 KiB to 1 GiB.
  int64_t max_body_bytes = 32 << 20;
  // What the bodies that are read at the same time may take together; one that passes it is
  // told 503. At least max_body_bytes.
  int64_t max_bodies_bytes = 512 << 20;
  // Over both doors; more are told 503 and closed. At least 1.
  int64_t max_connections = 20'000;
  // How long a connection may be idle; how long a request's head may take, and its body, with
  // a second more for each 64 KiB of it; how long a client may take no byte of its answer.
  // All more than 0, and heeded within half a second.
  absl::Duration idle_timeout = absl::Seconds(75);
  absl::Duration receive_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Seconds(60);
  // How long a query may run on whose client has ended what it sends: it may be waiting for
  // the answer, or be gone.
  absl::Duration half_closed_timeout = absl::Seconds(5);
  // 0: as many as the machine has cores, at most 4. At most 64.
  int64_t threads = 0;
  adapters::UpstreamOptions upstream;
};

// The doors of the original's HTTP clients: /request with all its operations, by HTTP/1.1
// (keep-alive, pipelining, chunks, gzip both ways) and the same over TLS; /livez and /readyz,
// which ask nobody who he is. A request's head has at most 16 KiB.
//
//   auto part = HttpPart::Create(options, process->metrics());
//   process->Add(**part, (*part)->doors());
//
// It holds no state but that of its connections; what it is asked goes to ingest and query.
class HttpPart final : public server::Part {
 public:
  // Opens the doors and answers from now on. INVALID_ARGUMENT for options and files that are
  // wrong; other errors when an address cannot be had. `registry` outlives the part.
  static absl::StatusOr<std::unique_ptr<HttpPart>> Create(const HttpOptions& options,
                                                          prometheus::Registry& registry);
  // Drains, without waiting for what runs.
  ~HttpPart() override;

  // "http" and, where there is a certificate, "https", as they were opened.
  std::vector<server::Process::Door> doors() const;

  std::string_view name() const override { return "http"; }
  // Whether ingest and query are there.
  absl::Status Ready() const override;
  // Takes no new connections, closes those that are idle, lets requests that run finish
  // until the deadline, then lets go of ingest and query, and of all connections.
  void Drain(absl::Time deadline) override;

 private:
  struct State;
  explicit HttpPart(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_HTTP_PART_H_
