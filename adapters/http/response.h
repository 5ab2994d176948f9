#ifndef QASINO_ADAPTERS_HTTP_RESPONSE_H_
#define QASINO_ADAPTERS_HTTP_RESPONSE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace qasino::http {

// An answer without its body.
struct Response {
  int status = 200;
  // Of the body; empty where there is none (204, 304).
  std::string_view content_type;
  // The body is compressed.
  bool gzip = false;
  // Further headers, each a line that ends in CRLF: "ETag: W/\"1-0-a\"\r\n".
  std::string headers;
};

// How the client knows where the body ends.
struct Framing {
  // Its length; none: chunks, or with HTTP/1.0 the end of the connection.
  std::optional<size_t> length;
  bool http11 = true;
  bool keep_alive = true;
};

// Appends the status line and all headers, with the blank line.
void AppendHead(const Response& response, const Framing& framing, std::string* out);

// "OK", "Not Found", …; empty for what this server never says.
std::string_view ReasonPhrase(int status);

// The line before a chunk of so many bytes (less than 2^32): 8 hexadecimal digits and CRLF.
std::string ChunkHead(size_t bytes);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_RESPONSE_H_
