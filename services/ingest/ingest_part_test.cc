#include "services/ingest/ingest_part.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/fake_clock.h"
#include "services/ingest/fake_store.h"
#include "services/sqlite/database.h"

namespace qasino::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kGeneration = 1'000'000'020;  // a multiple of 30

v1::PublishRequest OneRow(const std::string& identity, const std::string& table, int64_t value) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.mutable_table()->set_name(table);
  v1::Column& column = *publish.mutable_table()->add_columns();
  column.set_name("a");
  column.set_type(v1::INTEGER);
  column.add_integers(value);
  return publish;
}

int64_t Select(const StoredShard& shard, const std::string& what) {
  auto database = sqlite::Database::OpenInMemory();
  EXPECT_TRUE(database.ok() && database->ReadFrom("main", shard.bytes).ok());
  auto statement = database->Prepare(absl::StrCat("SELECT ", what));
  EXPECT_TRUE(statement.ok()) << statement.status();
  if (!statement.ok()) return -1;
  const auto row = statement->Step();
  EXPECT_TRUE(row.ok() && *row);
  return statement->Integer(0);
}

// The part behind a real port, with a store that is not one.
class IngestPartTest : public ::testing::Test {
 protected:
  void Open(IngestOptions options = {}) {
    options.identity = "server";
    options.clock = &clock_;
    auto part = IngestPart::Create(options, store_.Channel(), registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = std::move(*part);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(32 << 20);
    builder.RegisterService(&part_->service());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
    stub_ = v1::Ingest::NewStub(channel_);
  }

  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  grpc::Status Publish(const v1::PublishRequest& publish, v1::PublishResponse* response) {
    grpc::ClientContext context;
    return stub_->Publish(&context, publish, response);
  }

  std::string MetricsText() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  prometheus::Registry registry_;
  FakeClock clock_{absl::FromUnixSeconds(kGeneration)};
  FakeStore store_;
  std::unique_ptr<IngestPart> part_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
};

TEST_F(IngestPartTest, WhatWasAcknowledgedIsInTheShardOfItsGeneration) {
  Open();
  EXPECT_TRUE(part_->Ready().ok());
  v1::PublishResponse response;
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration);
  EXPECT_FALSE(response.duplicate());
  ASSERT_TRUE(Publish(OneRow("h1", "t", 2), &response).ok());
  EXPECT_TRUE(response.duplicate());
  clock_.Advance(absl::Seconds(30));
  const auto shards = store_.Await(1);
  EXPECT_EQ(shards[0].info.generation(), kGeneration);
  EXPECT_EQ(Select(shards[0], "a FROM t"), 1);
  ASSERT_TRUE(Publish(OneRow("h1", "t", 3), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration + 30);
  EXPECT_FALSE(response.duplicate());
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_publishes_total{result=\"stored\"} 2"));
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_publishes_total{result=\"duplicate\"} 1"));
}

TEST_F(IngestPartTest, RefusalsNameWhatIsWrong) {
  Open({.limits = {.columns_per_table = 1}});
  v1::PublishResponse response;
  v1::PublishRequest publish = OneRow("h1", "a b", 1);
  grpc::Status status = Publish(publish, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), StartsWith("table 'a b' is not a name"));
  publish = OneRow("h1", "t", 1);
  publish.set_persist(true);
  publish.set_static_(true);
  status = Publish(publish, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "table 't': options 'persist' and 'static' exclude each other");
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  publish = OneRow("h2", "t", 1);
  publish.mutable_table()->mutable_columns(0)->set_name("b");
  status = Publish(publish, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("over the limit of 1"));
  EXPECT_THAT(MetricsText(),
              HasSubstr("qasino_ingest_refused_total{reason=\"invalid_argument\"} 2"));
}

