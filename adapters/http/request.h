#ifndef QASINO_ADAPTERS_HTTP_REQUEST_H_
#define QASINO_ADAPTERS_HTTP_REQUEST_H_

#include <string_view>

namespace qasino::http {

enum class Method { kGet, kHead, kPost, kOptions, kOther };

// The head of a request: what is asked of it. Headers that are absent are empty. All of it is
// valid as long as the exchange.
struct Request {
  Method method = Method::kOther;
  // HTTP/1.1; else 1.0, which knows no chunks and no 100 Continue.
  bool http11 = true;
  // The target's halves, not decoded.
  std::string_view path;
  std::string_view query;
  std::string_view accept;
  std::string_view accept_encoding;
  std::string_view authorization;
  std::string_view if_none_match;
  // The door wants a user and a password.
  bool needs_user = false;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_REQUEST_H_
