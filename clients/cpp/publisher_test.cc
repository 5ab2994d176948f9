#include "clients/cpp/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>

#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::HasSubstr;

v1::PublishRequest Request() {
  v1::PublishRequest request;
  request.set_identity("me");
  request.mutable_table()->set_name("t");
  return request;
}

TEST(PublisherTest, GivesTheServersAnswer) {
  FakeServer server;
  server.publish = [](auto*, const v1::PublishRequest* request, v1::PublishResponse* response) {
    EXPECT_EQ(request->table().name(), "t");
    response->set_generation(30);
    response->set_duplicate(true);
    return grpc::Status::OK;
  };
  server.Start();
  auto publisher = Publisher::Create(server.options());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  const absl::StatusOr<v1::PublishResponse> response = (*publisher)->Publish(Request());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->generation(), 30);
  EXPECT_TRUE(response->duplicate());
}

TEST(PublisherTest, TriesAgainAfterUnavailable) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.publish = [&](auto*, auto*, v1::PublishResponse* response) {
    if (++calls < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting");
    response->set_generation(60);
    return grpc::Status::OK;
  };
  server.Start();
  auto publisher = Publisher::Create(server.options());
  const auto response = (*publisher)->Publish(Request());
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->generation(), 60);
  EXPECT_EQ(calls, 3);
}

TEST(PublisherTest, GivesUpAfterTheLastAttemptWithTheServersWords) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.publish = [&](auto*, auto*, auto*) {
    ++calls;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  };
  server.Start();
  ConnectOptions options = server.options();
  options.retry.attempts = 4;
  auto publisher = Publisher::Create(options);
  const absl::Status status = (*publisher)->Publish(Request()).status();
  EXPECT_EQ(status, absl::UnavailableError("stopping"));
  EXPECT_FALSE(IsUnreachable(status));
  EXPECT_EQ(calls, 4);
}

TEST(PublisherTest, DoesNotRepeatWhatIsWrong) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.publish = [&](auto*, auto*, auto*) {
    ++calls;
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "table 't': no columns");
  };
  server.Start();
  auto publisher = Publisher::Create(server.options());
  EXPECT_EQ((*publisher)->Publish(Request()).status(),
            absl::InvalidArgumentError("table 't': no columns"));
  EXPECT_EQ(calls, 1);
}

TEST(PublisherTest, EndsAtTheTimeLimit) {
  FakeServer server;
  server.publish = [](grpc::ServerContext* context, auto*, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  auto publisher = Publisher::Create(server.options());
  const auto response = (*publisher)->Publish(Request(), {.timeout = absl::Milliseconds(100)});
  EXPECT_EQ(response.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(PublisherTest, SaysWhichServerItCannotReach) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  auto publisher = Publisher::Create(options);
  const absl::Status status = (*publisher)->Publish(Request()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsUnreachable(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("cannot reach qasino-ingest at " + options.target));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Connection refused"));
}

TEST(PublisherTest, RefusesOptionsThatAreWrong) {
  for (const char* target : {"", "localhost", "localhost:", ":1", "localhost:0", "localhost:65536",
                             "localhost:http", "::1:15601"}) {
    EXPECT_EQ(Publisher::Create({.target = target}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << target;
  }
  EXPECT_TRUE(Publisher::Create({.target = "[::1]:15601"}).ok());
  EXPECT_FALSE(Publisher::Create({.target = "a:1", .timeout = absl::ZeroDuration()}).ok());
  EXPECT_FALSE(Publisher::Create({.target = "a:1", .retry = {.attempts = 0}}).ok());
  EXPECT_FALSE(Publisher::Create({.target = "a:1", .tls = {.ca_file = "x"}}).ok());
  EXPECT_FALSE(Publisher::Create({.target = "a:1", .max_message_bytes = 0}).ok());
}

TEST(PublisherTest, NamesTheTlsFileThatIsWrong) {
  ConnectOptions options{.target = "a:1", .tls = {.enabled = true, .ca_file = "/no/such/ca.pem"}};
  absl::Status status = Publisher::Create(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'/no/such/ca.pem': No such file"));

  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/ca.pem";
  std::ofstream(path) << "this is not PEM\n";
  options.tls.ca_file = path;
  status = Publisher::Create(options).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("'" + path + "' is not a PEM file with a CERTIFICATE"));

  options.tls.ca_file.clear();
  options.tls.cert_file = path;
  status = Publisher::Create(options).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("needs its key"));

  std::ofstream(path) << "-----BEGIN CERTIFICATE-----\n?rubbish?\n-----END CERTIFICATE-----\n";
  options.tls.key_file = path;
  status = Publisher::Create(options).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

}  // namespace
}  // namespace qasino::client
