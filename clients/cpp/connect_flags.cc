#include "clients/cpp/connect_flags.h"

#include <CLI/CLI.hpp>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"

namespace qasino::client {

ConnectFlags::ConnectFlags(CLI::App* app, int default_port, absl::Duration default_timeout,
                           std::string_view environment, std::string_view server)
    : port_(absl::StrCat(default_port)), timeout_(absl::FormatDuration(default_timeout)) {
  const std::string group = "Connection";
  const std::string prefix(environment);
  app->add_option("-H,--host", host_,
                  absl::StrCat("Where ", Absl(server), " runs: name or address"))
      ->envname(prefix + "_HOST")
      ->capture_default_str()
      ->group(group);
  app->add_option("-p,--port", port_, absl::StrCat("Its gRPC port"))
      ->envname(prefix + "_PORT")
      ->capture_default_str()
      ->group(group);
  app->add_option("--timeout", timeout_,
                  "Give up after so long, such as 500ms, 30s, 2m or a number of seconds")
      ->capture_default_str()
      ->group(group);
  app->add_flag("--tls", tls_, "Speak TLS")->group(group);
  app->add_option("--tls-ca", tls_options_.ca_file,
                  "PEM file with the authorities that the server's certificate must be from")
      ->group(group);
  app->add_option("--tls-cert", tls_options_.cert_file,
                  "PEM file with the certificate to show to the server")
      ->group(group);
  app->add_option("--tls-key", tls_options_.key_file, "PEM file with that certificate's key")
      ->group(group);
  app->add_option("--tls-server-name", tls_options_.server_name,
                  "The name that the server's certificate must have; else the host")
      ->group(group);
}

absl::StatusOr<ConnectOptions> ConnectFlags::options() const {
  ConnectOptions options;
  int port = 0;
  if (!absl::SimpleAtoi(port_, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--port '", port_, "' is not a port, 1 to 65535"));
  }
  if (host_.empty()) return absl::InvalidArgumentError("--host is empty");
  const bool bare_ipv6 = host_.find(':') != std::string::npos && host_.front() != '[';
  options.target =
      bare_ipv6 ? absl::StrCat("[", host_, "]:", port) : absl::StrCat(host_, ":", port);

  double seconds = 0;
  if (absl::SimpleAtod(timeout_, &seconds)) {
    options.timeout = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(timeout_, &options.timeout)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout '", timeout_, "' is not a time, such as 500ms, 30s or 2m"));
  }
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  if (std::isnan(seconds) || options.timeout <= absl::ZeroDuration() ||
      options.timeout > kLongest) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout '", timeout_, "' must be more than 0 and at most a year"));
  }

  options.tls = tls_options_;
  options.tls.enabled = tls_ || !tls_options_.ca_file.empty() || !tls_options_.cert_file.empty() ||
                        !tls_options_.key_file.empty() || !tls_options_.server_name.empty();
  if (absl::Status status = Validate(options); !status.ok()) return status;
  return options;
}

}  // namespace qasino::client
