#ifndef QASINO_ADAPTERS_HTTP_TLS_H_
#define QASINO_ADAPTERS_HTTP_TLS_H_

#include <array>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace qasino::http {

// A server's side of TLS 1.2 and later, with the certificate chain and key of two PEM files,
// which are read again when they change.
//
// Used by one thread at a time.
class TlsFiles {
 public:
  using Context = boost::asio::ssl::context;

  // INVALID_ARGUMENT: a file cannot be read, or they do not belong together.
  static absl::StatusOr<std::unique_ptr<TlsFiles>> Create(std::string cert_file,
                                                          std::string key_file);

  // For the next connection; never null. Whether the files have changed is looked at once a
  // second at most; when they are no good then, that is logged, and it stays with those that
  // it has.
  std::shared_ptr<Context> Current();

 private:
  // What tells one state of the files from the next.
  struct Stamp {
    std::array<int64_t, 8> values = {};
    bool operator==(const Stamp&) const = default;
  };

  TlsFiles(std::string cert_file, std::string key_file, Stamp stamp,
           std::shared_ptr<Context> context);
  static Stamp Look(const std::string& cert_file, const std::string& key_file);

  const std::string cert_file_;
  const std::string key_file_;
  Stamp stamp_;
  std::shared_ptr<Context> context_;
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_TLS_H_
