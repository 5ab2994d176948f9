// The result cache, as clients see it.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "services/query/query_part_fixture.h"

namespace qasino::query {
namespace {

// Long enough for many to ask meanwhile, and stopped by a test that is done with it.
constexpr char kEndless[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

// Some tenths of a second.
std::string Slow(int add = 0) {
  return fmt::format(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000) "
      "SELECT count(*) + {} FROM n",
      add);
}

class QueryCacheTest : public QueryPartTest {
 protected:
  double From(const std::string& source) { return Metric("qasino_query_answers_total", source); }

  void WaitUntilWaiting(double queries) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (Metric("qasino_query_result_cache_waiting") != queries && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    ASSERT_EQ(Metric("qasino_query_result_cache_waiting"), queries);
  }

  // A call under way, whose answer is read at the end.
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::QueryResponse>> reader;

    grpc::Status Finish(int64_t* integer = nullptr) {
      v1::QueryResponse response;
      while (reader->Read(&response)) {
        if (integer != nullptr && response.batch().columns_size() > 0) {
          *integer = response.batch().columns(0).integers(0);
        }
      }
      return reader->Finish();
    }
  };

  std::unique_ptr<Call> Begin(const std::string& sql, absl::Duration timeout = absl::Minutes(1)) {
    auto call = std::make_unique<Call>();
    call->context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    v1::QueryRequest request;
    request.set_sql(sql);
    call->reader = stub_->Query(&call->context, request);
    return call;
  }
};

TEST_F(QueryCacheTest, TheSameAnswerComesFromTheCache) {
  Start();
  const auto a = Shard("a", 60, 20000);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  WaitUntilActive(0);
  const double before = From("cache");
  for (const char* const sql :
       {"SELECT * FROM t", "SELECT x FROM t WHERE 0", "SELECT count(*) FROM t", "SHOW TABLES",
        "SELECT NULL, 1.5, 'a', x'00'"}) {
    v1::QueryRequest request;
    request.set_sql(sql);
    std::vector<std::string> answers;
    for (int i = 0; i < 3; ++i) {
      grpc::ClientContext context;
      auto reader = stub_->Query(&context, request);
      v1::QueryResponse response, whole;
      int summaries = 0;
      while (reader->Read(&response)) {
        EXPECT_EQ(summaries, 0);
        summaries += response.has_summary();
        if (response.has_summary()) {
          EXPECT_TRUE(response.summary().has_elapsed());
          response.mutable_summary()->clear_elapsed();
        }
        whole.MergeFrom(response);
      }
      EXPECT_EQ(summaries, 1);
      EXPECT_TRUE(reader->Finish().ok());
      answers.push_back(whole.SerializeAsString());
    }
    EXPECT_EQ(answers[0], answers[1]) << sql;
    EXPECT_EQ(answers[0], answers[2]) << sql;
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("cache"), before + 10);
}

TEST_F(QueryCacheTest, AnAnswerThatTheClientHasIsNotMadeAgain) {
  Start();
  const auto a = Shard("a", 60, 100);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  const auto ask = [&](const v1::QueryRequest& request) {
    grpc::ClientContext context;
    auto reader = stub_->Query(&context, request);
    v1::QueryResponse response, whole;
    while (reader->Read(&response)) whole.MergeFrom(response);
    EXPECT_TRUE(reader->Finish().ok());
    return whole;
  };
  v1::QueryRequest request;
  request.set_sql("SELECT count(*) FROM t");
  const v1::SnapshotInfo seen = ask(request).header().snapshot();
  const double from_cache = From("cache");

  v1::KnownSnapshot& known = *request.mutable_unless_snapshot();
  known.set_generation(seen.generation());
  known.set_revision(seen.revision());
  known.set_views(seen.views());
  for (const std::string& store : {std::string(), seen.store_id()}) {
    known.set_store_id(store);
    const v1::QueryResponse answer = ask(request);
    EXPECT_TRUE(answer.summary().unchanged());
    EXPECT_EQ(answer.header().columns_size(), 0);
    EXPECT_EQ(answer.header().snapshot().generation(), seen.generation());
    EXPECT_EQ(answer.header().snapshot().store_id(), seen.store_id());
    EXPECT_FALSE(answer.has_batch());
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("unchanged"), 2);

  // Of another snapshot or store it is run, or the same as without; so is a copy of what runs.
  const auto run = [&](const v1::QueryRequest& changed) {
    const v1::QueryResponse answer = ask(changed);
    EXPECT_FALSE(answer.summary().unchanged());
    EXPECT_EQ(answer.batch().rows(), 1u);
  };
  v1::QueryRequest other = request;
  other.mutable_unless_snapshot()->set_generation(seen.generation() - 1);
  run(other);
  other = request;
  other.mutable_unless_snapshot()->set_revision(seen.revision() + 1);
  run(other);
  other = request;
  other.mutable_unless_snapshot()->set_store_id("another");
  run(other);
  other = request;
  other.mutable_unless_snapshot()->set_views(seen.views() + 1);
  run(other);
  WaitUntilActive(0);
  EXPECT_EQ(From("cache"), from_cache + 4);
  EXPECT_EQ(From("unchanged"), 2);
}

TEST_F(QueryCacheTest, AnAnswerSaysWhetherItIsRepeatable) {
  Start();
  WaitUntilReady();
  const auto repeatable = [&](const std::string& sql) {
    v1::QueryRequest request;
    request.set_sql(sql);
    grpc::ClientContext context;
    auto reader = stub_->Query(&context, request);
    v1::QueryResponse response, whole;
    while (reader->Read(&response)) whole.MergeFrom(response);
    EXPECT_TRUE(reader->Finish().ok()) << sql;
    return whole.header().repeatable();
  };
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(repeatable("SELECT 1"));
    EXPECT_TRUE(repeatable("SHOW TABLES"));
    EXPECT_TRUE(repeatable("SELECT date(0, 'unixepoch')"));
    EXPECT_FALSE(repeatable("SELECT random()"));
    EXPECT_FALSE(repeatable("SELECT datetime('now')"));
  }
}

