#include "services/query/row_batch.h"

#include <gtest/gtest.h>

#include <string>

#include "services/sqlite/database.h"

namespace qasino::query {
namespace {

v1::RowBatch Batch(const std::string& sql) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  sqlite::Statement statement = *database.Prepare(sql);
  v1::RowBatch batch;
  RowBatchWriter writer(batch, statement.ColumnCount());
  while (*statement.Step()) EXPECT_TRUE(writer.Append(statement.get()).ok());
  return batch;
}

TEST(RowBatch, AColumnOfOneTypeIsOneArray) {
  const v1::RowBatch batch =
      Batch("SELECT * FROM (VALUES (1, 1.5, 'a', x'00'), (-2, 2.5, 'b', x''))");
  EXPECT_EQ(batch.rows(), 2u);
  ASSERT_EQ(batch.columns_size(), 4);
  for (const v1::Column& column : batch.columns()) EXPECT_TRUE(column.kinds().empty());
  EXPECT_EQ(batch.columns(0).type(), v1::INTEGER);
  EXPECT_EQ(batch.columns(0).integers(1), -2);
  EXPECT_EQ(batch.columns(1).type(), v1::REAL);
  EXPECT_EQ(batch.columns(2).texts(1), "b");
  EXPECT_EQ(batch.columns(3).blobs(0), std::string(1, '\0'));
  EXPECT_EQ(batch.columns(3).blobs(1), "");
}

TEST(RowBatch, KindsTellOfNullsAndOtherTypes) {
  const v1::RowBatch batch = Batch("SELECT * FROM (VALUES (1), (NULL), ('x'), (2))");
  EXPECT_EQ(batch.columns(0).type(), v1::INTEGER);
  EXPECT_EQ(batch.columns(0).kinds(), std::string("\1\0\3\1", 4));
  EXPECT_EQ(batch.columns(0).integers_size(), 2);
  EXPECT_EQ(batch.columns(0).texts(0), "x");
}

TEST(RowBatch, LeadingNulls) {
  const v1::RowBatch batch = Batch("SELECT * FROM (VALUES (NULL), (NULL), (2.5))");
  EXPECT_EQ(batch.columns(0).type(), v1::REAL);
  EXPECT_EQ(batch.columns(0).kinds(), std::string("\0\0\2", 3));
  EXPECT_EQ(Batch("SELECT NULL").columns(0).kinds(), std::string("\0", 1));
}

TEST(RowBatch, TextThatIsNotUtf8TravelsAsABlob) {
  const v1::RowBatch batch = Batch("SELECT CAST(x'ff41' AS TEXT) UNION ALL SELECT 'é'");
  EXPECT_EQ(batch.columns(0).kinds(), std::string("\4\3", 2));
  EXPECT_EQ(batch.columns(0).blobs(0), "\xff\x41");
}

TEST(RowBatch, ARowOverTheLimitIsRefusedWhole) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  std::string sql = "SELECT 1";
  for (int i = 0; i < 10; ++i) sql += ", ?1";
  sqlite::Statement statement = *database.Prepare(sql);
  const std::string blob(10 << 20, 'x');
  statement.BindBlob(1, blob);
  ASSERT_TRUE(*statement.Step());
  v1::RowBatch batch;
  RowBatchWriter writer(batch, statement.ColumnCount());
  EXPECT_EQ(writer.Append(statement.get()).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(batch.rows(), 0u);
  for (const v1::Column& column : batch.columns()) EXPECT_EQ(column.ByteSizeLong(), 0u);
}

TEST(IsUtf8, KnowsWhatIsWellFormed) {
  for (const char* good :
       {"", "abc", "eight by", "é", "€uro", "\xf0\x9f\x98\x80", "long enough for words, and then é",
        "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xe0\x80\x80", "12345678\xff", "\xf0\x8f\xbf\xbf"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

}  // namespace
}  // namespace qasino::query
