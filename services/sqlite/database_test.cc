#include "services/sqlite/database.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace qasino::sqlite {
namespace {

int64_t Number(Database& database, const std::string& sql) {
  absl::StatusOr<Statement> statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok()) << statement.status();
  if (!statement.ok()) return -1;
  EXPECT_TRUE(statement->Step().value_or(false));
  return statement->Integer(0);
}

TEST(Database, AnswersWhatWasInserted) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("CREATE TABLE t (a INTEGER, b TEXT, c BLOB)").ok());
  Statement insert = *database.Prepare("INSERT INTO t VALUES (?, ?, ?)");
  const std::string text("zero\0inside", 11);
  insert.BindInteger(1, -7);
  insert.BindText(2, text);
  insert.BindBlob(3, std::string_view());
  ASSERT_TRUE(insert.Run().ok());
  EXPECT_EQ(database.Changes(), 1);

  Statement select = *database.Prepare("SELECT a, b, typeof(c) FROM t");
  ASSERT_TRUE(*select.Step());
  EXPECT_EQ(select.ColumnCount(), 3);
  EXPECT_EQ(select.ColumnName(1), "b");
  EXPECT_EQ(select.Integer(0), -7);
  EXPECT_EQ(select.Text(1), text);
  EXPECT_EQ(select.Text(2), "blob");
  EXPECT_FALSE(*select.Step());
}

TEST(Database, PreparesExactlyOneStatement) {
  Database database = *Database::OpenInMemory();
  EXPECT_TRUE(database.Prepare("SELECT 1").ok());
  EXPECT_TRUE(database.Prepare("SELECT 1;").ok());
  EXPECT_TRUE(database.Prepare("-- why\nSELECT 1; ; /* no more */ -- end").ok());
  EXPECT_EQ(database.Prepare("").status().message(), "there is no statement");
  EXPECT_EQ(database.Prepare(" ; -- nothing").status().message(), "there is no statement");
  EXPECT_EQ(database.Prepare("SELECT 1; SELECT 2").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(database.Prepare("SELECT 1; rubbish").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(database.Prepare(std::string("SELECT 1\0;", 10)).status().message(),
            "the statement has a zero byte at 8");
}

TEST(Database, ErrorsHaveSqlitesWordsAndACode) {
  Database database = *Database::OpenInMemory();
  EXPECT_EQ(database.Prepare("SELECT * FROM nowhere").status(),
            absl::InvalidArgumentError("no such table: nowhere"));
  EXPECT_EQ(Database::OpenFile("/nowhere/at/all").status().code(), absl::StatusCode::kInternal);
}

TEST(Database, ManyReadOneImageWithoutCopies) {
  Database source = *Database::OpenInMemory();
  ASSERT_TRUE(source
                  .Execute("CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                           "SELECT i + 1 FROM n WHERE i < 10000) SELECT i FROM n")
                  .ok());
  const Image image = *source.Serialize();
  const std::string before(image.view());

  std::vector<std::thread> readers;
  for (int reader = 0; reader < 4; ++reader) {
    readers.emplace_back([&image] {
      Database database = *Database::OpenInMemory();
      ASSERT_TRUE(database.AttachEmpty("shard").ok());
      ASSERT_TRUE(database.ReadFrom("shard", image.view()).ok());
      EXPECT_EQ(Number(database, "SELECT sum(i) FROM t"), 50005000);
      EXPECT_FALSE(database.Execute("DELETE FROM t").ok());
      EXPECT_FALSE(database.Execute("CREATE TABLE shard.u (a)").ok());
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(before, image.view());
}

TEST(Database, RubbishIsDataLoss) {
  const std::string rubbish(8192, 'x');
  Database database = *Database::OpenInMemory();
  absl::Status status = database.ReadFrom("main", rubbish);
  if (status.ok()) status = database.Prepare("SELECT * FROM sqlite_schema").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST(Database, InterruptStopsTheStatement) {
  Database database = *Database::OpenInMemory();
  Statement endless = *database.Prepare(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  std::thread stopper([&database, &endless] {
    // Interrupting counts only while a statement runs.
    while (sqlite3_stmt_busy(endless.get()) == 0) std::this_thread::yield();
    database.Interrupt();
  });
  EXPECT_EQ(endless.Step().status().code(), absl::StatusCode::kCancelled);
  stopper.join();
}

TEST(Quote, DoublesQuotes) {
  EXPECT_EQ(QuoteName("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(QuoteText("it's"), "'it''s'");
}

}  // namespace
}  // namespace qasino::sqlite
