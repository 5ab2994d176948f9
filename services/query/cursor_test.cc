#include "services/query/cursor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "services/merge/fake_shard.h"

namespace qasino::query {
namespace {

using merge::FakeShard;
using merge::ManifestOf;

class CursorTest : public testing::Test {
 protected:
  CursorTest() {
    FakeShard shard("a", 60);
    shard.Table("t", {"x INTEGER", "y TEXT"});
    std::vector<std::string> rows;
    for (int i = 0; i < 5000; ++i) rows.push_back(fmt::format("{}, 'row {}'", i, i));
    shard.Publish("h1", "t", rows);
    const std::vector<std::shared_ptr<const ShardImage>> shards = {shard.Seal()};
    snapshot_ = *Snapshot::Build(ManifestOf(60, shards), shards, {.identity = "server"});
  }

  struct Answer {
    absl::Status status;
    v1::QueryHeader header;
    uint64_t rows = 0;
    int messages = 0;
    v1::RowBatch first;
    v1::QuerySummary summary;
  };

  Answer Run(const v1::QueryRequest& request, CursorOptions options = {},
             Cancellation* cancellation = nullptr) {
    Cancellation own;
    Answer answer;
    absl::StatusOr<std::unique_ptr<Cursor>> cursor = Cursor::Open(
        *snapshot_->Connect(), request, options, cancellation != nullptr ? cancellation : &own);
    answer.status = cursor.status();
    while (answer.status.ok() && !(*cursor)->done()) {
      v1::QueryResponse response;
      answer.status = (*cursor)->Next(response);
      if (response.has_header()) answer.header = response.header();
      if (answer.rows == 0) answer.first = response.batch();
      answer.rows += response.batch().rows();
      if (response.has_summary()) answer.summary = response.summary();
      ++answer.messages;
    }
    return answer;
  }

  Answer Run(const std::string& sql, CursorOptions options = {},
             Cancellation* cancellation = nullptr) {
    v1::QueryRequest request;
    request.set_sql(sql);
    return Run(request, options, cancellation);
  }

