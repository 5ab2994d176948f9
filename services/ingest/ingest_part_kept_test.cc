// What ingest hands to the store as it comes: `persist` and `static`; and `update`.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/part_fixture.h"

namespace qasino::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::PublishRequest Persist(v1::PublishRequest publish) {
  publish.set_persist(true);
  return publish;
}

v1::PublishRequest Static(v1::PublishRequest publish) {
  publish.set_static_(true);
  return publish;
}

v1::PublishRequest Update(v1::PublishRequest publish) {
  publish.set_update(true);
  return publish;
}

TEST_F(IngestPartTest, APersistentTableGoesToTheStore) {
  Open();
  v1::PublishResponse response;
  v1::PublishRequest publish = Persist(OneRow("h1", "t", 1));
  ASSERT_TRUE(Publish(publish, &response).ok());
  EXPECT_EQ(response.generation(), kGeneration);
  EXPECT_FALSE(response.duplicate());
  publish.set_update(true);
  publish.add_keycols("A");
  ASSERT_TRUE(Publish(publish, &response).ok());
  const auto calls = store_.AwaitKept(2);
  ASSERT_TRUE(calls[0].put_persistent.has_value());
  EXPECT_EQ(calls[0].put_persistent->identity(), "h1");
  EXPECT_EQ(calls[0].put_persistent->generation(), kGeneration);
  EXPECT_FALSE(calls[0].put_persistent->update());
  EXPECT_EQ(calls[0].put_persistent->table().SerializeAsString(),
            publish.table().SerializeAsString());
  ASSERT_TRUE(calls[1].put_persistent.has_value());
  EXPECT_TRUE(calls[1].put_persistent->update());
  EXPECT_EQ(calls[1].put_persistent->keycols(0), "A");
  // It counts once, and is not in the shard.
  ASSERT_TRUE(Publish(OneRow("h1", "t", 2), &response).ok());
  EXPECT_TRUE(response.duplicate());
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(store_.Await(1)[0].info.tables_size(), 0);
  // The store names the generation.
  store_.SetKeptGeneration(kGeneration + 90);
  ASSERT_TRUE(Publish(Persist(OneRow("h1", "t", 1)), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration + 90);
  store_.AnswerNextKeptAsDuplicate();
  ASSERT_TRUE(Publish(Persist(OneRow("h2", "t", 1)), &response).ok());
  EXPECT_TRUE(response.duplicate());
}

TEST_F(IngestPartTest, AStaticTableGoesToTheStore) {
  Open();
  store_.SetKeptGeneration(kGeneration - 30);
  v1::PublishResponse response;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Publish(Static(OneRow("h1", "t", i)), &response).ok());
    EXPECT_EQ(response.generation(), kGeneration - 30);
    EXPECT_FALSE(response.duplicate());
  }
  ASSERT_TRUE(Publish(OneRow("h1", "t", 2), &response).ok());
  EXPECT_FALSE(response.duplicate());
  const auto calls = store_.AwaitKept(2);
  ASSERT_TRUE(calls[1].put_static.has_value());
  EXPECT_EQ(calls[1].put_static->identity(), "h1");
  EXPECT_EQ(calls[1].put_static->table().columns(0).integers(0), 1);
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_publishes_total{result=\"stored\"} 3"));
}

TEST_F(IngestPartTest, AnUpdateWithoutPersistEndsTheCarrying) {
  Open();
  v1::PublishResponse response;
  ASSERT_TRUE(Publish(Persist(OneRow("h1", "t", 1)), &response).ok());
  ASSERT_TRUE(Publish(Update(OneRow("h1", "t", 2)), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration);
  const auto calls = store_.AwaitKept(3);
  ASSERT_TRUE(calls[1].put_persistent.has_value());
  EXPECT_TRUE(calls[1].put_persistent->update());
  ASSERT_TRUE(calls[2].drop_persistent.has_value());
  EXPECT_EQ(calls[2].drop_persistent->identity(), "h1");
  EXPECT_EQ(calls[2].drop_persistent->table_name(), "t");
  EXPECT_EQ(calls[2].drop_persistent->generation(), kGeneration + 1);
  // A drop that fails is an error; what is not there is dropped.
  store_.AnswerNextKept(absl::OkStatus());
  store_.AnswerNextKept(absl::InternalError("the disk"));
  EXPECT_EQ(Publish(Update(OneRow("h1", "t", 2)), &response).error_code(),
            grpc::StatusCode::INTERNAL);
  store_.AnswerNextKept(absl::OkStatus());
  store_.AnswerNextKept(absl::NotFoundError("not carried"));
  EXPECT_TRUE(Publish(Update(OneRow("h1", "t", 2)), &response).ok());
}

TEST_F(IngestPartTest, TheStoresErrorsAreRelayed) {
  Open();
  v1::PublishResponse response;
  for (const absl::Status& error :
       {absl::InvalidArgumentError("wrong"), absl::ResourceExhaustedError("the disk is full"),
        absl::InternalError("the disk failed")}) {
    for (const v1::PublishRequest& publish :
         {Persist(OneRow("h1", "t", 1)), Static(OneRow("h1", "t", 1))}) {
      store_.AnswerNextKept(error);
      const grpc::Status status = Publish(publish, &response);
      EXPECT_EQ(static_cast<int>(status.error_code()), static_cast<int>(error.code()));
      EXPECT_EQ(status.error_message(), error.message());
    }
  }
  ASSERT_TRUE(Publish(Persist(OneRow("h1", "t", 1)), &response).ok());
  EXPECT_FALSE(response.duplicate());
}

TEST_F(IngestPartTest, WithoutTheStoreWhatIsToBeKeptIsUnavailableAndCountsLater) {
  Open();
  store_.Leave();
  v1::PublishResponse response;
  for (const v1::PublishRequest& publish :
       {Persist(OneRow("h1", "t", 1)), Static(OneRow("h1", "t", 1)),
        Update(Persist(OneRow("h1", "t", 1)))}) {
    const grpc::Status status = Publish(publish, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), StartsWith("table 't': the store is away: "));
    EXPECT_THAT(status.error_message(), HasSubstr("; try again"));
  }
  // All else goes on.
  ASSERT_TRUE(Publish(OneRow("h2", "t", 1), &response).ok());
  store_.Return();
  while (!Publish(Persist(OneRow("h1", "t", 1)), &response).ok()) std::this_thread::yield();
  EXPECT_FALSE(response.duplicate());
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  EXPECT_TRUE(response.duplicate());
}

