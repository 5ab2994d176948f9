#include "services/server/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/server/http_get.h"

namespace qasino::server {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Failing : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    if (fails) throw std::runtime_error("no luck");
    return {};
  }
  std::atomic<bool> fails = false;
};

class MetricsServerTest : public ::testing::Test {
 protected:
  MetricsServerTest() {
    auto server = MetricsServer::Create(
        {.address = "127.0.0.1",
         .port = 0,
         .collectables = {&registry_, &failing_},
         .readiness = [this] {
           return ready_ ? Readiness{true, "ingest: ready\n"} : Readiness{false, "ingest: waits\n"};
         }});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  prometheus::Registry registry_;
  Failing failing_;
  std::atomic<bool> ready_ = false;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, Metrics) {
  prometheus::BuildCounter()
      .Name("qasino_rows_total")
      .Help("Rows.")
      .Register(registry_)
      .Add({{"reason", "size"}})
      .Increment(3);
  EXPECT_GT(server_->port(), 0);
  EXPECT_THAT(
      HttpGet(server_->port(), "/metrics"),
      AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: text/plain; version=0.0.4"),
            HasSubstr("\nqasino_rows_total{reason=\"size\"} 3\n")));
  EXPECT_THAT(HttpGet(server_->port(), "/metrics?x=1"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(MetricsServerTest, AScrapeThatFailsIsAnError) {
  failing_.fails = true;
  EXPECT_THAT(HttpGet(server_->port(), "/metrics"), StartsWith("HTTP/1.1 500 "));
  failing_.fails = false;
  EXPECT_THAT(HttpGet(server_->port(), "/metrics"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(MetricsServerTest, LiveAndReady) {
  EXPECT_THAT(HttpGet(server_->port(), "/livez"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\nok\n")));
  EXPECT_THAT(HttpGet(server_->port(), "/readyz"),
              AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\ningest: waits\n")));
  ready_ = true;
  EXPECT_THAT(HttpGet(server_->port(), "/readyz"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\ningest: ready\n")));
}

TEST_F(MetricsServerTest, AnythingElseIsRefused) {
  for (const char* path : {"/", "/metrics/", "/metricsx", "/../etc/passwd", "/livez/x"}) {
    EXPECT_THAT(HttpGet(server_->port(), path), StartsWith("HTTP/1.1 404 ")) << path;
  }
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    EXPECT_THAT(Exchange(server_->port(), method + " /metrics HTTP/1.1\r\nHost: x\r\n"
                                                   "Content-Length: 0\r\n\r\n"),
                AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD")))
        << method;
  }
  EXPECT_THAT(Exchange(server_->port(), "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
  // Neither nonsense nor a head without end makes it stop.
  Exchange(server_->port(), "\x16\x03\x01 nonsense\r\n\r\n");
  Exchange(server_->port(), "GET /livez HTTP/1.1\r\nX: " + std::string(100000, 'x') + "\r\n\r\n");
  EXPECT_THAT(HttpGet(server_->port(), "/livez"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(MetricsServerTest, ATakenPortIsNamed) {
  const auto second = MetricsServer::Create(
      {.address = "127.0.0.1", .port = server_->port(), .collectables = {}, .readiness = [] {
         return Readiness();
       }});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()),
              StartsWith("cannot listen on 127.0.0.1:" + std::to_string(server_->port()) +
                         ": address already in use"));
}

}  // namespace
}  // namespace qasino::server
