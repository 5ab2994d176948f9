#include "clients/cpp/table_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "clients/cpp/cells.h"

namespace qasino::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(TableBuilderTest, ColumnsOfOneTypeNeedNoKinds) {
  TableBuilder builder("t");
  ASSERT_TRUE(builder.AddColumn("n", v1::INTEGER).ok());
  ASSERT_TRUE(builder.AddColumn("s", v1::TEXT).ok());
  ASSERT_TRUE(builder.AddRow({1, "a"}).ok());
  ASSERT_TRUE(builder.AddRow({-2, std::string("b")}).ok());
  EXPECT_EQ(builder.rows(), 2);
  const v1::Table table = builder.Build();
  EXPECT_EQ(table.name(), "t");
  EXPECT_THAT(table.columns(0).integers(), ElementsAre(1, -2));
  EXPECT_THAT(table.columns(1).texts(), ElementsAre("a", "b"));
  EXPECT_EQ(table.columns(0).kinds(), "");
  EXPECT_EQ(table.columns(1).kinds(), "");
}

TEST(TableBuilderTest, NullAndOtherTypesAreReadBackAsTheyWere) {
  TableBuilder builder("t");
  ASSERT_TRUE(builder.AddColumn("c", v1::REAL).ok());
  ASSERT_TRUE(builder.AddColumn("d", v1::TEXT).ok());
  ASSERT_TRUE(builder.AddRow({0.5, nullptr}).ok());
  ASSERT_TRUE(builder.AddRow({1.5, "x"}).ok());
  ASSERT_TRUE(builder.AddRow({"text", 7}).ok());
  ASSERT_TRUE(builder.AddRow({Cell::Blob("\xff\x01"), nullptr}).ok());
  const v1::Table table = builder.Build();
  absl::StatusOr<ColumnReader> c = ColumnReader::Create(table.columns(0), 4);
  absl::StatusOr<ColumnReader> d = ColumnReader::Create(table.columns(1), 4);
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(c->Next().real(), 0.5);
  EXPECT_EQ(c->Next().real(), 1.5);
  EXPECT_EQ(c->Next().text(), "text");
  EXPECT_EQ(c->Next().blob(), "\xff\x01");
  EXPECT_TRUE(c->Next().is_null()) << "past the end";
  EXPECT_TRUE(d->Next().is_null());
  EXPECT_EQ(d->Next().text(), "x");
  EXPECT_EQ(d->Next().integer(), 7);
  EXPECT_TRUE(d->Next().is_null());
}

TEST(TableBuilderTest, RefusesARowThatDoesNotFitWhole) {
  TableBuilder builder("t");
  ASSERT_TRUE(builder.AddColumn("a", v1::INTEGER).ok());
  ASSERT_TRUE(builder.AddColumn("b", v1::TEXT).ok());
  EXPECT_EQ(builder.AddRow({1}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(builder.AddRow({1, "x", 2}).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status not_utf8 = builder.AddRow({1, "\xe9"});
  EXPECT_THAT(std::string(not_utf8.message()), HasSubstr("column 'b'"));
  EXPECT_EQ(builder.rows(), 0);
  EXPECT_EQ(builder.Build().columns(0).integers_size(), 0);
}

TEST(TableBuilderTest, RefusesAColumnAfterARowAndOneWithoutType) {
  TableBuilder builder("t");
  EXPECT_FALSE(builder.AddColumn("a", v1::COLUMN_TYPE_UNSPECIFIED).ok());
  ASSERT_TRUE(builder.AddColumn("a", v1::INTEGER).ok());
  ASSERT_TRUE(builder.AddRow({1}).ok());
  EXPECT_EQ(builder.AddColumn("b", v1::TEXT).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ParseColumnTypeTest, KnowsEveryWordInAnyCase) {
  for (const char* word : {"integer", "INT", "ll", "Time", "bigint"}) {
    EXPECT_EQ(*ParseColumnType(word), v1::INTEGER) << word;
  }
  for (const char* word : {"real", "FLOAT", "double"}) EXPECT_EQ(*ParseColumnType(word), v1::REAL);
  for (const char* word : {"text", "string", "str", "ip", "VarChar"}) {
    EXPECT_EQ(*ParseColumnType(word), v1::TEXT) << word;
  }
  EXPECT_EQ(*ParseColumnType("blob"), v1::BLOB);
  for (const char* word : {"", "date", "int ", "varchar(20)"}) {
    EXPECT_EQ(ParseColumnType(word).status().code(), absl::StatusCode::kInvalidArgument) << word;
  }
  EXPECT_LT(ParseColumnType(std::string(100000, 'x')).status().message().size(), 300u);
}

TEST(ColumnReaderTest, RefusesWhatDoesNotAddUp) {
  v1::Column column;
  EXPECT_TRUE(ColumnReader::Create(column, 0).ok()) << "an empty column needs no type";
  EXPECT_FALSE(ColumnReader::Create(column, 1).ok());
  column.set_type(v1::INTEGER);
  column.add_integers(1);
  EXPECT_TRUE(ColumnReader::Create(column, 1).ok());
  EXPECT_FALSE(ColumnReader::Create(column, 2).ok());
  EXPECT_FALSE(ColumnReader::Create(column, 0).ok());
  EXPECT_FALSE(ColumnReader::Create(column, ~uint64_t{0}).ok());
  column.add_texts("stray");
  EXPECT_FALSE(ColumnReader::Create(column, 1).ok());
  column.set_kinds(std::string("\1\3", 2));
  EXPECT_TRUE(ColumnReader::Create(column, 2).ok());
  EXPECT_FALSE(ColumnReader::Create(column, 1).ok());
  column.set_kinds(std::string("\1\5", 2));
  EXPECT_FALSE(ColumnReader::Create(column, 2).ok());
  column.set_kinds(std::string("\1\xff", 2));
  EXPECT_FALSE(ColumnReader::Create(column, 2).ok());
  column.clear_kinds();
  column.set_type(static_cast<v1::ColumnType>(99));
  EXPECT_FALSE(ColumnReader::Create(column, 1).ok());
}

}  // namespace
}  // namespace qasino::client