TEST_F(QueryCacheTest, ParametersAndRowLimitsAreOfTheQuestion) {
  Start();
  WaitUntilReady();
  v1::QueryRequest request;
  request.set_sql("SELECT value + ?1 FROM json_each('[1,2,3]')");
  for (int i = 0; i < 2; ++i) {
    for (int64_t add : {10, 20}) {
      for (uint64_t limit : {0, 2}) {
        request.clear_parameters();
        request.add_parameters()->set_integer(add);
        request.set_row_limit(limit);
        const Answer answer = Ask(request);
        EXPECT_EQ(answer.first_integer, add + 1);
        EXPECT_EQ(answer.rows, limit == 0 ? 3u : 2u);
      }
    }
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("kept"), 4);
  EXPECT_EQ(From("cache"), 4);
}

TEST_F(QueryCacheTest, ANewSnapshotIsAskedAnew) {
  Start();
  for (int generation = 60; generation < 70; ++generation) {
    const auto a = Shard(fmt::format("s{}", generation), generation, generation);
    store_.Offer(ManifestOf(generation, {a}), {a});
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(AskAt(generation, 1, "SELECT count(*) FROM t").first_integer, generation);
    }
  }
  // What is retained has its own answers.
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  EXPECT_EQ(AskOf(60, "SELECT count(*) FROM t").first_integer, 60);
  EXPECT_EQ(AskOf(69, "SELECT count(*) FROM t").first_integer, 69);
  EXPECT_EQ(Ask("SELECT count(*) FROM t").first_integer, 69);
}

TEST_F(QueryCacheTest, WhatChangesIsRunEachTime) {
  Start();
  WaitUntilReady();
  std::set<int64_t> numbers;
  for (int i = 0; i < 20; ++i) numbers.insert(Ask("SELECT random()").first_integer);
  EXPECT_EQ(numbers.size(), 20u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Ask("SELECT datetime('now')").status.ok());
    EXPECT_EQ(Ask("SELECT nonsense").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("run"), 26);
  EXPECT_EQ(From("cache") + From("shared") + From("kept"), 0);
}

TEST_F(QueryCacheTest, WithoutACacheEachIsRun) {
  Start({.result_cache_bytes = 0});
  WaitUntilReady();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask("SELECT 7").first_integer, 7);
  WaitUntilActive(0);
  EXPECT_EQ(From("run"), 3);
}

TEST_F(QueryCacheTest, LimitsHoldWithIt) {
  Start({.max_rows = 3});
  WaitUntilReady();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Ask("VALUES (1), (2), (3), (4)").status.error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(Ask("VALUES (1), (2), (3)").rows, 3u);
  }
}

