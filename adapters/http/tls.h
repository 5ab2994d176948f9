#ifndef QASINO_ADAPTERS_HTTP_TLS_H_
#define QASINO_ADAPTERS_HTTP_TLS_H_

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace qasino::http {

// A server's side of TLS 1.2 and later, with the certificate chain and key of these PEM
// files. INVALID_ARGUMENT: a file cannot be read, or they do not belong together.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeTlsContext(
    const std::string& cert_file, const std::string& key_file);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_TLS_H_
