#include "clients/cpp/store_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::HasSubstr;

TEST(StoreClientTest, DropsAStaticTable) {
  FakeServer server;
  server.drop_static = [](auto*, const v1::DropStaticTableRequest* request,
                          v1::DropStaticTableResponse* response) {
    EXPECT_EQ(request->table_name(), "owners");
    response->set_generation(30);
    response->set_revision(2);
    return grpc::Status::OK;
  };
  server.Start();
  auto store = StoreClient::Create(server.options());
  ASSERT_TRUE(store.ok()) << store.status();
  const auto response = (*store)->DropStaticTable("owners");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->generation(), 30);
  EXPECT_EQ(response->revision(), 2);
}

TEST(StoreClientTest, DropsAPersistentTableAtOnceOrFromAGenerationOn) {
  FakeServer server;
  v1::DropPersistentTableRequest seen;
  server.drop_persistent = [&](auto*, const v1::DropPersistentTableRequest* request, auto*) {
    seen = *request;
    return grpc::Status::OK;
  };
  server.Start();
  auto store = StoreClient::Create(server.options());
  ASSERT_TRUE((*store)->DropPersistentTable("web1", "disks").ok());
  EXPECT_EQ(seen.identity(), "web1");
  EXPECT_EQ(seen.table_name(), "disks");
  EXPECT_EQ(seen.generation(), 0);

  v1::DropPersistentTableRequest request;
  request.set_identity("web2");
  request.set_table_name("mounts");
  request.set_generation(60);
  ASSERT_TRUE((*store)->DropPersistentTable(request).ok());
  EXPECT_EQ(seen.identity(), "web2");
  EXPECT_EQ(seen.table_name(), "mounts");
  EXPECT_EQ(seen.generation(), 60);
}

TEST(StoreClientTest, ListsTheGenerations) {
  FakeServer server;
  server.list_generations = [](auto*, auto*, v1::ListGenerationsResponse* response) {
    response->add_generations()->set_generation(60);
    response->add_generations()->set_generation(30);
    return grpc::Status::OK;
  };
  server.Start();
  auto store = StoreClient::Create(server.options());
  const auto response = (*store)->ListGenerations();
  ASSERT_TRUE(response.ok()) << response.status();
  ASSERT_EQ(response->generations_size(), 2);
  EXPECT_EQ(response->generations(0).generation(), 60);
}

TEST(StoreClientTest, TriesAgainAfterUnavailableAndNotAfterARefusal) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.drop_static = [&](auto*, auto*, auto*) {
    return ++calls < 3 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting")
                       : grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no static table 'x'");
  };
  server.Start();
  auto store = StoreClient::Create(server.options());
  EXPECT_EQ((*store)->DropStaticTable("x").status(),
            absl::NotFoundError("there is no static table 'x'"));
  EXPECT_EQ(calls, 3);
}

TEST(StoreClientTest, EndsAtTheTimeLimit) {
  FakeServer server;
  server.list_generations = [](grpc::ServerContext* context, auto*, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  auto store = StoreClient::Create(server.options());
  EXPECT_EQ((*store)->ListGenerations({.timeout = absl::Milliseconds(100)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(StoreClientTest, SaysWhichServerItCannotReach) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  auto store = StoreClient::Create(options);
  const absl::Status status = (*store)->DropPersistentTable("web1", "disks").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(IsUnreachable(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("cannot reach qasino-store at " + options.target));
}

TEST(StoreClientTest, RefusesOptionsThatAreWrong) {
  EXPECT_EQ(StoreClient::Create({.target = "nowhere"}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qasino::client
