#include "adapters/http/flags.h"

#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace qasino::http {

void AddFlags(server::CommandLine& line, HttpOptions& options) {
  line.AddOptionalPort("--http-port", &options.port,
                       "where HTTP clients connect; 0 takes a free port, \"off\" has none");
  line.AddOptionalPort("--https-port", &options.https_port,
                       "the same with TLS, open when there is a certificate");
  line.AddString("--https-cert", &options.tls_cert,
                 "PEM file with the certificate chain for HTTPS; none: that of --tls-cert");
  line.AddString("--https-key", &options.tls_key,
                 "PEM file with its private key; none: that of --tls-key");
  line.AddString("--htpasswd-file", &options.htpasswd_file,
                 "file of users, as Apache's htpasswd makes it, who may use HTTPS; none: everybody "
                 "may. It is read again when it changes");
  line.AddBool("--require-auth", &options.require_auth,
               "asks for a user over HTTP without TLS, too");
  line.AddBytes("--max-body-size", &options.max_body_bytes, 1 << 10, 1 << 30,
                "the longest body of an HTTP request, as it arrives and unpacked");
  line.AddBytes("--max-bodies-size", &options.max_bodies_bytes, 1 << 10, int64_t{1} << 40,
                "what the bodies of HTTP requests that arrive at the same time may take together; "
                "more are answered 503");
  line.AddInteger("--max-http-connections", &options.max_connections, 1, 1'000'000,
                  "HTTP connections at a time; more are answered 503");
  line.AddInteger("--http-threads", &options.threads, 0, 64,
                  "threads that serve HTTP connections; 0: one for each core, at most 4");
  line.AddDuration("--http-idle-timeout", &options.idle_timeout, absl::Seconds(1), absl::Hours(24),
                   "how long an HTTP connection may be idle");
}

void TakeProcessOptions(const server::ProcessOptions& process, HttpOptions& options) {
  options.listen = process.listen;
  if (!options.tls_cert.empty() || !options.tls_key.empty()) return;
  options.tls_cert = process.tls_cert;
  options.tls_key = process.tls_key;
}

}  // namespace qasino::http