  std::shared_ptr<const Snapshot> snapshot_;
};

TEST_F(CursorTest, SmallAnswersAreOneMessage) {
  const Answer answer = Run("SELECT x, y, 1.5 AS half FROM t WHERE x = 7");
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.messages, 1);
  ASSERT_EQ(answer.header.columns_size(), 3);
  EXPECT_EQ(answer.header.columns(0).name(), "x");
  EXPECT_EQ(answer.header.columns(0).type(), v1::INTEGER);
  EXPECT_EQ(answer.header.columns(2).type(), v1::COLUMN_TYPE_UNSPECIFIED);
  EXPECT_EQ(answer.header.snapshot().generation(), 60);
  EXPECT_EQ(answer.header.snapshot().revision(), 1);
  EXPECT_EQ(answer.header.snapshot().publishers(), 1);
  EXPECT_EQ(answer.first.columns(1).texts(0), "row 7");
  EXPECT_EQ(answer.summary.rows(), 1u);
  EXPECT_FALSE(answer.summary.truncated());
}

TEST_F(CursorTest, LargeAnswersAreMany) {
  const Answer answer = Run("SELECT * FROM t", {.batch_bytes = 4096});
  EXPECT_GT(answer.messages, 10);
  EXPECT_EQ(answer.rows, 5000u);
  EXPECT_EQ(answer.summary.rows(), 5000u);
}

TEST_F(CursorTest, NoRowsStillHaveColumns) {
  const Answer answer = Run("SELECT x FROM t WHERE 0");
  ASSERT_TRUE(answer.status.ok());
  EXPECT_EQ(answer.header.columns(0).name(), "x");
  EXPECT_EQ(answer.summary.rows(), 0u);
}

TEST_F(CursorTest, ARowLimitIsSaid) {
  v1::QueryRequest request;
  request.set_sql("SELECT * FROM t");
  request.set_row_limit(5);
  Answer answer = Run(request);
  EXPECT_EQ(answer.rows, 5u);
  EXPECT_TRUE(answer.summary.truncated());
  request.set_row_limit(5000);
  answer = Run(request);
  EXPECT_EQ(answer.rows, 5000u);
  EXPECT_FALSE(answer.summary.truncated());
}

TEST_F(CursorTest, AStatementThatIsRunAgainKnowsNothingOfTheTimeBefore) {
  v1::QueryRequest request;
  request.set_sql("SELECT count(*), typeof(?1) FROM t WHERE x < ?1");
  for (const int bound : {10, 20}) {
    request.clear_parameters();
    request.add_parameters()->set_integer(bound);
    const Answer answer = Run(request);
    EXPECT_EQ(answer.first.columns(0).integers(0), bound);
    EXPECT_EQ(answer.first.columns(1).texts(0), "integer");
  }
  request.clear_parameters();
  EXPECT_EQ(Run(request).first.columns(1).texts(0), "null");
  // Cut off in the middle, and ended by a limit.
  request.set_sql("SELECT x FROM t");
  request.set_row_limit(3);
  EXPECT_EQ(Run(request).rows, 3u);
  request.clear_row_limit();
  EXPECT_EQ(Run(request).rows, 5000u);
  EXPECT_FALSE(Run("SELECT x FROM t", {.max_rows = 10}).status.ok());
  EXPECT_EQ(Run("SELECT x FROM t").rows, 5000u);
  // What it says of itself is said again.
  for (int i = 0; i < 3; ++i) {
    Cancellation cancellation;
    for (const bool repeatable : {true, false}) {
      request.set_sql(repeatable ? "SELECT max(x) FROM t" : "SELECT random()");
      auto cursor = Cursor::Open(*snapshot_->Connect(), request, {}, &cancellation);
      ASSERT_TRUE(cursor.ok());
      v1::QueryResponse response;
      ASSERT_TRUE((*cursor)->Next(response).ok());
      EXPECT_EQ((*cursor)->repeatable(), repeatable);
    }
  }
  // More than are kept, and one that is too large for it.
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(Run(fmt::format("SELECT {}", i)).first.columns(0).integers(0), i);
    }
    const std::string large = "SELECT '" + std::string(100'000, 'x') + "'";
    EXPECT_EQ(Run(large).first.columns(0).texts(0).size(), 100'000u);
  }
}

TEST_F(CursorTest, TooManyRowsAreAnError) {
  const Answer answer = Run("SELECT * FROM t", {.max_rows = 100});
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answer.rows, 100u);
  EXPECT_TRUE(Run("SELECT * FROM t", {.max_rows = 5000}).status.ok());
}

TEST_F(CursorTest, TimeAndMemoryAreBounded) {
  const char* const endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
  Answer answer = Run(
      endless, {.deadline = absl::Now() + absl::Milliseconds(20), .deadline_words = "20ms (--x)"});
  EXPECT_EQ(answer.status, absl::DeadlineExceededError("the query ran longer than 20ms (--x)"));
  answer = Run("SELECT group_concat(a.y) FROM t a, t b", {.memory_bytes = 4 << 20});
  EXPECT_EQ(answer.status, absl::ResourceExhaustedError(
                               "the query needs more memory than 4 MiB (--max-query-memory)"));
  // The connection is fit for the next query.
  EXPECT_EQ(Run("SELECT * FROM t").rows, 5000u);
}

TEST_F(CursorTest, CancellingStopsTheStatement) {
  Cancellation cancellation;
  std::thread canceller([&cancellation] { cancellation.Cancel(); });
  const Answer answer =
      Run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
          {}, &cancellation);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kCancelled);
  canceller.join();
}

