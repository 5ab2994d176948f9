#include "adapters/http/response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace qasino::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Head(const Response& response, const Framing& framing) {
  std::string text = "before";
  AppendHead(response, framing, &text);
  return text;
}

TEST(ResponseTest, AHead) {
  const Response response = {.status = 200,
                             .content_type = "text/csv",
                             .gzip = true,
                             .headers = "Qasino-Generation: 7\r\n"};
  const std::string head = Head(response, {.length = 12});
  EXPECT_THAT(head, StartsWith("beforeHTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(head, EndsWith(" GMT\r\nServer: qasino\r\nContent-Type: text/csv\r\n"
                             "Content-Encoding: gzip\r\nQasino-Generation: 7\r\n"
                             "Content-Length: 12\r\n\r\n"));
}

TEST(ResponseTest, HowTheBodyEnds) {
  EXPECT_THAT(Head({}, {}), HasSubstr("Transfer-Encoding: chunked\r\n\r\n"));
  EXPECT_THAT(Head({}, {.http11 = false, .keep_alive = false}),
              EndsWith("qasino\r\nConnection: close\r\n\r\n"));
  EXPECT_THAT(Head({}, {.length = 0, .http11 = false}),
              EndsWith("Content-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_THAT(Head({.status = 304}, {.length = 0}), Not(HasSubstr("Content-Length")));
}

TEST(ResponseTest, EveryStatusHasItsWords) {
  for (const int status :
       {200, 204, 304, 400, 401, 404, 405, 408, 413, 415, 417, 429, 431, 500, 503, 504, 505}) {
    EXPECT_NE(ReasonPhrase(status), "") << status;
  }
}

TEST(ResponseTest, ChunkHeads) {
  EXPECT_EQ(ChunkHead(0x1a2b), "00001a2b\r\n");
  EXPECT_EQ(ChunkHead(1).size(), 10u);
}

}  // namespace
}  // namespace qasino::http
