#ifndef QASINO_CLIENTS_CPP_CONNECT_FLAGS_H_
#define QASINO_CLIENTS_CPP_CONNECT_FLAGS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/options.h"

namespace CLI {
class App;
}

namespace qasino::client {

// What `qasinosql --version` and its like say.
inline constexpr char kVersion[] = "0.1.0";

// The flags by which a client program is told how to reach its service:
//
//   -H/--host, -p/--port, --timeout, --tls, --tls-ca, --tls-cert, --tls-key,
//   --tls-server-name; any of the last four turns TLS on.
//
// It outlives the parsing of the command line.
class ConnectFlags {
 public:
  // `environment` begins the variables of host and port: "QASINO_SQL" gives
  // QASINO_SQL_HOST and QASINO_SQL_PORT, which the flags beat. `server` is the program
  // that is reached, for the help.
  ConnectFlags(CLI::App* app, int default_port, absl::Duration default_timeout,
               std::string_view environment, std::string_view server);
  ConnectFlags(const ConnectFlags&) = delete;
  ConnectFlags& operator=(const ConnectFlags&) = delete;

  // What the flags say. INVALID_ARGUMENT names the flag that is wrong.
  absl::StatusOr<ConnectOptions> options() const;

 private:
  std::string host_ = "127.0.0.1";
  std::string port_;
  std::string timeout_;
  bool tls_ = false;
  TlsOptions tls_options_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_CONNECT_FLAGS_H_
