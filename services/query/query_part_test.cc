#include "services/query/query_part.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/query/query_part_fixture.h"

namespace qasino::query {
namespace {

TEST_F(QueryPartTest, AnErrorFitsIntoAnyClientsHeaders) {
  Start();
  WaitUntilReady();
  const Answer answer = Ask("SELECT " + std::string(50'000, 'a'));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), testing::StartsWith("no such column: aaa"));
  EXPECT_LT(answer.status.error_message().size(), 2'100);
  // Cut off between two characters.
  std::string wide = "SELECT x";
  for (int i = 0; i < 5'000; ++i) wide += "ä";
  EXPECT_THAT(Ask(wide).status.error_message(), testing::EndsWith("ä ..."));
}

TEST_F(QueryPartTest, IsReadyWithTheEmptySnapshot) {
  Start();
  WaitUntilReady();
  const Answer answer = Ask("SELECT 7");
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.first_integer, 7);
  EXPECT_TRUE(answer.has_summary);
  EXPECT_EQ(answer.snapshot.generation(), 0);
  EXPECT_EQ(answer.snapshot.identity(), "query");
}

TEST_F(QueryPartTest, SaysWhenThereIsNoSnapshotYet) {
  store_.Stop();
  Start({}, false);
  EXPECT_FALSE(part_->Ready().ok());
  const Answer answer = Ask("SELECT 1");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(answer.status.error_message().find("no snapshot has reached this server yet"),
            std::string::npos);
}

TEST_F(QueryPartTest, SwapsSnapshotsAndFetchesEachShardOnce) {
  Start();
  const auto a = Shard("a", 60, 10);
  const auto b = Shard("b", 60, 5);
  store_.Offer(ManifestOf(60, {a}), {a});
  EXPECT_EQ(AskAt(60, 1, "SELECT count(*) FROM t").first_integer, 10);
  v1::Manifest second = ManifestOf(60, {a, b});
  second.set_revision(2);
  store_.Offer(second, {b});
  const Answer answer = AskAt(60, 2, "SELECT count(*) FROM t");
  EXPECT_EQ(answer.first_integer, 15);
  EXPECT_EQ(answer.snapshot.publishers(), 2);
  EXPECT_EQ(store_.fetches(), 2);
}

TEST_F(QueryPartTest, ALargeShardArrivesWhole) {
  Start();
  FakeShard shard("large", 60);
  shard.Table("t", {"x INTEGER", "y BLOB"});
  shard.Publish("host", "t", {"7, zeroblob(5000001)", "8, x'00ff'"});
  const auto sealed = shard.Seal();
  store_.Offer(ManifestOf(60, {sealed}), {sealed});
  EXPECT_EQ(AskAt(60, 1, "SELECT sum(length(y)) FROM t").first_integer, 5'000'003);
}

TEST_F(QueryPartTest, NeverGoesBackToAnOlderGeneration) {
  Start();
  const auto a = Shard("a", 60, 10);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  store_.Offer(ManifestOf(0, {}), {});
  const auto c = Shard("c", 90, 3);
  store_.Offer(ManifestOf(90, {c}), {c});
  EXPECT_EQ(AskAt(90, 1, "SELECT count(*) FROM t").first_integer, 3);
}

TEST_F(QueryPartTest, ADamagedTransferIsTriedAgain) {
  Start();
  WaitUntilReady();
  const auto a = Shard("a", 60, 10);
  store_.DamageNext();
  store_.Offer(ManifestOf(60, {a}), {a});
  EXPECT_EQ(AskAt(60, 1, "SELECT count(*) FROM t").first_integer, 10);
  EXPECT_GE(store_.fetches(), 2);
}

TEST_F(QueryPartTest, GoesOnServingWhenTheStoreIsAway) {
  Start();
  const auto a = Shard("a", 60, 10);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  store_.Stop();
  store_listener_->Stop();
  store_server_->Shutdown();
  store_server_.reset();
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 10);
  EXPECT_TRUE(part_->Ready().ok());
}

TEST_F(QueryPartTest, LargeAnswersArriveWhole) {
  Start();
  const auto a = Shard("a", 60, 20000);
  store_.Offer(ManifestOf(60, {a}), {a});
  const Answer answer = AskAt(60, 1, "SELECT * FROM t");
  EXPECT_TRUE(answer.status.ok());
  EXPECT_EQ(answer.rows, 20000u);
  EXPECT_TRUE(answer.has_summary);
}

TEST_F(QueryPartTest, ErrorsHaveTheirCodes) {
  QueryOptions options;
  options.timeout = absl::Milliseconds(50);
  options.max_rows = 3;
  Start(options);
  WaitUntilReady();
  EXPECT_EQ(Ask("SELECT nonsense").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Ask("DROP TABLE qasino_server_info").status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  const char* const endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  const Answer slow = Ask(endless);
  EXPECT_EQ(slow.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(slow.status.error_message(), "the query ran longer than 50ms (--query-timeout)");
  const Answer many = Ask("VALUES (1), (2), (3), (4)");
  EXPECT_EQ(many.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(many.rows, 3u);
  EXPECT_FALSE(many.has_summary);
}

TEST_F(QueryPartTest, ManyQueriesAtOnceUnderSwaps) {
  Start();
  WaitUntilReady();
  std::atomic<bool> stop = false;
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([this, &stop] {
      while (!stop) {
        const Answer answer = Ask("SELECT count(*) AS n, max(x) FROM t");
        // A snapshot has all of a shard's rows or is the empty one.
        if (answer.snapshot.generation() == 0) continue;
        ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
        EXPECT_EQ(answer.first_integer, answer.snapshot.generation());
      }
    });
  }
  for (int generation = 1; generation <= 30; ++generation) {
    const auto shard = Shard(fmt::format("s{}", generation), generation, generation);
    store_.Offer(ManifestOf(generation, {shard}), {shard});
    AskAt(generation, 1, "SELECT 1");
  }
  stop = true;
  for (std::thread& asker : askers) asker.join();
}

TEST_F(QueryPartTest, AClientThatGoesAwayEndsItsQuery) {
  Start({.timeout = absl::Minutes(10)});
  WaitUntilReady();
  grpc::ClientContext context;
  v1::QueryRequest request;
  request.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  auto reader = stub_->Query(&context, request);
  WaitUntilActive(1);
  context.TryCancel();
  v1::QueryResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilActive(0);
}

TEST_F(QueryPartTest, AClientThatDoesNotReadIsEndedAtTheTimeLimit) {
  Start({.timeout = absl::Seconds(1), .max_rows = 0});
  const auto a = Shard("a", 60, 20000);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  WaitUntilActive(0);
  grpc::ClientContext context;
  v1::QueryRequest request;
  request.set_sql("SELECT a.x, a.y, b.y FROM t a, t b");
  auto reader = stub_->Query(&context, request);
  v1::QueryResponse response;
  ASSERT_TRUE(reader->Read(&response));
  // It does not read on, and the place becomes free all the same.
  WaitUntilActive(0);
  while (reader->Read(&response)) {
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Where the machine is slow, it runs out of time before it waits for its client.
  EXPECT_THAT(status.error_message(),
              testing::AnyOf("the answer was not read whole within 1s (--query-timeout)",
                             "the query ran longer than 1s (--query-timeout)"));
}

TEST_F(QueryPartTest, MoreQueriesThanTheLimitAreRefused) {
  Start({.max_queries = 1});
  WaitUntilReady();
  grpc::ClientContext context;
  v1::QueryRequest request;
  request.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  auto reader = stub_->Query(&context, request);
  WaitUntilActive(1);
  const Answer refused = Ask("SELECT 1");
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.status.error_message(), "1 queries run or wait already (--max-queries)");
  context.TryCancel();
  reader->Finish();
}

TEST_F(QueryPartTest, RequestsThatAreTooLargeTogetherAreRefused) {
  Start({.max_request_bytes = 1 << 20});
  WaitUntilReady();
  const std::string padding(600'000, ' ');
  grpc::ClientContext context;
  v1::QueryRequest request;
  request.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*), ?1 FROM n");
  request.add_parameters()->set_text(padding);
  auto reader = stub_->Query(&context, request);
  WaitUntilActive(1);
  request.set_sql("SELECT length(?1)");
  {
    grpc::ClientContext second;
    v1::QueryResponse response;
    auto refused = stub_->Query(&second, request);
    EXPECT_FALSE(refused->Read(&response));
    const grpc::Status status = refused->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_THAT(status.error_message(), testing::HasSubstr("limit of 1048576"));
  }
  context.TryCancel();
  reader->Finish();
  // Its room is free again.
  WaitUntilActive(0);
  grpc::ClientContext third;
  v1::QueryResponse response;
  auto answered = stub_->Query(&third, request);
  EXPECT_TRUE(answered->Read(&response));
  EXPECT_TRUE(answered->Finish().ok());
}

TEST_F(QueryPartTest, DrainRefusesNewQueriesAndWaitsForTheOthers) {
  Start();
  WaitUntilReady();
  part_->Drain(absl::Now() + absl::Seconds(10));
  EXPECT_EQ(Ask("SELECT 1").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  // Nothing of the store is used any more, which may now go.
  store_.Stop();
  store_listener_->Stop();
  store_server_->Shutdown();
  store_server_.reset();
  part_->Drain(absl::Now());
}

TEST_F(QueryPartTest, ARequestThatDoesNotParseIsSaidToBe) {
  Start();
  WaitUntilReady();
  // Field 1, `sql`, with a byte that is not UTF-8.
  grpc::Slice slice(std::string("\x0a\x01\xff"));
  grpc::ByteBuffer request(&slice, 1);
  grpc::GenericStub generic(listener_->NewChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> call =
      generic.PrepareUnaryCall(&context, "/qasino.v1.Query/Query", request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag;
  bool ok;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "the message is not a QueryRequest (texts must be valid UTF-8)");
}

TEST_F(QueryPartTest, RunningIsOnlyEverTrue) {
  Start();
  WaitUntilReady();
  v1::QueryRequest request;
  request.set_sql("SELECT 1");
  request.set_running(false);
  EXPECT_EQ(Ask(request).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace qasino::query