TEST_F(CursorTest, Parameters) {
  v1::QueryRequest request;
  request.set_sql("SELECT ?1, ?2, ?3, :name, ?6");
  request.add_parameters()->set_integer(7);
  request.add_parameters()->set_text("text");
  request.add_parameters()->set_blob(std::string("\0b", 2));
  (*request.mutable_named_parameters())[":name"].set_real(0.5);
  const Answer answer = Run(request);
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.first.columns(0).integers(0), 7);
  EXPECT_EQ(answer.first.columns(1).texts(0), "text");
  EXPECT_EQ(answer.first.columns(2).blobs(0), std::string("\0b", 2));
  EXPECT_EQ(answer.first.columns(3).reals(0), 0.5);
  EXPECT_EQ(answer.first.columns(4).kinds(), std::string(1, '\0'));

  (*request.mutable_named_parameters())["name"].set_real(0.5);
  EXPECT_EQ(Run(request).status.code(), absl::StatusCode::kInvalidArgument);
  request.Clear();
  request.set_sql("SELECT 1");
  request.add_parameters();
  EXPECT_EQ(Run(request).status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CursorTest, TheDeepestExpansionThatFitsEndsWell) {
  // Each expression is expanded into the next by recursion.
  std::string sql = "WITH a0 AS (SELECT 1)";
  int links = 0;
  while (sql.size() < kMaxSqlBytes - 100) {
    ++links;
    sql += fmt::format(",a{} AS (SELECT*FROM a{})", links, links - 1);
  }
  sql += fmt::format(" SELECT * FROM a{}", links);
  Run(sql);
  EXPECT_EQ(Run("SELECT * FROM t").rows, 5000u);
  EXPECT_EQ(Run(sql + std::string(200, ' ')).status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CursorTest, ARowOfManyLargeParametersIsRefused) {
  v1::QueryRequest request;
  std::string sql = "SELECT ?1";
  for (int i = 0; i < 500; ++i) sql += ",?1";
  request.set_sql(sql);
  request.add_parameters()->set_blob(std::string(10 << 20, 'x'));
  const Answer answer = Run(request);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kResourceExhausted) << answer.status;
  EXPECT_EQ(answer.rows, 0u);
}

