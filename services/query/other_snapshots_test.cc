// The query part on other snapshots than the newest, and with views.

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "services/query/query_part.h"
#include "services/query/query_part_fixture.h"

namespace qasino::query {
namespace {

// Three generations, of which the last is the newest; each has its number's rows.
class RetainedTest : public QueryPartTest {
 protected:
  void StartWithThree(QueryOptions options = {}) {
    Start(options);
    for (int64_t generation : {60, 90, 120}) {
      const auto shard =
          Shard(fmt::format("s{}", generation), generation, static_cast<int>(generation));
      store_.Offer(ManifestOf(generation, {shard}), {shard});
      AskAt(generation, 1, "SELECT 1");
    }
  }
};

TEST_F(RetainedTest, ANamedGenerationIsFetchedOnceAndKept) {
  StartWithThree();
  EXPECT_EQ(store_.fetches(), 3);
  const Answer answer = AskOf(60, "SELECT count(*) FROM t");
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.first_integer, 60);
  EXPECT_EQ(answer.snapshot.generation(), 60);
  EXPECT_EQ(answer.snapshot.revision(), 1);
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  EXPECT_EQ(AskOf(120, "SELECT count(*) FROM t").first_integer, 120);
  EXPECT_EQ(store_.fetches(), 4);
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 120);
  EXPECT_EQ(Metric("qasino_query_retained_snapshots"), 1);
  EXPECT_EQ(AskOf(90, "SELECT revision FROM qasino_server_generations WHERE generation = 60").rows,
            1u);
}