TEST_F(IngestPartTest, AStreamAnswersInOrder) {
  Open();
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  constexpr int kMessages = 200;
  constexpr int kEach = 50;
  std::thread sender([&] {
    int number = 0;
    for (int i = 0; i < kMessages; ++i) {
      v1::PublishStreamRequest request;
      for (int j = 0; j < kEach; ++j, ++number) {
        // Every tenth is refused and every seventh a duplicate.
        *request.add_publishes() =
            OneRow(number % 7 == 1 ? "same" : absl::StrCat("h", number),
                   number % 10 == 3 ? absl::StrCat("no name ", number) : "t", number);
      }
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  int number = 0;
  v1::PublishStreamResponse response;
  bool same_seen = false;
  while (stream->Read(&response)) {
    for (const v1::PublishResult& result : response.results()) {
      if (number % 10 == 3) {
        EXPECT_EQ(result.code(), 3);
        EXPECT_THAT(result.message(), HasSubstr(absl::StrCat("'no name ", number, "'")));
        EXPECT_EQ(result.generation(), 0);
      } else {
        EXPECT_EQ(result.code(), 0) << result.message();
        EXPECT_EQ(result.generation(), kGeneration);
        EXPECT_EQ(result.duplicate(), number % 7 == 1 && same_seen);
        if (number % 7 == 1) same_seen = true;
      }
      ++number;
    }
  }
  sender.join();
  EXPECT_EQ(number, kMessages * kEach);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestPartTest, ManyStreamsAcrossGenerationsLoseNothing) {
  Open();
  constexpr int kStreams = 4;
  constexpr int kMessages = 40;
  std::vector<std::thread> threads;
  absl::Mutex mutex;
  std::map<int64_t, int64_t> acknowledged;
  for (int s = 0; s < kStreams; ++s) {
    threads.emplace_back([&, s] {
      grpc::ClientContext context;
      auto stream = stub_->PublishStream(&context);
      int results = 0;
      std::thread reader([&] {
        v1::PublishStreamResponse response;
        while (stream->Read(&response)) {
          absl::MutexLock lock(&mutex);
          for (const auto& result : response.results()) {
            EXPECT_EQ(result.code(), 0) << result.message();
            ++acknowledged[result.generation()];
            ++results;
          }
        }
      });
      for (int i = 0; i < kMessages; ++i) {
        v1::PublishStreamRequest request;
        for (int j = 0; j < 20; ++j) {
          *request.add_publishes() = OneRow(absl::StrCat(s, "-", i, "-", j), "t", j);
        }
        ASSERT_TRUE(stream->Write(request));
        if (s < 2 && i % 20 == 10) clock_.Advance(absl::Seconds(30));
      }
      stream->WritesDone();
      reader.join();
      EXPECT_TRUE(stream->Finish().ok());
      EXPECT_EQ(results, kMessages * 20);
    });
  }
  for (std::thread& thread : threads) thread.join();
  part_->Drain(absl::Now() + absl::Seconds(30));
  std::map<int64_t, int64_t> found;
  for (const StoredShard& shard : store_.AwaitLast()) {
    if (shard.info.tables_size() > 0) {
      found[shard.info.generation()] = Select(shard, "count(*) FROM t");
    }
  }
  EXPECT_EQ(found, acknowledged);
}

TEST_F(IngestPartTest, LongRefusalsAreSplitOverMessages) {
  Open();
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  for (int i = 0; i < 20'000; ++i) {
    *request.add_publishes() = OneRow("h", std::string(300, ' '), i);
  }
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  int results = 0;
  int messages = 0;
  v1::PublishStreamResponse response;
  while (stream->Read(&response)) {
    ++messages;
    results += response.results_size();
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(results, 20'000);
  EXPECT_GT(messages, 1);
}

TEST_F(IngestPartTest, AStreamBeyondTheContractEndsWithAnError) {
  Open({.limits = {.publishes_per_message = 10}});
  {
    grpc::ClientContext context;
    auto stream = stub_->PublishStream(&context);
    v1::PublishStreamRequest request;
    *request.add_publishes() = OneRow("h", "t", 1);
    ASSERT_TRUE(stream->Write(request));
    for (int i = 0; i < 10; ++i) request.add_publishes();
    stream->Write(request);
    // The first message's result still comes.
    v1::PublishStreamResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.results(0).code(), 0);
    EXPECT_FALSE(stream->Read(&response));
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(status.error_message(), "the message has 11 publishes, over the limit of 10");
  }
  // Other streams go on.
  v1::PublishResponse response;
  EXPECT_TRUE(Publish(OneRow("h2", "t", 1), &response).ok());
}

TEST_F(IngestPartTest, AFullQueueHoldsAStreamBackAndRefusesNothing) {
  Open({.limits = {.publishes_per_message = 100, .queued_bytes = 2000, .queued_publishes = 10}});
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  std::thread sender([&] {
    for (int i = 0; i < 300; ++i) {
      v1::PublishStreamRequest request;
      for (int j = 0; j < 20; ++j)
        *request.add_publishes() = OneRow(absl::StrCat(i, "-", j), "t", j);
      ASSERT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  int results = 0;
  v1::PublishStreamResponse response;
  while (stream->Read(&response)) {
    for (const auto& result : response.results()) {
      EXPECT_EQ(result.code(), 0) << result.message();
      ++results;
    }
  }
  sender.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(results, 6000);
}

TEST_F(IngestPartTest, ClientsThatVanishHarmNobody) {
  Open();
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    auto stream = stub_->PublishStream(&context);
    v1::PublishStreamRequest request;
    for (int j = 0; j < 100; ++j)
      *request.add_publishes() = OneRow(absl::StrCat(i, "-", j), "t", j);
    stream->Write(request);
    context.TryCancel();
    stream->Finish();
    grpc::ClientContext watch_context;
    auto watch = stub_->WatchGenerations(&watch_context, {});
    watch_context.TryCancel();
    watch->Finish();
  }
  v1::PublishResponse response;
  EXPECT_TRUE(Publish(OneRow("h2", "t", 1), &response).ok());
  part_->Drain(absl::InfiniteFuture());
}

TEST_F(IngestPartTest, WatchersAreToldOfGenerations) {
  Open();
  grpc::ClientContext context;
  auto watch = stub_->WatchGenerations(&context, {});
  v1::WatchGenerationsResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.generation(), kGeneration);
  EXPECT_EQ(response.duration().seconds(), 30);
  EXPECT_EQ(response.identity(), "server");
  EXPECT_EQ(response.sent_at().seconds(), kGeneration);
  clock_.Advance(absl::Seconds(31));
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.generation(), kGeneration + 30);
  // What has passed meanwhile is skipped.
  clock_.Advance(absl::Seconds(300));
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.generation(), kGeneration + 330);
  part_->Drain(absl::InfiniteFuture());
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(IngestPartTest, TheRunningShardCanBeRead) {
  Open();
  v1::PublishResponse published;
  v1::PublishRequest large = OneRow("h1", "large", 1);
  v1::Column& text = *large.mutable_table()->add_columns();
  text.set_name("b");
  text.set_type(v1::TEXT);
  text.add_texts(std::string(3 << 20, 'x'));
  ASSERT_TRUE(Publish(large, &published).ok());
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    auto reader = stub_->GetRunningShard(&context, {});
    v1::GetShardResponse response;
    ASSERT_TRUE(reader->Read(&response));
    StoredShard shard;
    shard.info = response.info();
    while (reader->Read(&response)) {
      ASSERT_EQ(response.chunk().offset(), shard.bytes.size());
      shard.bytes += response.chunk().data();
    }
    ASSERT_TRUE(reader->Finish().ok());
    EXPECT_EQ(shard.info.kind(), v1::RUNNING);
    EXPECT_EQ(shard.info.size_bytes(), shard.bytes.size());
    EXPECT_EQ(Select(shard, "length(b) FROM large"), 3 << 20);
  }
}

TEST_F(IngestPartTest, ReadersThatTakeNothingLockNobodyOut) {
  Open({.reader_timeout = absl::Milliseconds(50)});
  v1::PublishResponse published;
  v1::PublishRequest large = OneRow("h1", "large", 1);
  v1::Column& text = *large.mutable_table()->add_columns();
  text.set_name("b");
  text.set_type(v1::TEXT);
  text.add_texts(std::string(30 << 20, 'x'));
  ASSERT_TRUE(Publish(large, &published).ok());
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::GetShardResponse>> reader;
  };
  // As many as are given a copy; each reads its info, and nothing else.
  std::vector<std::unique_ptr<Call>> calls;
  v1::GetShardResponse response;
  while (calls.size() < 2) {
    auto call = std::make_unique<Call>();
    call->reader = stub_->GetRunningShard(&call->context, {});
    if (call->reader->Read(&response)) calls.push_back(std::move(call));
  }
  // Others get theirs in the end.
  while (true) {
    Call call;
    call.reader = stub_->GetRunningShard(&call.context, {});
    const bool began = call.reader->Read(&response);
    const grpc::Status status = began ? grpc::Status::OK : call.reader->Finish();
    if (began) {
      call.context.TryCancel();
      call.reader->Finish();
      break;
    }
    ASSERT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  // One was given up for it at least; the other may be in time still.
  int given_up = 0;
  for (const auto& call : calls) {
    while (call->reader->Read(&response)) {
    }
    if (call->reader->Finish().error_code() == grpc::StatusCode::CANCELLED) ++given_up;
  }
  EXPECT_GE(given_up, 1);
}

TEST_F(IngestPartTest, AReaderThatTakesSomethingIsNotGivenUp) {
  Open({.reader_timeout = absl::Seconds(1)});
  v1::PublishResponse published;
  v1::PublishRequest large = OneRow("h1", "large", 1);
  v1::Column& text = *large.mutable_table()->add_columns();
  text.set_name("b");
  text.set_type(v1::TEXT);
  text.add_texts(std::string(30 << 20, 'x'));
  ASSERT_TRUE(Publish(large, &published).ok());
  grpc::ClientContext context;
  auto reader = stub_->GetRunningShard(&context, {});
  v1::GetShardResponse response;
  uint64_t bytes = 0;
  uint64_t size = 0;
  // It takes longer than the timeout for the whole, and always takes something.
  while (reader->Read(&response)) {
    size += response.info().size_bytes();
    bytes += response.chunk().data().size();
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(bytes, size);
}

TEST_F(IngestPartTest, EmptyColumnsByTheMillionAreRefusedUnparsed) {
  Open();
  v1::PublishRequest publish;
  // Two bytes each: an empty column.
  std::string table;
  for (int i = 0; i < 10'000'000; ++i) table += std::string("\x12\0", 2);
  publish.GetReflection()->MutableUnknownFields(&publish)->AddLengthDelimited(2, table);
  v1::PublishResponse response;
  grpc::Status status = Publish(publish, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "the table has 10000000 columns, over the limit of 2000");

  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = publish;
  stream->Write(request);
  v1::PublishStreamResponse results;
  EXPECT_FALSE(stream->Read(&results));
  status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), StartsWith("the message takes about "));
  EXPECT_THAT(status.error_message(), HasSubstr("over the limit of 268435456"));
}

TEST_F(IngestPartTest, ATableWithTooManyColumnsIsRefusedAloneInAStream) {
  Open({.limits = {.columns_per_table = 1}});
  v1::PublishRequest wide = OneRow("h", "wide", 1);
  *wide.mutable_table()->add_columns() = wide.table().columns(0);
  wide.mutable_table()->mutable_columns(1)->set_name("b");
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  *request.add_publishes() = wide;
  *request.add_publishes() = OneRow("h", "t", 1);
  ASSERT_TRUE(stream->Write(request));
  stream->WritesDone();
  v1::PublishStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).message(), "table 'wide': has 2 columns, over the limit of 1");
  EXPECT_EQ(response.results(1).code(), 0);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestPartTest, StreamsAreBounded) {
  Open({.limits = {.streams = 2}});
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::PublishStreamRequest, v1::PublishStreamResponse>>
        stream;
  };
  v1::PublishStreamRequest request;
  *request.add_publishes() = OneRow("h", "t", 1);
  v1::PublishStreamResponse response;
  Call calls[3];
  for (Call& call : calls) {
    call.stream = stub_->PublishStream(&call.context);
    call.stream->Write(request);
    EXPECT_EQ(call.stream->Read(&response), &call != &calls[2]);
  }
  const grpc::Status status = calls[2].stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "2 PublishStreams are open, which is the limit; try again");
  calls[0].stream->WritesDone();
  EXPECT_TRUE(calls[0].stream->Finish().ok());
  // When one has ended another may begin.
  bool began = false;
  while (!began) {
    Call next;
    next.stream = stub_->PublishStream(&next.context);
    next.stream->Write(request);
    began = next.stream->Read(&response);
    next.stream->WritesDone();
    next.stream->Finish();
  }
  calls[1].stream->WritesDone();
  EXPECT_TRUE(calls[1].stream->Finish().ok());
}

