#include "adapters/http/response.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <iterator>

#include "adapters/http/date.h"

namespace qasino::http {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

void AppendHead(const Response& response, const Framing& framing, std::string* out) {
  auto end = std::back_inserter(*out);
  fmt::format_to(end, FMT_COMPILE("HTTP/1.1 {} {}\r\nDate: {}\r\nServer: qasino\r\n"),
                 response.status, ReasonPhrase(response.status), HttpDate());
  if (!response.content_type.empty()) {
    fmt::format_to(end, FMT_COMPILE("Content-Type: {}\r\n"), response.content_type);
  }
  if (response.gzip) out->append("Content-Encoding: gzip\r\n");
  out->append(response.headers);
  if (framing.length && response.status != 204 && response.status != 304) {
    fmt::format_to(end, FMT_COMPILE("Content-Length: {}\r\n"), *framing.length);
  } else if (!framing.length && framing.http11) {
    out->append("Transfer-Encoding: chunked\r\n");
  }
  if (!framing.keep_alive) {
    out->append("Connection: close\r\n");
  } else if (!framing.http11) {
    out->append("Connection: keep-alive\r\n");
  }
  out->append("\r\n");
}

std::string ChunkHead(size_t bytes) { return fmt::format(FMT_COMPILE("{:08x}\r\n"), bytes); }

}  // namespace qasino::http