TEST_F(QueryCacheTest, WhatIsTooLargeIsAnsweredAndNotKept) {
  Start({.result_cache_bytes = 1 << 20});
  const auto a = Shard("a", 60, 30000);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  WaitUntilActive(0);
  const double before = From("run");
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([this] {
      for (int j = 0; j < 3; ++j) {
        const Answer answer = Ask("SELECT * FROM t");
        EXPECT_TRUE(answer.status.ok());
        EXPECT_EQ(answer.rows, 30000u);
        EXPECT_TRUE(answer.has_summary);
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  WaitUntilActive(0);
  EXPECT_EQ(From("run"), before + 24);
  EXPECT_LE(Metric("qasino_query_result_cache_bytes"), 1 << 20);
}

TEST_F(QueryCacheTest, ManyWhoAskAtOnceAreAnsweredByOneRun) {
  Start();
  WaitUntilReady();
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 64; ++i) calls.push_back(Begin(Slow()));
  for (auto& call : calls) {
    int64_t integer = 0;
    EXPECT_TRUE(call->Finish(&integer).ok());
    EXPECT_EQ(integer, 1'000'000);
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("kept"), 1);
  EXPECT_EQ(From("shared") + From("cache"), 63);
}

TEST_F(QueryCacheTest, WhenTheFirstIsCancelledAnotherRunsIt) {
  Start({.timeout = absl::Minutes(10)});
  WaitUntilReady();
  auto first = Begin(kEndless);
  WaitUntilActive(1);
  std::vector<std::unique_ptr<Call>> others;
  for (int i = 0; i < 4; ++i) others.push_back(Begin(kEndless));
  WaitUntilWaiting(4);
  first->context.TryCancel();
  EXPECT_FALSE(first->Finish().ok());
  WaitUntilActive(4);
  WaitUntilWaiting(3);
  for (auto& call : others) call->context.TryCancel();
  for (auto& call : others) EXPECT_FALSE(call->Finish().ok());
  WaitUntilActive(0);
  WaitUntilWaiting(0);
}

TEST_F(QueryCacheTest, WhenTheFirstIsCancelledTheOthersAreAnswered) {
  Start();
  WaitUntilReady();
  auto first = Begin(Slow(1));
  std::vector<std::unique_ptr<Call>> others;
  for (int i = 0; i < 4; ++i) others.push_back(Begin(Slow(1)));
  // Whether it runs by now, waits, or is done.
  first->context.TryCancel();
  first->Finish();
  for (auto& call : others) {
    int64_t integer = 0;
    EXPECT_TRUE(call->Finish(&integer).ok());
    EXPECT_EQ(integer, 1'000'001);
  }
  WaitUntilActive(0);
  EXPECT_EQ(From("kept"), 1);
}

TEST_F(QueryCacheTest, WhoWaitsMayBeCancelledAndHasItsOwnDeadline) {
  Start({.timeout = absl::Minutes(10)});
  WaitUntilReady();
  auto first = Begin(kEndless);
  WaitUntilActive(1);
  auto cancelled = Begin(kEndless);
  WaitUntilWaiting(1);
  auto hurried = Begin(kEndless, absl::Milliseconds(200));
  EXPECT_EQ(hurried->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  cancelled->context.TryCancel();
  EXPECT_EQ(cancelled->Finish().error_code(), grpc::StatusCode::CANCELLED);
  WaitUntilActive(1);
  WaitUntilWaiting(0);
  first->context.TryCancel();
  EXPECT_FALSE(first->Finish().ok());
  WaitUntilActive(0);
}

TEST_F(QueryCacheTest, TheTimeLimitEndsThoseWhoWait) {
  Start({.timeout = absl::Milliseconds(300)});
  WaitUntilReady();
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(Begin(kEndless));
  for (auto& call : calls) {
    const grpc::Status status = call->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
    EXPECT_EQ(status.error_message(), "the query ran longer than 300ms (--query-timeout)");
  }
  WaitUntilActive(0);
  WaitUntilWaiting(0);
}

TEST_F(QueryCacheTest, AClientThatDoesNotReadHoldsUpNobody) {
  Start();
  const auto a = Shard("a", 60, 50000);
  store_.Offer(ManifestOf(60, {a}), {a});
  AskAt(60, 1, "SELECT 1");
  auto first = Begin("SELECT * FROM t");
  const Answer second = Ask("SELECT * FROM t");
  EXPECT_TRUE(second.status.ok());
  EXPECT_EQ(second.rows, 50000u);
  EXPECT_TRUE(first->Finish().ok());
}

TEST_F(QueryCacheTest, AClientThatDoesNotReadTheOnlyMessageIsEnded) {
  Start({.timeout = absl::Seconds(1)});
  WaitUntilReady();
  // More than the system and gRPC take without its being read.
  auto call = Begin("SELECT zeroblob(16000000)");
  call->reader->WaitForInitialMetadata();
  WaitUntilActive(0);
  const grpc::Status status = call->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(status.error_message(), "the answer was not read whole within 1s (--query-timeout)");
  EXPECT_EQ(Metric("qasino_query_queries_total", "deadline_exceeded"), 1);
}

TEST_F(QueryCacheTest, UnderSwapsAndCancels) {
  Start({.result_cache_bytes = 1 << 20});
  WaitUntilReady();
  std::atomic<bool> stop = false;
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([this, &stop, i] {
      for (int j = 0; !stop; ++j) {
        if ((i + j) % 4 == 0) {
          auto call = Begin("SELECT count(*) AS n, max(x) FROM t");
          call->context.TryCancel();
          call->Finish();
          continue;
        }
        const Answer answer =
            Ask(j % 3 == 0 ? "SELECT x FROM t" : "SELECT count(*) AS n, max(x) FROM t");
        if (answer.snapshot.generation() == 0) continue;
        ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
        EXPECT_TRUE(answer.has_summary);
        if (j % 3 == 0) {
          EXPECT_EQ(answer.rows, answer.snapshot.generation());
        } else {
          EXPECT_EQ(answer.first_integer, answer.snapshot.generation());
        }
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
  WaitUntilActive(0);
  WaitUntilWaiting(0);
}

}  // namespace
}  // namespace qasino::query
