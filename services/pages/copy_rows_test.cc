#include "services/pages/copy_rows.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "services/pages/page_space.h"
#include "services/pages/schema_writer.h"
#include "services/pages/table_pages.h"
#include "services/sqlite/database.h"

namespace qasino::pages {
namespace {

std::string Ask(sqlite::Database& database, const std::string& sql) {
  auto statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok()) << statement.status();
  if (!statement.ok()) return "";
  const auto row = statement->Step();
  EXPECT_TRUE(row.ok() && *row) << row.status();
  return std::string(statement->Text(0));
}

class CopyRowsTest : public ::testing::Test {
 protected:
  CopyRowsTest() {
    auto database = sqlite::Database::OpenInMemory();
    EXPECT_TRUE(database.ok());
    database_ = std::move(*database);
  }

  // Makes the table and its image.
  void Make(const std::string& sql) {
    const absl::Status status = database_.Execute("PRAGMA page_size = 4096; " + sql);
    ASSERT_TRUE(status.ok()) << status;
    root_ = static_cast<uint32_t>(
        std::stoi(Ask(database_, "SELECT rootpage FROM sqlite_schema WHERE name = 't'")));
    auto image = database_.Serialize();
    ASSERT_TRUE(image.ok());
    image_ = std::move(*image);
  }

  absl::Status Copy(int64_t pages) {
    auto space = PageSpace::Reserve(pages);
    EXPECT_TRUE(space.ok());
    space_ = std::move(*space);
    table_ = TablePages();
    return CopyRows(image_.view(), root_, space_, table_);
  }

  sqlite::Database database_;
  sqlite::Image image_;
  uint32_t root_ = 0;
  PageSpace space_;
  TablePages table_;
};

// Of all sizes, in several levels, some made larger and smaller where they were, beside an index.
TEST_F(CopyRowsTest, RowsAreAsTheyWere) {
  Make(
      "CREATE TABLE t(a INTEGER, b TEXT); CREATE INDEX i ON t(a); "
      "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 40000) "
      "SELECT i, printf('%.*c', CASE WHEN i % 400 THEN i % 40 ELSE i END, 'x') FROM c; "
      "UPDATE t SET b = printf('%.*c', 3000 + a % 2000, 'y') WHERE a % 90 = 7; "
      "UPDATE t SET b = '' WHERE a % 800 = 0; ALTER TABLE t ADD COLUMN c");
  ASSERT_TRUE(Copy(1 << 16).ok());
  EXPECT_EQ(table_.rows(), 40'000);
  SchemaWriter schema;
  schema.Add(space_, "t", "CREATE TABLE t(a INTEGER, b TEXT, c)", table_.Finish(space_));
  schema.Finish(space_);
  auto reader = sqlite::Database::OpenInMemory();
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE(reader->ReadFrom("main", space_.bytes()).ok());
  EXPECT_EQ(Ask(*reader, "PRAGMA integrity_check"), "ok");
  const std::string all = "SELECT group_concat(_rowid_ || a || b || typeof(c)) FROM t";
  EXPECT_EQ(Ask(*reader, all), Ask(database_, all));
}

TEST_F(CopyRowsTest, AnEmptyTableHasNone) {
  Make("CREATE TABLE t(a)");
  ASSERT_TRUE(Copy(10).ok());
  EXPECT_EQ(table_.rows(), 0);
}

TEST_F(CopyRowsTest, WhereThereIsNoRoomItSaysSo) {
  Make("CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(100000)), (zeroblob(100000))");
  EXPECT_EQ(Copy(40).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(table_.rows(), 1);
}

TEST_F(CopyRowsTest, PagesThatAreNotThere) {
  Make("CREATE TABLE t(a)");
  for (const uint32_t root : {0u, 3u, 4'000'000'000u}) {
    root_ = root;
    EXPECT_EQ(Copy(10).code(), absl::StatusCode::kDataLoss) << root;
  }
}

}  // namespace
}  // namespace qasino::pages