// All idle streams wait for a message, so all may get one at once.
TEST_F(IngestPartTest, ManyStreamsAtOnceGoThroughASmallQueue) {
  Open({.limits = {.queued_bytes = 2000, .queued_publishes = 10}});
  constexpr int kStreams = 20;
  std::vector<std::thread> threads;
  for (int s = 0; s < kStreams; ++s) {
    threads.emplace_back([this, s] {
      grpc::ClientContext context;
      auto stream = stub_->PublishStream(&context);
      v1::PublishStreamRequest request;
      for (int j = 0; j < 50; ++j)
        *request.add_publishes() = OneRow(absl::StrCat(s, "-", j), "t", j);
      v1::PublishStreamResponse response;
      for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream->Write(request));
      // Some clients vanish with messages that wait.
      if (s % 5 == 4) {
        context.TryCancel();
        stream->Finish();
        return;
      }
      stream->WritesDone();
      int results = 0;
      while (stream->Read(&response)) results += response.results_size();
      EXPECT_TRUE(stream->Finish().ok());
      EXPECT_EQ(results, 250);
    });
  }
  for (std::thread& thread : threads) thread.join();
  part_->Drain(absl::InfiniteFuture());
  EXPECT_THAT(MetricsText(), HasSubstr("qasino_ingest_queue_bytes 0"));
}