TEST_F(RetainedTest, WhatIsNotHeldIsNotFound) {
  StartWithThree();
  const Answer gone = AskOf(30, "SELECT 1");
  EXPECT_EQ(gone.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(gone.status.error_message(), "the oldest held is 60");
  for (int64_t never : {0, -1}) {
    const Answer none = AskOf(never, "SELECT 1");
    EXPECT_EQ(none.status.error_code(), grpc::StatusCode::NOT_FOUND);
    EXPECT_NE(none.status.error_message().find("the oldest that is is 0"), std::string::npos)
        << none.status.error_message();
  }
  EXPECT_TRUE(AskOf(60, "SELECT 1").status.ok());
  store_.Retire(60);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (AskOf(60, "SELECT 1").status.ok() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(AskOf(60, "SELECT 1").status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(RetainedTest, ALateShardIsSeen) {
  StartWithThree();
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  const auto first = Shard("s60", 60, 60);
  const auto late = Shard("late", 60, 5);
  v1::Manifest manifest = ManifestOf(60, {first, late});
  manifest.set_revision(2);
  store_.Hold(manifest, {late});
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  Answer answer;
  do {
    answer = AskOf(60, "SELECT count(*) FROM t");
  } while (answer.snapshot.revision() != 2 && absl::Now() < deadline);
  EXPECT_EQ(answer.first_integer, 65);
  // The shard that it had already was not fetched again.
  EXPECT_EQ(store_.fetches(), 5);
}

TEST_F(RetainedTest, WhileTheStoreIsAwayWhatIsKeptIsServed) {
  StartWithThree();
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  store_.Stop();
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  const Answer away = AskOf(90, "SELECT 1");
  EXPECT_EQ(away.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(away.status.error_message().find("the store is away"), std::string::npos)
      << away.status.error_message();
}

TEST_F(RetainedTest, FourAreKept) {
  Start();
  for (int64_t generation = 1; generation <= 6; ++generation) {
    const auto shard = Shard(fmt::format("s{}", generation), generation, 1);
    store_.Offer(ManifestOf(generation, {shard}), {shard});
    AskAt(generation, 1, "SELECT 1");
  }
  for (int64_t generation = 1; generation <= 5; ++generation) {
    EXPECT_EQ(AskOf(generation, "SELECT 1").snapshot.generation(), generation);
  }
  EXPECT_EQ(Metric("qasino_query_retained_snapshots"), 4);
  EXPECT_EQ(store_.fetches(), 11);
  EXPECT_EQ(AskOf(1, "SELECT 1").snapshot.generation(), 1);
  EXPECT_EQ(store_.fetches(), 12);
}

TEST_F(RetainedTest, WhatDoesNotFitIsRefused) {
  Start({.max_snapshot_bytes = 1 << 20});
  const auto large = Shard("large", 60, 30000);
  ASSERT_GT(large->info.size_bytes(), uint64_t{512} << 10);
  ASSERT_LT(large->info.size_bytes(), uint64_t{1} << 20);
  const auto other = Shard("other", 90, 30000);
  store_.Offer(ManifestOf(60, {large}), {large});
  AskAt(60, 1, "SELECT 1");
  store_.Offer(ManifestOf(90, {other}), {other});
  AskAt(90, 1, "SELECT 1");
  const Answer refused = AskOf(60, "SELECT 1");
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(refused.status.error_message().find("--max-snapshot-size"), std::string::npos)
      << refused.status.error_message();
}

TEST_F(RetainedTest, WhoWaitsHoldsNoThreadAndIsLetGo) {
  StartWithThree({.timeout = absl::Seconds(2), .threads = 1});
  store_.Block(true);
  // One whose client goes away, one whose time is over, one that stays.
  grpc::ClientContext context;
  v1::QueryRequest request;
  request.set_sql("SELECT 1");
  request.set_generation(60);
  auto gone = stub_->Query(&context, request);
  WaitUntilActive(1);
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 120);
  context.TryCancel();
  EXPECT_EQ(gone->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilActive(0);
  const Answer late = AskOf(60, "SELECT 1");
  EXPECT_EQ(late.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(late.status.error_message(), "the snapshot was not there within 2s (--query-timeout)");
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 120);
  store_.Block(false);
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
}

TEST_F(RetainedTest, ThoseWhoAskAtTheSameTimeShareTheLoading) {
  StartWithThree();
  store_.Block(true);
  std::vector<std::thread> askers;
  for (int i = 0; i < 20; ++i) {
    askers.emplace_back(
        [this] { EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60); });
  }
  WaitUntilActive(20);
  store_.Block(false);
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(store_.fetches(), 4);
}

TEST_F(RetainedTest, DrainLetsGoOfThoseWhoWait) {
  StartWithThree();
  store_.Block(true);
  std::thread asker([this] {
    EXPECT_EQ(AskOf(60, "SELECT 1").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  });
  WaitUntilActive(1);
  part_->Drain(absl::Now());
  asker.join();
  store_.Stop();
  store_listener_->Stop();
  store_server_->Shutdown();
  store_server_.reset();
}

class RunningTest : public QueryPartTest {
 protected:
  static std::shared_ptr<const ShardImage> Collected(const std::string& id, int64_t generation,
                                                     int value) {
    return FakeShard(id, generation)
        .Kind(v1::RUNNING)
        .Table("t", {"x INTEGER"})
        .Publish("host of " + id, "t", {std::to_string(value)})
        .Seal();
  }

  void StartWithTwo() {
    first_.Collect(Collected("a", 90, 1));
    second_.Collect(Collected("b", 120, 2));
    Start();
    WaitUntilReady();
    part_->SetIngests({first_.Peer("first:1"), second_.Peer("second:2")});
  }

  void TearDown() override {
    if (part_ != nullptr) part_->SetIngests({});
    QueryPartTest::TearDown();
  }

  FakeIngest first_;
  FakeIngest second_;
};

TEST_F(RunningTest, IsWhatIngestHasAndWhatTheStoreCarries) {
  const auto fixed = FakeShard("static", 0)
                         .Kind(v1::STATIC)
                         .Anonymous()
                         .Table("s", {"x INTEGER"})
                         .Publish("h", "s", {"400"})
                         .Table("t", {"x INTEGER"})
                         .Publish("h", "t", {"5000"})
                         .Seal();
  const auto sealed = Shard("sealed", 60, 9);
  StartWithTwo();
  store_.Offer(ManifestOf(60, {sealed, fixed}), {sealed, fixed});
  AskAt(60, 1, "SELECT 1");
  store_.Carry(FakeShard("carried", 60)
                   .Kind(v1::PERSISTENT)
                   .Anonymous()
                   .Table("t", {"x INTEGER"})
                   .Publish("host of a", "t", {"10"})
                   .Publish("h3", "t", {"30"})
                   .Seal());
  const Answer answer = AskRunning("SELECT sum(x) + (SELECT x FROM s) FROM t");
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  // Host a has published the table anew, so that it is no longer carried.
  EXPECT_EQ(answer.first_integer, 1 + 2 + 30 + 400);
  EXPECT_EQ(answer.snapshot.generation(), 120);
  EXPECT_EQ(answer.snapshot.revision(), 0);
  EXPECT_EQ(answer.snapshot.publishers(), 3);
  EXPECT_TRUE(answer.snapshot.complete());
  EXPECT_EQ(AskRunning("SELECT * FROM qasino_server_info").status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  // The static shard of the newest snapshot was at hand.
  EXPECT_EQ(store_.fetches(), 2);
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 9);
}

TEST_F(RunningTest, StaticTablesThatChangeMeanwhileAreAskedForAgain) {
  const auto fixed = [](const std::string& id, int value) {
    return FakeShard(id, 0)
        .Kind(v1::STATIC)
        .Anonymous()
        .Table("s", {"x INTEGER"})
        .Publish("h", "s", {std::to_string(value)})
        .Seal();
  };
  const auto gone = fixed("gone", 1);
  const auto next = fixed("next", 2);
  StartWithTwo();
  store_.Hold(ManifestOf(30, {next}), {next});
  store_.Change(ManifestOf(60, {gone}), ManifestOf(60, {next}));
  EXPECT_EQ(IntegerOfRunning("SELECT x FROM s"), 2);
}

TEST_F(RunningTest, StaticTablesCountTowardsTheBound) {
  QueryOptions options;
  options.max_snapshot_bytes = 1 << 20;
  first_.Collect(Collected("a", 90, 1));
  Start(options);
  WaitUntilReady();
  part_->SetIngests({first_.Peer("first:1")});
  const auto large = FakeShard("large", 0)
                         .Kind(v1::STATIC)
                         .Anonymous()
                         .Table("s", {"x BLOB"})
                         .Publish("h", "s", {"zeroblob(2000000)"})
                         .Seal();
  store_.Hold(ManifestOf(30, {large}), {large});
  store_.Change(ManifestOf(60, {large}), {});
  EXPECT_EQ(AskRunning("SELECT 1").status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(RunningTest, AnIngestProcessThatIsAwayIsNamed) {
  StartWithTwo();
  second_.Fail({grpc::StatusCode::UNAVAILABLE, "ingest is stopping"});
  const Answer away = AskRunning("SELECT 1");
  EXPECT_EQ(away.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(away.status.error_message(),
            "the ingest process second:2 is away: ingest is stopping; try again");
  second_.Fail({grpc::StatusCode::RESOURCE_EXHAUSTED, "enough copies"});
  EXPECT_EQ(AskRunning("SELECT 1").status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  part_->SetIngests({});
  EXPECT_EQ(AskRunning("SELECT 1").status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RunningTest, ThoseWhoAskTogetherShareACopyThatWasBegunAfterTheyAsked) {
  StartWithTwo();
  first_.Block(true);
  std::thread early([this] { EXPECT_EQ(IntegerOfRunning("SELECT x FROM t WHERE x <> 2"), 1); });
  WaitUntilActive(1);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (first_.copies() < 1 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  // What was collected after the first copy began is in the one that these share.
  first_.Collect(Collected("a", 90, 7));
  std::vector<std::thread> askers;
  for (int i = 0; i < 10; ++i) {
    askers.emplace_back([this] { EXPECT_EQ(IntegerOfRunning("SELECT x FROM t WHERE x <> 2"), 7); });
  }
  WaitUntilActive(11);
  first_.Block(false);
  early.join();
  for (std::thread& asker : askers) asker.join();
  // Those who were a little late share a third.
  EXPECT_LT(first_.copies(), 11);
}

TEST_F(RunningTest, LettingGoOfTheIngestProcessesEndsACopy) {
  StartWithTwo();
  first_.Block(true);
  std::thread asker([this] {
    EXPECT_EQ(AskRunning("SELECT 1").status.error_code(), grpc::StatusCode::UNAVAILABLE);
  });
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (first_.copies() < 1 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(1));
  part_->SetIngests({});
  asker.join();
}

class ViewsTest : public QueryPartTest {
 protected:
  void Write(const std::string& views) { std::ofstream(path_) << views; }
  static std::string View(const std::string& name, const std::string& select) {
    return fmt::format("- viewname: {0}\n  view: CREATE VIEW {0} AS {1}\n", name, select);
  }

  const std::string path_ = testing::TempDir() + "/" +
                            testing::UnitTest::GetInstance()->current_test_info()->name() + ".yaml";
};

TEST_F(ViewsTest, AChangeIsSeenWithoutANewGeneration) {
  Write(View("words", "SELECT y FROM t WHERE x = 1") + View("bad", "SELECT * FROM absent"));
  Start({.views_file = path_});
  const auto a = Shard("a", 60, 3);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  EXPECT_EQ(Ask("SELECT * FROM words").texts, std::vector<std::string>{"row 1"});
  EXPECT_EQ(Ask("SELECT errormsg FROM qasino_server_views ORDER BY viewname").texts,
            (std::vector<std::string>{"no such table: absent", ""}));
  EXPECT_EQ(Ask("SHOW VIEWS").texts, (std::vector<std::string>{"bad", "words"}));
  EXPECT_EQ(Ask("DESC VIEW words").texts,
            std::vector<std::string>{"CREATE VIEW words AS SELECT y FROM t WHERE x = 1"});
  EXPECT_EQ(Metric("qasino_query_views", "loaded"), 1);
  EXPECT_EQ(Metric("qasino_query_views", "failed"), 1);

  const uint64_t views_before = Ask("SELECT 1").snapshot.views();
  Write(View("words", "SELECT y FROM t WHERE x = 2"));
  AwaitTexts("SELECT * FROM words", {"row 2"});
  const Answer answer = Ask("SHOW VIEWS");
  EXPECT_NE(answer.snapshot.views(), views_before);
  EXPECT_EQ(answer.texts, std::vector<std::string>{"words"});
  EXPECT_EQ(answer.snapshot.generation(), 60);
  EXPECT_EQ(answer.snapshot.revision(), 1);
  EXPECT_EQ(store_.fetches(), 1);

  std::filesystem::remove(path_);
  AwaitTexts("SELECT viewname FROM qasino_server_views WHERE NOT loaded",
             {path_.substr(path_.rfind('/') + 1)});
  EXPECT_EQ(Ask("SELECT * FROM words").texts, std::vector<std::string>{"row 2"});
}

TEST_F(ViewsTest, ViewsAreOnEveryKindOfSnapshot) {
  Write(View("n", "SELECT count(*) AS n FROM t"));
  FakeIngest ingest;
  ingest.Collect(FakeShard("r", 120)
                     .Kind(v1::RUNNING)
                     .Table("t", {"x INTEGER"})
                     .Publish("h", "t", {"1"})
                     .Seal());
  Start({.views_file = path_});
  for (int64_t generation : {60, 90}) {
    const auto shard =
        Shard(fmt::format("s{}", generation), generation, static_cast<int>(generation));
    store_.Offer(ManifestOf(generation, {shard}), {shard});
    AskAt(generation, 1, "SELECT 1");
  }
  part_->SetIngests({ingest.Peer("ingest:1")});
  EXPECT_EQ(Ask("SELECT * FROM n").first_integer, 90);
  EXPECT_EQ(AskOf(60, "SELECT * FROM n").first_integer, 60);
  EXPECT_EQ(IntegerOfRunning("SELECT * FROM n"), 1);
  Write(View("m", "SELECT 2 * count(*) AS n FROM t"));
  AwaitTexts("SHOW VIEWS", {"m"});
  EXPECT_EQ(AskOf(60, "SELECT * FROM m").first_integer, 120);
  part_->SetIngests({});
}

}  // namespace
}  // namespace qasino::query
