#include "services/query/query_part.h"

#include <fmt/format.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/query.grpc.pb.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/merge/fake_shard.h"

namespace qasino::query {
namespace {

using merge::FakeShard;
using merge::ManifestOf;
using merge::ShardImage;

// A store that offers what a test tells it to.
class FakeStore : public v1::SnapshotStore::Service {
 public:
  void Offer(v1::Manifest manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards) {
    absl::MutexLock lock(&mutex_);
    manifest_ = std::move(manifest);
    for (const auto& shard : shards) shards_[shard->info.shard_id()] = shard;
    ++offers_;
  }

  // Ends the watches.
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }

  int fetches() const { return fetches_.load(); }

  // The next shard sent has a byte changed.
  void DamageNext() { damage_ = true; }

  grpc::Status WatchSnapshots(grpc::ServerContext* context, const v1::WatchSnapshotsRequest*,
                              grpc::ServerWriter<v1::WatchSnapshotsResponse>* writer) override {
    int seen = -1;
    while (!context->IsCancelled()) {
      v1::WatchSnapshotsResponse response;
      {
        absl::MutexLock lock(&mutex_);
        const auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return offers_ != seen || stopping_;
        };
        if (!mutex_.AwaitWithTimeout(absl::Condition(&changed), absl::Milliseconds(20))) continue;
        if (stopping_) return {grpc::StatusCode::UNAVAILABLE, "the store is stopping"};
        seen = offers_;
        *response.mutable_manifest() = manifest_;
      }
      writer->Write(response);
    }
    return grpc::Status::CANCELLED;
  }

  grpc::Status GetShard(grpc::ServerContext*, const v1::GetShardRequest* request,
                        grpc::ServerWriter<v1::GetShardResponse>* writer) override {
    std::shared_ptr<const ShardImage> shard;
    {
      absl::MutexLock lock(&mutex_);
      shard = shards_[request->shard_id()];
    }
    if (shard == nullptr) return {grpc::StatusCode::NOT_FOUND, "no such shard"};
    ++fetches_;
    v1::GetShardResponse response;
    *response.mutable_info() = shard->info;
    writer->Write(response);
    std::string bytes(shard->view());
    if (damage_.exchange(false)) bytes[bytes.size() / 2] ^= 1;
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      v1::ShardChunk& chunk = *response.mutable_chunk();
      chunk.set_offset(at);
      chunk.set_data(bytes.substr(at, 1000));
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mutex_;
  v1::Manifest manifest_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const ShardImage>> shards_ ABSL_GUARDED_BY(mutex_);
  int offers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<int> fetches_ = 0;
  std::atomic<bool> damage_ = false;
};

struct Answer {
  grpc::Status status;
  v1::SnapshotInfo snapshot;
  uint64_t rows = 0;
  int64_t first_integer = 0;
  bool has_summary = false;
};

class QueryPartTest : public testing::Test {
 protected:
  void Start(QueryOptions options = {}, bool offer_empty = true) {
    if (offer_empty) store_.Offer(ManifestOf(0, {}), {});
    grpc::ServerBuilder store_builder;
    store_builder.RegisterService(&store_);
    store_server_ = store_builder.BuildAndStart();
    options.identity = "query";
    absl::StatusOr<std::unique_ptr<QueryPart>> part =
        QueryPart::Create(options, store_server_->InProcessChannel({}), registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
    grpc::ServerBuilder builder;
    builder.RegisterService(&part_->service());
    server_ = builder.BuildAndStart();
    stub_ = v1::Query::NewStub(server_->InProcessChannel({}));
  }

  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown();
    part_.reset();
    store_.Stop();
    if (store_server_ != nullptr) store_server_->Shutdown();
  }

  Answer Ask(const std::string& sql, absl::Duration timeout = absl::Seconds(30)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    v1::QueryRequest request;
    request.set_sql(sql);
    auto reader = stub_->Query(&context, request);
    v1::QueryResponse response;
    Answer answer;
    while (reader->Read(&response)) {
      if (response.has_header()) answer.snapshot = response.header().snapshot();
      if (answer.rows == 0 && response.has_batch() &&
          response.batch().columns(0).integers_size() > 0) {
        answer.first_integer = response.batch().columns(0).integers(0);
      }
      answer.rows += response.batch().rows();
      answer.has_summary |= response.has_summary();
    }
    answer.status = reader->Finish();
    return answer;
  }

  // Asks until the answer is from this generation and revision.
  Answer AskAt(int64_t generation, int64_t revision, const std::string& sql) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    Answer answer;
    do {
      answer = Ask(sql);
      if (answer.snapshot.generation() == generation && answer.snapshot.revision() == revision) {
        return answer;
      }
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    ADD_FAILURE() << "no snapshot " << generation << "/" << revision;
    return answer;
  }

  void WaitUntilReady() {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!part_->Ready().ok() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(2));
    ASSERT_TRUE(part_->Ready().ok()) << part_->Ready();
  }

  // Waits until so many queries run or wait.
  void WaitUntilActive(double queries) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (absl::Now() < deadline) {
      for (const prometheus::MetricFamily& family : registry_.Collect()) {
        if (family.name != "qasino_query_active") continue;
        if (family.metric[0].gauge.value == queries) return;
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
    FAIL() << "there were never " << queries << " queries";
  }

  prometheus::Registry registry_;
  FakeStore store_;
  std::unique_ptr<grpc::Server> store_server_;
  std::unique_ptr<QueryPart> part_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Query::Stub> stub_;
};

std::shared_ptr<const ShardImage> Shard(const std::string& id, int64_t generation, int rows) {
  FakeShard shard(id, generation);
  shard.Table("t", {"x INTEGER", "y TEXT"});
  std::vector<std::string> values;
  for (int i = 0; i < rows; ++i) values.push_back(fmt::format("{}, 'row {}'", i, i));
  return shard.Publish("host of " + id, "t", values).Seal();
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
  EXPECT_FALSE(reader->Finish().ok());
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

TEST_F(QueryPartTest, DrainRefusesNewQueriesAndWaitsForTheOthers) {
  Start();
  WaitUntilReady();
  part_->Drain(absl::Now() + absl::Seconds(10));
  EXPECT_EQ(Ask("SELECT 1").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  // Nothing of the store is used any more, which may now go, its channel first.
  store_.Stop();
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
  grpc::GenericStub generic(server_->InProcessChannel({}));
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

TEST_F(QueryPartTest, NamesOfSnapshotsThatAreNotHere) {
  Start();
  WaitUntilReady();
  const auto code = [this](const v1::QueryRequest& request) {
    grpc::ClientContext context;
    auto reader = stub_->Query(&context, request);
    v1::QueryResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish().error_code();
  };
  v1::QueryRequest request;
  request.set_sql("SELECT 1");
  request.set_generation(12345);
  EXPECT_EQ(code(request), grpc::StatusCode::NOT_FOUND);
  request.set_running(true);
  EXPECT_EQ(code(request), grpc::StatusCode::UNIMPLEMENTED);
  request.set_generation(0);
  EXPECT_EQ(code(request), grpc::StatusCode::OK);
}

}  // namespace
}  // namespace qasino::query
