#include "services/tables/validate_table.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace qasino::tables {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A table 'cpu' of these columns.
v1::Table Cpu(const std::string& columns) {
  v1::Table table;
  const std::string text = absl::StrCat("name: 'cpu' ", columns);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &table)) << text;
  return table;
}

absl::Status Check(const v1::Table& table) { return ValidateTable(table, {}); }

std::string Refusal(const v1::Table& table) {
  const absl::Status status = Check(table);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

constexpr char kColumn[] = "columns { name: 'a' type: INTEGER integers: [1, 2] }";

TEST(ValidateTable, TakesWhatIsRight) {
  EXPECT_EQ(Check(Cpu(kColumn)), absl::OkStatus());
  EXPECT_EQ(Check(Cpu("columns { name: 'a' type: TEXT }")), absl::OkStatus());
  EXPECT_EQ(
      Check(Cpu("columns { name: 'c' type: TEXT texts: ['', 'x'] }"
                "columns { name: 'e' type: BLOB kinds: '\\000\\000' }"
                "columns { name: 'f' type: TEXT kinds: '\\001\\003' integers: 1 texts: '' }")),
      absl::OkStatus());
}

TEST(ValidateTable, TableNames) {
  v1::Table table = Cpu(kColumn);
  table.set_name("a b");
  EXPECT_THAT(Refusal(table), StartsWith("table 'a b' is not a name"));
  table.set_name("Qasino_Server_info");
  EXPECT_THAT(Refusal(table), HasSubstr("reserved"));
  EXPECT_EQ(Refusal(Cpu("")), "table 'cpu': has no columns");
}

TEST(ValidateTable, ColumnNames) {
  EXPECT_THAT(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'b' type: TEXT texts: ['', ''] }",
                                       "columns { name: 'a b' type: TEXT texts: ['', ''] }"))),
              StartsWith("table 'cpu': column 3 'a b' is not a name"));
  EXPECT_THAT(Refusal(Cpu("columns { type: TEXT }")),
              StartsWith("table 'cpu': column 1 '' is not"));
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: TEXT } columns { name: 'A' type: TEXT }")),
            "table 'cpu': column 'A' is there twice (names are compared without case)");
  v1::Table wide = Cpu("");
  for (int i = 0; i < 100; ++i) {
    v1::Column& column = *wide.add_columns();
    column.set_name(absl::StrCat("c", i));
    column.set_type(v1::TEXT);
  }
  EXPECT_EQ(Check(wide), absl::OkStatus());
  wide.mutable_columns(99)->set_name("C17");
  EXPECT_EQ(Refusal(wide),
            "table 'cpu': column 'C17' is there twice (names are compared without case)");
}

TEST(ValidateTable, ColumnTypes) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' integers: 1 }")),
            "table 'cpu': column 'a' has no type: INTEGER, REAL, TEXT or BLOB is wanted");
  v1::Table publish = Cpu(kColumn);
  publish.mutable_columns(0)->set_type(static_cast<v1::ColumnType>(9));
  EXPECT_EQ(
      Refusal(publish),
      "table 'cpu': column 'a' has the unknown type 9: INTEGER, REAL, TEXT or BLOB is wanted");
  publish.mutable_columns(0)->set_type(static_cast<v1::ColumnType>(-1));
  EXPECT_THAT(Refusal(publish), HasSubstr("unknown type -1"));
}

TEST(ValidateTable, RaggedColumns) {
  EXPECT_EQ(
      Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL reals: [1, 2, 3] }"))),
      "table 'cpu': column 'x' has 3 rows, column 'a' has 2");
  EXPECT_EQ(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL kinds: '\\000' }"))),
            "table 'cpu': column 'x' has 1 rows, column 'a' has 2");
  EXPECT_EQ(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL }"))),
            "table 'cpu': column 'x' has 0 rows, column 'a' has 2");
}

TEST(ValidateTable, CellsOfAnotherTypeNeedKinds) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER integers: 1 texts: 'x' }")),
            "table 'cpu': column 'a' is of type INTEGER and has texts, but no kinds");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: TEXT reals: 1 }")),
            "table 'cpu': column 'a' is of type TEXT and has reals, but no kinds");
}

TEST(ValidateTable, KindsAddUpExactly) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\001\\005' integers: 1 }")),
            "table 'cpu': column 'a', row 2: kind 5 is none of 0 to 4");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\377' }")),
            "table 'cpu': column 'a', row 1: kind 255 is none of 0 to 4");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\001\\001' integers: 1 }")),
            "table 'cpu': column 'a' has 1 integers, but its kinds ask for 2");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\000' blobs: 'x' }")),
            "table 'cpu': column 'a' has 1 blobs, but its kinds ask for 0");
}

TEST(ValidateTable, Limits) {
  const v1::Table table =
      Cpu("columns { name: 'a' type: TEXT kinds: '\\000\\000\\000' }"
          "columns { name: 'b' type: TEXT kinds: '\\000\\000\\000' }");
  EXPECT_EQ(ValidateTable(table, {.rows = 3}), absl::OkStatus());
  EXPECT_EQ(ValidateTable(table, {.rows = 2}),
            absl::ResourceExhaustedError("table 'cpu': has 3 rows, over the limit of 2 a publish"));
  EXPECT_EQ(ValidateTable(table, {.columns = 1}),
            absl::ResourceExhaustedError("table 'cpu': has 2 columns, over the limit of 1"));
}

TEST(ValidateKeycols, AreColumnsOfTheTable) {
  const v1::Table table = Cpu(kColumn);
  const auto check = [&](bool update, const std::vector<std::string>& keys, int64_t columns = 9) {
    const google::protobuf::RepeatedPtrField<std::string> keycols(keys.begin(), keys.end());
    return ValidateKeycols(table, update, keycols, {.columns = columns});
  };
  EXPECT_EQ(check(false, {}), absl::OkStatus());
  EXPECT_EQ(check(true, {}), absl::OkStatus());
  EXPECT_EQ(check(true, {"A"}), absl::OkStatus());
  EXPECT_EQ(check(false, {"a"}),
            absl::InvalidArgumentError("table 'cpu': 'keycols' are there without 'update'"));
  EXPECT_EQ(check(true, {"a", "b"}),
            absl::InvalidArgumentError("table 'cpu': key column 'b' is not a column of the table"));
  EXPECT_EQ(check(true, {""}),
            absl::InvalidArgumentError("table 'cpu': key column '' is not a column of the table"));
  EXPECT_EQ(check(true, {"a", "A"}),
            absl::InvalidArgumentError(
                "table 'cpu': key column 'A' is there twice (names are compared without case)"));
  EXPECT_TRUE(absl::IsResourceExhausted(check(true, {"a", "a"}, 1)));
}

}  // namespace
}  // namespace qasino::tables