TEST_F(IngestPartTest, AStoreThatDiesInTheMiddleAnswersNothing) {
  Open();
  store_.HoldKept(true);
  std::thread leave([this] {
    store_.AwaitKept(1);
    store_.Leave();
  });
  v1::PublishResponse response;
  EXPECT_EQ(Publish(Persist(OneRow("h1", "t", 1)), &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  leave.join();
  store_.Return();
}

TEST_F(IngestPartTest, AStoreThatDoesNotAnswerIsAway) {
  Open({.store_timeout = absl::Milliseconds(30)});
  store_.HoldKept(true);
  v1::PublishResponse response;
  // One call, and one that waits behind it.
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = Persist(OneRow("h1", "t", 1));
  *request.add_publishes() = Update(Persist(OneRow("h1", "t", 1)));
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  v1::PublishStreamResponse results;
  ASSERT_TRUE(stream->Read(&results));
  ASSERT_EQ(results.results_size(), 2);
  for (const v1::PublishResult& result : results.results()) {
    EXPECT_EQ(result.code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
    EXPECT_EQ(result.message(), "table 't': the store is away: no answer in 30ms; try again");
  }
  EXPECT_FALSE(stream->Read(&results));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestPartTest, PutsOfAPairAreMadeInOrderAndOthersAtOnce) {
  Open();
  store_.HoldKept(true);
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = Persist(OneRow("h1", "t", 0));
  for (int i = 1; i < 5; ++i) *request.add_publishes() = Update(Persist(OneRow("h1", "t", i)));
  for (int i = 1; i < 5; ++i)
    *request.add_publishes() = Persist(OneRow(absl::StrCat("o", i), "t", i));
  for (int i = 0; i < 5; ++i) *request.add_publishes() = Static(OneRow("h1", "t", i));
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  // The first of each line.
  store_.AwaitKept(1 + 4 + 1);
  store_.HoldKept(false);
  v1::PublishStreamResponse response;
  int results = 0;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) {
      EXPECT_EQ(result.code(), 0) << result.message();
      ++results;
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(results, 14);
  int64_t next_persistent = 0;
  int64_t next_static = 0;
  for (const KeptCall& call : store_.AwaitKept(14)) {
    if (call.put_static.has_value()) {
      EXPECT_EQ(call.put_static->table().columns(0).integers(0), next_static++);
    } else if (call.put_persistent->identity() == "h1") {
      EXPECT_EQ(call.put_persistent->table().columns(0).integers(0), next_persistent++);
    }
  }
}

TEST_F(IngestPartTest, AStreamAnswersInOrderWhateverWaitsForTheStore) {
  Open();
  store_.HoldKept(true);
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  constexpr int kMessages = 100;
  // Of each message one publish, at changing places, goes to the store; some messages have none.
  const auto publish_of = [](int i, int j) {
    const v1::PublishRequest plain = OneRow(absl::StrCat("h", i), absl::StrCat("t", j), i);
    if (i % 3 == 2 || j != i % 10) return plain;
    return i % 2 == 0 ? Persist(plain) : Static(plain);
  };
  std::thread sender([&] {
    for (int i = 0; i < kMessages; ++i) {
      v1::PublishStreamRequest request;
      for (int j = 0; j < 10; ++j) *request.add_publishes() = publish_of(i, j);
      *request.add_publishes() = OneRow("h", absl::StrCat("no name ", i), 1);
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  // Others do not wait.
  store_.AwaitKept(1);
  v1::PublishResponse other;
  EXPECT_TRUE(Publish(OneRow("other", "t", 1), &other).ok());
  store_.SetKeptGeneration(kGeneration + 30);
  store_.HoldKept(false);
  int number = 0;
  v1::PublishStreamResponse response;
  while (stream->Read(&response)) {
    for (const v1::PublishResult& result : response.results()) {
      const int i = number / 11;
      const int j = number % 11;
      ++number;
      if (j == 10) {
        EXPECT_THAT(result.message(), HasSubstr(absl::StrCat("'no name ", i, "'")));
        continue;
      }
      EXPECT_EQ(result.code(), 0) << result.message();
      const v1::PublishRequest publish = publish_of(i, j);
      const bool kept = publish.persist() || publish.static_();
      EXPECT_EQ(result.generation(), kept ? kGeneration + 30 : kGeneration);
    }
  }
  sender.join();
  EXPECT_EQ(number, kMessages * 11);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestPartTest, AGenerationChangesWhileAPersistIsUnderWay) {
  Open();
  store_.HoldKept(true);
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = Persist(OneRow("h1", "t", 1));
  ASSERT_TRUE(stream->Write(request));
  store_.AwaitKept(1);
  v1::PublishResponse response;
  grpc::Status status = Publish(OneRow("h1", "t", 2), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "table 't' is being handed to the store; try again");
  clock_.Advance(absl::Seconds(30));
  store_.Await(1);
  ASSERT_TRUE(Publish(OneRow("h1", "t", 3), &response).ok());
  EXPECT_FALSE(response.duplicate());
  EXPECT_EQ(response.generation(), kGeneration + 30);
  store_.HoldKept(false);
  v1::PublishStreamResponse results;
  ASSERT_TRUE(stream->Read(&results));
  EXPECT_EQ(results.results(0).code(), 0);
  EXPECT_EQ(results.results(0).generation(), kGeneration);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_TRUE(Publish(OneRow("h1", "t", 4), &response).ok());
  EXPECT_TRUE(response.duplicate());
}

TEST_F(IngestPartTest, ClientsThatVanishWithPutsUnderWayHarmNobody) {
  Open();
  store_.HoldKept(true);
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    auto stream = stub_->PublishStream(&context);
    v1::PublishStreamRequest request;
    *request.add_publishes() = Persist(OneRow(absl::StrCat("h", i), "t", i));
    *request.add_publishes() = OneRow(absl::StrCat("h", i), "u", i);
    ASSERT_TRUE(stream->Write(request));
    store_.AwaitKept(i + 1);
    context.TryCancel();
    stream->Finish();
  }
  store_.HoldKept(false);
  part_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(Select(store_.AwaitLast()[0], "count(*) FROM u"), 10);
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_waiting_for_store 0"));
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_queue_bytes 0"));
}

TEST_F(IngestPartTest, DrainAnswersWhatTheStoreDoesNot) {
  Open();
  store_.HoldKept(true);
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = Persist(OneRow("h1", "t", 1));
  *request.add_publishes() = Update(Persist(OneRow("h1", "t", 1)));
  *request.add_publishes() = OneRow("h1", "u", 1);
  ASSERT_TRUE(stream->Write(request));
  store_.AwaitKept(1);
  part_->Drain(absl::Now() + absl::Seconds(1));
  v1::PublishStreamResponse response;
  std::vector<v1::PublishResult> results;
  while (stream->Read(&response)) {
    results.insert(results.end(), response.results().begin(), response.results().end());
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].code(), static_cast<int>(grpc::StatusCode::UNAVAILABLE));
  EXPECT_EQ(results[1].message(), "ingest is stopping; try again");
  EXPECT_EQ(results[2].code(), 0);
  EXPECT_EQ(Select(store_.AwaitLast()[0], "count(*) FROM u"), 1);
}

TEST_F(IngestPartTest, UpdatesChangeTheRunningShard) {
  Open();
  v1::PublishResponse response;
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  v1::PublishRequest update = Update(OneRow("h2", "t", 1));
  v1::Column& text = *update.mutable_table()->add_columns();
  text.set_name("b");
  text.set_type(v1::TEXT);
  text.add_texts("x");
  update.add_keycols("a");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Publish(update, &response).ok());
    EXPECT_EQ(response.generation(), kGeneration);
    EXPECT_FALSE(response.duplicate());
  }
  update.add_keycols("c");
  EXPECT_EQ(Publish(update, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  clock_.Advance(absl::Seconds(30));
  const auto shards = store_.Await(1);
  EXPECT_EQ(Select(shards[0], "count(*) FROM t WHERE b = 'x'"), 1);
  EXPECT_EQ(shards[0].info.counts().updates_received(), 4);
  EXPECT_EQ(shards[0].info.counts().updates_completed(), 3);
  EXPECT_EQ(shards[0].info.counts().update_errors(), 1);
  EXPECT_EQ(shards[0].info.counts().inserts_completed(), 1);
}

}  // namespace
}  // namespace qasino::ingest
