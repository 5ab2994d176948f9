#include "services/query/row_batch.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "qasino/v1/query.pb.h"
#include "services/query/wire.h"
#include "services/sqlite/database.h"

namespace qasino::query {
namespace {

v1::RowBatch Parsed(const RowBatchWriter& writer) {
  std::string bytes = "before";
  writer.Encode(bytes);
  EXPECT_EQ(bytes.size(), 6 + writer.EncodedSize());
  v1::RowBatch batch;
  EXPECT_TRUE(batch.ParseFromString(bytes.substr(6)));
  // Nothing but what protobuf would write itself.
  EXPECT_EQ(batch.SerializeAsString(), bytes.substr(6));
  return batch;
}

v1::RowBatch Batch(const std::string& sql) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  sqlite::Statement statement = *database.Prepare(sql);
  RowBatchWriter writer(statement.ColumnCount());
  // What a batch before it leaves behind must not show.
  while (*statement.Step()) EXPECT_TRUE(writer.Append(statement.get()).ok());
  writer.Clear();
  statement.Reset();
  while (*statement.Step()) EXPECT_TRUE(writer.Append(statement.get()).ok());
  return Parsed(writer);
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

TEST(RowBatch, IntegersOfEveryLength) {
  std::vector<int64_t> integers = {0};
  for (int bit = 0; bit < 63; ++bit) {
    for (int64_t integer : {(int64_t{1} << bit) - 1, int64_t{1} << bit, -(int64_t{1} << bit),
                            -(int64_t{1} << bit) - 1}) {
      integers.push_back(integer);
    }
  }
  integers.push_back(std::numeric_limits<int64_t>::max());
  integers.push_back(std::numeric_limits<int64_t>::min());
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  sqlite::Statement statement = *database.Prepare("SELECT ?1");
  RowBatchWriter writer(1);
  for (int64_t integer : integers) {
    statement.Reset();
    statement.BindInteger(1, integer);
    ASSERT_TRUE(*statement.Step());
    ASSERT_TRUE(writer.Append(statement.get()).ok());
  }
  const v1::RowBatch batch = Parsed(writer);
  EXPECT_EQ(
      std::vector<int64_t>(batch.columns(0).integers().begin(), batch.columns(0).integers().end()),
      integers);
}

TEST(RowBatch, LongTexts) {
  std::string sql = "SELECT 'a' AS t";
  for (int size : {0, 127, 128, 16383, 16384, 300000}) {
    sql += fmt::format(" UNION ALL SELECT printf('%.{}c', 'x')", size);
  }
  const v1::RowBatch batch = Batch(sql);
  EXPECT_EQ(batch.columns(0).texts_size(), 7);
  EXPECT_EQ(batch.columns(0).texts(6), std::string(300000, 'x'));
}

TEST(RowBatch, WhatIsKeptForTheNextDoesNotGrowWithTheColumns) {
  constexpr int kColumns = 200;
  std::string sql = "SELECT iif(?1 = 0, ?2, NULL)";
  for (int i = 1; i < kColumns; ++i) sql += fmt::format(", iif(?1 = {}, ?2, NULL)", i);
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  sqlite::Statement statement = *database.Prepare(sql);
  const std::string text(200'000, 'x');
  RowBatchWriter writer(kColumns);
  // Each column has a long text once.
  for (int i = 0; i < kColumns; ++i) {
    writer.Clear();
    statement.Reset();
    statement.BindInteger(1, i);
    statement.BindText(2, text);
    ASSERT_TRUE(*statement.Step());
    ASSERT_TRUE(writer.Append(statement.get()).ok());
  }
  EXPECT_EQ(Parsed(writer).columns(kColumns - 1).texts(0), text);
  EXPECT_LT(writer.held_bytes(), 2u << 20);
  writer.Clear();
  EXPECT_LE(writer.held_bytes(), 1u << 20);
}

TEST(Summary, IsWhatProtobufWrites) {
  for (uint64_t rows : {uint64_t{0}, uint64_t{1}, uint64_t{300}, uint64_t{1} << 63}) {
    for (bool truncated : {false, true}) {
      for (absl::Duration elapsed : {absl::ZeroDuration(), absl::Nanoseconds(999'999'999),
                                     absl::Seconds(2), absl::Hours(24) + absl::Nanoseconds(1)}) {
        char bytes[wire::kMostSummary];
        char* const end = wire::PutSummary(rows, truncated, elapsed, bytes);
        v1::QueryResponse response;
        ASSERT_TRUE(response.ParseFromArray(bytes, static_cast<int>(end - bytes)));
        EXPECT_EQ(response.SerializeAsString(), std::string(bytes, end - bytes));
        EXPECT_EQ(response.summary().rows(), rows);
        EXPECT_EQ(response.summary().truncated(), truncated);
        EXPECT_EQ(absl::Seconds(response.summary().elapsed().seconds()) +
                      absl::Nanoseconds(response.summary().elapsed().nanos()),
                  elapsed);
      }
    }
  }
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
  RowBatchWriter writer(statement.ColumnCount());
  EXPECT_EQ(writer.Append(statement.get()).code(), absl::StatusCode::kResourceExhausted);
  const v1::RowBatch batch = Parsed(writer);
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
