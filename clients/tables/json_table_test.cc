#include "clients/tables/json_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace qasino::publish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Table(const std::string& rows, const std::string& types = R"(["int","text"])") {
  return R"({"tablename":"t","column_names":["a","b"],"column_types":)" + types + R"(,"rows":)" +
         rows + "}";
}

std::string Error(const std::string& text, const TableLimits& limits = {}) {
  const absl::StatusOr<v1::Table> table = ParseJsonTable(text, limits);
  EXPECT_FALSE(table.ok()) << table->ShortDebugString();
  return std::string(table.status().message());
}

TEST(JsonTableTest, ReadsATable) {
  const absl::StatusOr<v1::Table> table = ParseJsonTable(Table(R"([[1,"x"],[-2,"é\n"]])") + " \n");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->name(), "t");
  EXPECT_EQ(table->columns(1).name(), "b");
  EXPECT_THAT(table->columns(0).integers(), ElementsAre(1, -2));
  EXPECT_THAT(table->columns(1).texts(), ElementsAre("x", "é\n"));
}

TEST(JsonTableTest, CellsKeepTheirOwnTypes) {
  const absl::StatusOr<v1::Table> table =
      ParseJsonTable(Table(R"([[null,1],[true,2.5],["x",null],[1.5,"y"]])"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->columns(0).kinds(), std::string("\0\1\3\2", 4));
  EXPECT_EQ(table->columns(1).kinds(), std::string("\1\2\0\3", 4));
}

TEST(JsonTableTest, RealsBeyondTheirRangeAreInfiniteOrZero) {
  const absl::StatusOr<v1::Table> table =
      ParseJsonTable(Table("[[1e999,1],[-1e999,2],[1e-999,3],[5e-324,4]]", R"(["real","int"])"));
  ASSERT_TRUE(table.ok()) << table.status();
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  EXPECT_THAT(table->columns(0).reals(), ElementsAre(kInfinite, -kInfinite, 0, 5e-324));
}

TEST(JsonTableTest, KeysMayComeInAnyOrderAndOthersAreIgnored) {
  const absl::StatusOr<v1::Table> table = ParseJsonTable(
      R"({"rows":[["x"]],"op":"add","column_types":["VARCHAR"],"column_names":["a"],"tablename":"t"})");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->columns(0).texts(), ElementsAre("x"));
}

TEST(JsonTableTest, ATableMayBeEmpty) {
  const absl::StatusOr<v1::Table> table = ParseJsonTable(Table("[]"));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->columns_size(), 2);
}

TEST(JsonTableTest, SaysWhereItIsNotJson) {
  EXPECT_THAT(Error(""), HasSubstr("line 1, column 1: this is not JSON"));
  EXPECT_THAT(Error("{\n  \"tablename\": x\n}"), HasSubstr("line 2, column 16"));
  EXPECT_THAT(Error("{\"tablename\":\n"), HasSubstr("this is not JSON: incomplete"));
  EXPECT_THAT(Error(Table("[]") + "\n}"), HasSubstr("line 2, column 1: this is not JSON"));
  EXPECT_THAT(Error(Table("[[1,\"\xe9\"]]")), HasSubstr("this is not JSON"));
  EXPECT_THAT(Error(std::string(100000, '[')), HasSubstr("this is not JSON"));
  EXPECT_THAT(Error("{" + std::string(100000, '{')), HasSubstr("this is not JSON"));
}

TEST(JsonTableTest, SaysWhatIsMissingOrWrong) {
  EXPECT_THAT(Error("[]"), HasSubstr("not an object"));
  EXPECT_THAT(Error("{}"), HasSubstr("no 'tablename'"));
  EXPECT_THAT(Error(R"({"tablename":5})"), HasSubstr("'tablename' is not a string"));
  EXPECT_THAT(Error(R"({"tablename":"t"})"), HasSubstr("no 'column_names'"));
  EXPECT_THAT(Error(R"({"tablename":"t","column_names":[],"column_types":[]})"),
              HasSubstr("no 'rows'"));
  EXPECT_THAT(Error(R"({"tablename":"t","column_names":[],"column_types":[],"rows":[]})"),
              HasSubstr("no columns"));
  EXPECT_THAT(Error(R"({"tablename":"t","column_names":[1],"column_types":["int"],"rows":[]})"),
              HasSubstr("'column_names', column 1: it is not a string"));
  EXPECT_THAT(Error(Table("5")), HasSubstr("'rows' is not an array"));
  EXPECT_THAT(Error(Table("[]", R"(["int"])")), HasSubstr("1 'column_types' for 2"));
  EXPECT_THAT(Error(Table("[]", R"(["int","date"])")),
              HasSubstr("'column_types', column 2: 'date' is not a column type"));
}

TEST(JsonTableTest, NamesTheCellThatIsWrong) {
  EXPECT_THAT(Error(Table(R"([[1,"x"],[1]])")), HasSubstr("row 2: 1 cells for 2 columns"));
  EXPECT_THAT(Error(Table(R"([5])")), HasSubstr("row 1 is not an array"));
  EXPECT_THAT(Error(Table(R"([[1,["x"]]])")), HasSubstr("row 1, column 2: an array"));
  EXPECT_THAT(Error(Table(R"([[{},"x"]])")), HasSubstr("row 1, column 1: an object"));
  EXPECT_THAT(Error(Table(R"([[9223372036854775808,"x"]])")), HasSubstr("64 bits"));
  EXPECT_THAT(Error(Table(R"([[99999999999999999999,"x"]])")), HasSubstr("64 bits"));
  EXPECT_THAT(Error(Table(R"([[1e300,"x"]])")), HasSubstr("64 bits"));
}

TEST(JsonTableTest, HasLimits) {
  EXPECT_THAT(Error(Table("[]"), {.max_columns = 1}), HasSubstr("more than 1 columns"));
  EXPECT_THAT(Error(Table(R"([[1,"x"],[1,"x"]])"), {.max_cells = 3}),
              HasSubstr("more than 3 cells"));
  EXPECT_THAT(Error(std::string(100, ' '), {.max_bytes = 99}), HasSubstr("longer than 99 bytes"));
}

}  // namespace
}  // namespace qasino::publish
