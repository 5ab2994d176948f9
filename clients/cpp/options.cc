#include "clients/cpp/options.h"

#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/unreachable.h"

namespace qasino::client {
namespace {

constexpr char kUnreachable[] = "qasino.client/unreachable";

absl::Status ValidateTarget(std::string_view target) {
  // gRPC's own forms, such as dns:///host:port and unix:/path.
  if (target.find(":/") != std::string_view::npos) return absl::OkStatus();
  const size_t colon = target.rfind(':');
  int port = 0;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(Absl(target.substr(colon + 1)), &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("the server's address '", Absl(target), "' is not host:port"));
  }
  const std::string_view host = target.substr(0, colon);
  if (host.find(':') != std::string_view::npos && (host.front() != '[' || host.back() != ']')) {
    return absl::InvalidArgumentError(
        absl::StrCat("the server's address '", Absl(target),
                     "' needs its IPv6 address in brackets: [::1]:15601"));
  }
  return absl::OkStatus();
}

absl::Status ValidateTls(const TlsOptions& tls) {
  if (!tls.enabled && !(tls.ca_file.empty() && tls.cert_file.empty() && tls.key_file.empty() &&
                        tls.server_name.empty())) {
    return absl::InvalidArgumentError("TLS files or a server name are given, but TLS is not on");
  }
  if (tls.cert_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError(
        "a TLS client certificate needs its key, and the key its certificate");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const ConnectOptions& options) {
  if (options.channel == nullptr) {
    if (absl::Status status = ValidateTarget(options.target); !status.ok()) return status;
    if (absl::Status status = ValidateTls(options.tls); !status.ok()) return status;
  }
  if (options.timeout <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the time limit of a call must be more than 0");
  }
  if (options.retry.attempts < 1) {
    return absl::InvalidArgumentError("the number of attempts must be at least 1");
  }
  if (options.retry.initial_backoff <= absl::ZeroDuration() ||
      options.retry.max_backoff < options.retry.initial_backoff) {
    return absl::InvalidArgumentError(
        "the first backoff must be more than 0, and the longest at least as long");
  }
  if (options.max_message_bytes < 1 || options.max_message_bytes > (1 << 30)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the longest message must be 1 byte to 1 GiB, not ", options.max_message_bytes, " bytes"));
  }
  if (options.keepalive < absl::Seconds(10)) {
    return absl::InvalidArgumentError("the keepalive must be at least 10 s");
  }
  return absl::OkStatus();
}

bool IsUnreachable(const absl::Status& status) {
  return status.GetPayload(kUnreachable).has_value();
}

absl::Status UnreachableError(std::string_view message) {
  absl::Status status = absl::UnavailableError(Absl(message));
  status.SetPayload(kUnreachable, absl::Cord());
  return status;
}

}  // namespace qasino::client
