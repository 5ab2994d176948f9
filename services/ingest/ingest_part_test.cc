#include "services/ingest/ingest_part.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

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
#include "services/ingest/part_fixture.h"

namespace qasino::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

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
  EXPECT_EQ(refusal({.limits = {.bytes_per_row = 1'000'000'001}}),
            "the limit of bytes of a row is 1000000001, but must be 1024 to 1000000000");
}

}  // namespace
}  // namespace qasino::ingest
