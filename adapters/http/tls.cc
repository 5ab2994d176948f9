#include "adapters/http/tls.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <exception>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "services/server/log.h"

namespace qasino::http {

namespace {

namespace ssl = boost::asio::ssl;

absl::StatusOr<std::shared_ptr<ssl::context>> MakeContext(const std::string& cert_file,
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

}  // namespace

absl::StatusOr<std::unique_ptr<TlsFiles>> TlsFiles::Create(std::string cert_file,
                                                           std::string key_file) {
  const Stamp stamp = Look(cert_file, key_file);
  auto context = MakeContext(cert_file, key_file);
  if (!context.ok()) return context.status();
  return std::unique_ptr<TlsFiles>(
      new TlsFiles(std::move(cert_file), std::move(key_file), stamp, *std::move(context)));
}

TlsFiles::TlsFiles(std::string cert_file, std::string key_file, Stamp stamp,
                   std::shared_ptr<Context> context)
    : cert_file_(std::move(cert_file)),
      key_file_(std::move(key_file)),
      stamp_(stamp),
      context_(std::move(context)),
      looked_(std::chrono::steady_clock::now()) {}

TlsFiles::Stamp TlsFiles::Look(const std::string& cert_file, const std::string& key_file) {
  Stamp stamp;
  int64_t* value = stamp.values.data();
  for (const std::string& file : {cert_file, key_file}) {
    struct stat found = {};
    stat(file.c_str(), &found);
    *value++ = static_cast<int64_t>(found.st_ino);
    *value++ = found.st_size;
    *value++ = found.st_mtim.tv_sec;
    *value++ = found.st_mtim.tv_nsec;
  }
  return stamp;
}

std::shared_ptr<TlsFiles::Context> TlsFiles::Current() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < std::chrono::seconds(1)) return context_;
  looked_ = now;
  const Stamp stamp = Look(cert_file_, key_file_);
  if (stamp == stamp_) return context_;
  stamp_ = stamp;
  if (auto context = MakeContext(cert_file_, key_file_); context.ok()) {
    context_ = *std::move(context);
    log::Info("http", "certificate read again", {{"file", cert_file_}});
  } else {
    log::Warn("http", "certificate has changed and is no good", {{"error", context.status()}});
  }
  return context_;
}

}  // namespace qasino::http
