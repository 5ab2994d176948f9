#include "clients/cpp/channel.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/unreachable.h"

namespace qasino::client {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;

// Whether `text` has a block of PEM whose label ends with `label`, in sound Base64.
bool HasPem(std::string_view text, std::string_view label) {
  const std::string end_of_line = absl::StrCat(Absl(label), "-----");
  const size_t begin = text.find("-----BEGIN ");
  if (begin == std::string_view::npos) return false;
  const size_t body = text.find(end_of_line, begin);
  const size_t end = text.find("-----END ", begin);
  if (body == std::string_view::npos || end == std::string_view::npos || body > end) return false;
  const size_t from = body + end_of_line.size();
  // Old keys have headers, such as how they are encrypted, which gRPC will judge.
  const absl::string_view base64 = Absl(text.substr(from, end - from));
  std::string bytes;
  return absl::StrContains(base64, ":") || (absl::Base64Unescape(base64, &bytes) && !bytes.empty());
}

absl::StatusOr<std::string> ReadPem(std::string_view what, const std::string& path,
                                    std::string_view label) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", Absl(what), " '", path, "': ", std::strerror(errno)));
  }
  std::string text(kMaxPemBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const int error = std::ferror(file) != 0 ? errno : 0;
  std::fclose(file);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", Absl(what), " '", path, "': ", std::strerror(error)));
  }
  if (text.size() > kMaxPemBytes || !HasPem(text, label)) {
    return absl::InvalidArgumentError(
        absl::StrCat(Absl(what), " '", path, "' is not a PEM file with a ", Absl(label)));
  }
  return text;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const TlsOptions& tls) {
  if (!tls.enabled) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions ssl;
  struct Part {
    std::string_view what;
    const std::string& path;
    std::string_view label;
    std::string* text;
  };
  for (const Part& part :
       {Part{"TLS authority file", tls.ca_file, "CERTIFICATE", &ssl.pem_root_certs},
        Part{"TLS certificate file", tls.cert_file, "CERTIFICATE", &ssl.pem_cert_chain},
        Part{"TLS key file", tls.key_file, "PRIVATE KEY", &ssl.pem_private_key}}) {
    if (part.path.empty()) continue;
    absl::StatusOr<std::string> text = ReadPem(part.what, part.path, part.label);
    if (!text.ok()) return text.status();
    *part.text = *std::move(text);
  }
  return grpc::SslCredentials(ssl);
}

// gRPC's account of a failed connection ends with the one reason that helps.
std::string_view Reason(std::string_view message) {
  constexpr std::string_view kMarker = "last error: ";
  const size_t at = message.find(kMarker);
  if (at == std::string_view::npos) return message;
  message.remove_prefix(at + kMarker.size());
  constexpr std::string_view kCode = "UNKNOWN: ";
  if (message.starts_with(kCode)) message.remove_prefix(kCode.size());
  return message;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Channel>> Channel::Create(const ConnectOptions& options,
                                                               std::string_view server,
                                                               absl::Duration max_reconnect) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (options.channel != nullptr) {
    return std::shared_ptr<const Channel>(new Channel(options.channel, options, server));
  }
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = Credentials(options.tls);
  if (!credentials.ok()) return credentials.status();

  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  arguments.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(max_reconnect)));
  if (max_reconnect <= kQuickReconnect) {
    // How long an attempt may take; gRPC's own 20 s would be waited out in full when packets
    // were lost while the server was away.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  }
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.keepalive)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  // Pings go on while a stream is quiet.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Servers are near; http_proxy in the environment is meant for the web.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!options.tls.server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls.server_name);
  }
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(options.target, *credentials, arguments);
  // What gRPC makes of a target that it does not understand.
  if (channel->GetState(false) == GRPC_CHANNEL_SHUTDOWN) {
    return absl::InvalidArgumentError(
        absl::StrCat("the server's address '", options.target, "' cannot be used"));
  }
  return std::shared_ptr<const Channel>(new Channel(std::move(channel), options, server));
}

Channel::Channel(std::shared_ptr<grpc::Channel> channel, const ConnectOptions& options,
                 std::string_view server)
    : channel_(std::move(channel)),
      options_(options),
      peer_(absl::StrCat(Absl(server), " at ", options.target)) {}

grpc_connectivity_state Channel::State(bool connect) const { return channel_->GetState(connect); }

absl::Time Channel::Deadline(const CallOptions& call) const {
  return absl::Now() + (call.timeout > absl::ZeroDuration() ? call.timeout : options_.timeout);
}

absl::Status Channel::ToStatus(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const grpc_connectivity_state state = State(/*connect=*/false);
  // By now the connection may be there that the call did not have.
  const bool refused =
      absl::StartsWith(status.error_message(), "failed to connect to all addresses");
  if (code == absl::StatusCode::kUnavailable && (refused || state != GRPC_CHANNEL_READY)) {
    return UnreachableError(
        absl::StrCat("cannot reach ", peer_, ": ", Absl(Reason(status.error_message()))));
  }
  if (code == absl::StatusCode::kDeadlineExceeded &&
      (state == GRPC_CHANNEL_CONNECTING || state == GRPC_CHANNEL_TRANSIENT_FAILURE)) {
    return UnreachableError(
        absl::StrCat("cannot reach ", peer_, ": no connection within the time limit"));
  }
  return absl::Status(code, status.error_message());
}

void SetDeadline(absl::Time deadline, grpc::ClientContext* context) {
  if (deadline != absl::InfiniteFuture()) context->set_deadline(absl::ToChronoTime(deadline));
}

}  // namespace qasino::client