TEST_F(IngestPartTest, DrainSealsHandsInAndEndsStreams) {
  Open();
  grpc::ClientContext context;
  auto stream = stub_->PublishStream(&context);
  v1::PublishStreamRequest request;
  for (int i = 0; i < 100; ++i) *request.add_publishes() = OneRow(absl::StrCat("h", i), "t", i);
  ASSERT_TRUE(stream->Write(request));
  v1::PublishStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  part_->Drain(absl::InfiniteFuture());
  int results = response.results_size();
  while (stream->Read(&response)) results += response.results_size();
  EXPECT_EQ(results, 100);
  const grpc::Status end = stream->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(end.error_message(), "ingest is stopping");

  const auto shards = store_.AwaitLast();
  ASSERT_EQ(shards.size(), 1u);
  EXPECT_EQ(Select(shards[0], "count(*) FROM t"), 100);

  v1::PublishResponse refused;
  EXPECT_EQ(Publish(OneRow("h", "t", 1), &refused).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext late;
  auto late_stream = stub_->PublishStream(&late);
  EXPECT_FALSE(late_stream->Read(&response));
  EXPECT_EQ(late_stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(part_->Ready().ok());
}

TEST_F(IngestPartTest, DrainEndsAtItsDeadlineWithoutAStore) {
  Open();
  store_.Leave();
  v1::PublishResponse response;
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  part_->Drain(absl::Now() + absl::Milliseconds(50));
  server_->Shutdown(std::chrono::system_clock::now());
  part_.reset();
  EXPECT_THAT(MetricsText(),
              HasSubstr("qasino_ingest_shards_dropped_total{reason=\"process_end\"} 1"));
  store_.Return();
}

TEST_F(IngestPartTest, AStoreThatComesBackGetsEveryGeneration) {
  Open();
  store_.Leave();
  v1::PublishResponse response;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Publish(OneRow("h1", "t", i), &response).ok());
    EXPECT_EQ(response.generation(), kGeneration + 30 * i);
    clock_.Advance(absl::Seconds(30));
    while (part_->generation() == response.generation()) std::this_thread::yield();
  }
  EXPECT_TRUE(part_->Ready().ok());
  store_.Return();
  const auto shards = store_.Await(3);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(shards[i].info.generation(), kGeneration + 30 * i);
    EXPECT_EQ(Select(shards[i], "a FROM t"), i);
  }
}