TEST_F(CursorTest, AParameterThatIsTooLongIsRefused) {
  v1::QueryRequest request;
  request.set_sql("SELECT ?1");
  request.add_parameters()->set_text(std::string(kMaxValueBytes + 1, 'x'));
  EXPECT_EQ(Run(request).status,
            absl::ResourceExhaustedError("a parameter has 16777217 bytes; the limit is 16 MiB"));
  request.clear_parameters();
  (*request.mutable_named_parameters())["?1"].set_blob(std::string(kMaxValueBytes + 1, 'x'));
  EXPECT_EQ(Run(request).status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CursorTest, AShowThatIsTooLongIsRefusedAsAnyStatement) {
  std::string sql = "SHOW";
  while (sql.size() <= kMaxSqlBytes) sql += " x";
  EXPECT_EQ(Run(sql).status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Run("DESC " + std::string(kMaxSqlBytes, 'x')).status.code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(CursorTest, TheCharactersThatTrimTakesAwayAreCounted) {
  CursorOptions options;
  options.memory_bytes = 4 << 20;
  const std::string trim = "SELECT trim('a', replace(hex(zeroblob({})), '00', 'ä'))";
  EXPECT_TRUE(Run(fmt::format(fmt::runtime(trim), 1'000), options).status.ok());
  EXPECT_EQ(
      Run(fmt::format(fmt::runtime(trim), 200'000), options).status,
      absl::ResourceExhaustedError("the query needs more memory than 4 MiB (--max-query-memory)"));
}

TEST_F(CursorTest, WhatSqliteDoesNotInterruptEndsToo) {
  // Preparing it takes minutes: each expression has the one before twice.
  std::string doubling = "WITH a0 AS (SELECT 1 x)";
  for (int i = 1; i < 28; ++i) {
    doubling += fmt::format(",a{0} AS (SELECT * FROM a{1} UNION ALL SELECT * FROM a{1})", i, i - 1);
  }
  doubling += " SELECT * FROM a27";
  for (const std::string& sql :
       {doubling,
        // One step of a function each.
        std::string("SELECT printf(replace(hex(zeroblob(16000)), '00', '%!.3000000f'))"),
        std::string("SELECT x LIKE '%' || substr(x, 1, 49000) || '1' FROM "
                    "(SELECT hex(zeroblob(6000000)) x)")}) {
    const Answer late = Run(sql, {.deadline = absl::Now() + absl::Milliseconds(50),
                                  .deadline_words = "50ms (--x)",
                                  .memory_bytes = int64_t{1} << 40});
    EXPECT_EQ(late.status, absl::DeadlineExceededError("the query ran longer than 50ms (--x)"));
    Cancellation cancellation;
    std::thread canceller([&cancellation] { cancellation.Cancel(); });
    const Answer cancelled = Run(sql, {.memory_bytes = int64_t{1} << 40}, &cancellation);
    EXPECT_EQ(cancelled.status.code(), absl::StatusCode::kCancelled) << cancelled.status;
    canceller.join();
    EXPECT_EQ(Run("SELECT * FROM t").rows, 5000u);
  }
}

TEST_F(CursorTest, ACancellingThatComesLateStopsNoOther) {
  Cancellation cancellation;
  EXPECT_TRUE(Run("SELECT 1", {}, &cancellation).status.ok());
  // The connection waits for the next query now.
  cancellation.Cancel();
  EXPECT_EQ(Run("SELECT * FROM t").rows, 5000u);
}

TEST_F(CursorTest, ARowThatMemoryDoesNotSufficeForIsNotSentInPart) {
  const Answer answer =
      Run("SELECT zeroblob(6000000), zeroblob(6000000), zeroblob(6000000), zeroblob(6000000), "
          "zeroblob(6000000), zeroblob(6000000), zeroblob(6000000), zeroblob(6000000)",
          {.memory_bytes = 32 << 20});
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kResourceExhausted) << answer.status;
  EXPECT_EQ(answer.rows, 0u);
}

TEST_F(CursorTest, OnlyReadingIsAllowed) {
  for (const char* sql : {"INSERT INTO t VALUES (1, 'x')",
                          "DELETE FROM t",
                          "UPDATE t SET x = 1",
                          "DROP TABLE t",
                          "CREATE TABLE u (a)",
                          "CREATE TEMP TABLE u (a)",
                          "CREATE VIEW v AS SELECT 1",
                          "ATTACH '/tmp/x' AS y",
                          "DETACH shard0",
                          "PRAGMA journal_mode = WAL",
                          "PRAGMA query_only = 0",
                          "PRAGMA temp_store_directory = '/'",
                          "VACUUM",
                          "VACUUM INTO '/tmp/x'",
                          "BEGIN",
                          "COMMIT",
                          "SAVEPOINT s",
                          "REINDEX",
                          "ANALYZE",
                          "SELECT load_extension('x')",
                          "SELECT writefile('/tmp/x', 'y')",
                          "SELECT readfile('/etc/passwd')",
                          "SELECT fts3_tokenizer('simple')",
                          "EXPLAIN DELETE FROM t",
                          "WITH a AS (SELECT 1) INSERT INTO t SELECT 1, 2",
                          "CREATE VIRTUAL TABLE v USING fts5(a)",
                          "REPLACE INTO t VALUES (1, 2)"}) {
    const Answer answer = Run(sql);
    EXPECT_FALSE(answer.status.ok()) << sql;
    const bool unknown_function =
        answer.status.message().find("no such function") != answer.status.message().npos;
    if (!unknown_function) {
      EXPECT_EQ(answer.status.code(), absl::StatusCode::kPermissionDenied)
          << sql << ": " << answer.status;
    }
  }
  EXPECT_EQ(Run("SELECT count(*) FROM t").first.columns(0).integers(0), 5000);
}

TEST_F(CursorTest, ReadingInAllItsForms) {
  for (const char* sql :
       {"VALUES (1), (2)", "WITH n AS (SELECT 1) SELECT * FROM n", "EXPLAIN SELECT * FROM t",
        "EXPLAIN QUERY PLAN SELECT * FROM t", "SELECT name FROM pragma_table_info('t')",
        "PRAGMA table_info(t)", "SELECT value FROM json_each('[1,2]')", "SHOW TABLES",
        "SHOW TABLES LIKE 't%'", "SHOW CONNECTIONS", "SHOW INFO", "SHOW VIEWS", "DESC t",
        "DESC qasino_server_tables", "SELECT sum(x) OVER (ORDER BY x) FROM t LIMIT 3"}) {
    const Answer answer = Run(sql);
    EXPECT_TRUE(answer.status.ok()) << sql << ": " << answer.status;
  }
  EXPECT_EQ(Run("DESC nowhere").status, absl::InvalidArgumentError("Table nowhere not found"));
  EXPECT_EQ(Run("SELECT * FROM nowhere").status,
            absl::InvalidArgumentError("no such table: nowhere"));
  EXPECT_EQ(Run("SELECT 1; SELECT 2").status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CursorTest, ShowInfoHasTheGenerationsStart) {
  const Answer answer = Run("SHOW INFO");
  EXPECT_EQ(answer.header.columns(3).name(), "generation_start_datetime");
  EXPECT_EQ(answer.first.columns(3).texts(0), "1970-01-01 00:01:00.000 UTC");
}

}  // namespace
}  // namespace qasino::query
