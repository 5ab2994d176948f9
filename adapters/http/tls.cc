#include "adapters/http/tls.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <exception>
#include <string_view>

#include "absl/status/status.h"

namespace qasino::http {

namespace ssl = boost::asio::ssl;

absl::StatusOr<std::shared_ptr<ssl::context>> MakeTlsContext(const std::string& cert_file,
                                                             const std::string& key_file) {
  const auto fault = [](std::string_view what, const std::string& file, const auto& error) {
    return absl::InvalidArgumentError(fmt::format("{} '{}': {}", what, file, error.message()));
  };
  try {
    auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
    boost::system::error_code error;
    if (context->use_certificate_chain_file(cert_file, error)) {
      return fault("the certificate", cert_file, error);
    }
    if (context->use_private_key_file(key_file, ssl::context::pem, error)) {
      return fault("the key", key_file, error);
    }
    SSL_CTX* const native = context->native_handle();
    if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1) {
      return absl::InternalError("TLS 1.2 is not to be had");
    }
    SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // Idle connections hold less.
    SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
    // Clients keep their sessions, in tickets.
    SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
    return context;
  } catch (const std::exception& error) {
    return absl::InternalError(fmt::format("TLS cannot be set up: {}", error.what()));
  }
}

}  // namespace qasino::http