TEST_F(IngestPartTest, AClockPutBackBetweenTwoRunsMakesNoNumberRepeatOrFall) {
  store_.SetNewest(kGeneration + 300);
  Open();
  v1::PublishResponse response;
  ASSERT_TRUE(Publish(OneRow("h1", "t", 1), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration + 330);
  clock_.Advance(absl::Seconds(30));
  EXPECT_EQ(store_.Await(1)[0].info.generation(), kGeneration + 330);
  ASSERT_TRUE(Publish(OneRow("h1", "t", 2), &response).ok());
  EXPECT_EQ(response.generation(), kGeneration + 360);
}

TEST_F(IngestPartTest, AGenerationThatAnotherProcessEndedEarlyIsStillTheRunningOne) {
  store_.SetNewest(kGeneration);
  Open();
  EXPECT_EQ(part_->generation(), kGeneration);
}

TEST_F(IngestPartTest, WithoutAStoreTheFirstGenerationIsTheClocks) {
  store_.SetNewest(kGeneration + 300);
  store_.Leave();
  Open();
  EXPECT_EQ(part_->generation(), kGeneration);
  EXPECT_TRUE(part_->Ready().ok());
  store_.Return();
}

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

TEST(IngestOptions, AreCheckedWithASentence) {
  prometheus::Registry registry;
  const auto refusal = [&](const IngestOptions& options) {
    const auto part = IngestPart::Create(options, nullptr, registry);
    EXPECT_EQ(part.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(part.status().message());
  };
  EXPECT_EQ(refusal({.generation_duration = absl::Milliseconds(1500)}),
            "the generation's duration is 1.5s, but must be whole seconds, 1s to 24h");
  EXPECT_EQ(refusal({.generation_duration = absl::ZeroDuration()}),
            "the generation's duration is 0, but must be whole seconds, 1s to 24h");
  EXPECT_EQ(refusal({.identity = "a\nb"}), "the identity 'a\\nb' has a control character");
  EXPECT_EQ(refusal({.store_timeout = absl::ZeroDuration()}),
            "the store's timeout is 0, but must be more than 0");
  EXPECT_EQ(refusal({.limits = {.columns_per_table = 5000}}),
            "the limit of columns of a table is 5000, but must be 1 to 2000");
}

}  // namespace
}  // namespace qasino::ingest
