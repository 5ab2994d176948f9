#include "services/ingest/validate.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace qasino::ingest {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

v1::PublishRequest Parse(const std::string& text) {
  v1::PublishRequest publish;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &publish)) << text;
  return publish;
}

// With an identity, and a table 'cpu' of these columns.
v1::PublishRequest Cpu(const std::string& columns) {
  return Parse(absl::StrCat("identity: 'h1' table { name: 'cpu' ", columns, " }"));
}

absl::Status Check(const v1::PublishRequest& publish) { return ValidatePublish(publish, 100, {}); }

std::string Refusal(const v1::PublishRequest& publish,
                    absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
  const absl::Status status = Check(publish);
  EXPECT_EQ(status.code(), code) << status;
  return std::string(status.message());
}

constexpr char kColumn[] = "columns { name: 'a' type: INTEGER integers: [1, 2] }";

TEST(Validate, TakesWhatIsRight) {
  EXPECT_EQ(Check(Cpu(kColumn)), absl::OkStatus());
  EXPECT_EQ(Check(Cpu("columns { name: 'a' type: TEXT }")), absl::OkStatus());
  EXPECT_EQ(
      Check(Cpu("columns { name: 'a' type: INTEGER integers: [1, 2] }"
                "columns { name: 'b' type: REAL reals: [1, 2] }"
                "columns { name: 'c' type: TEXT texts: ['', 'x'] }"
                "columns { name: 'd' type: BLOB blobs: ['', 'x'] }"
                "columns { name: 'e' type: BLOB kinds: '\\000\\000' }"
                "columns { name: 'f' type: TEXT kinds: '\\001\\003' integers: 1 texts: '' }")),
      absl::OkStatus());
}

TEST(Validate, TableNamesAndIdentities) {
  v1::PublishRequest publish = Cpu(kColumn);
  publish.mutable_table()->set_name("a b");
  EXPECT_THAT(Refusal(publish), StartsWith("table 'a b' is not a name"));
  publish.mutable_table()->set_name("Qasino_Server_info");
  EXPECT_EQ(Refusal(publish),
            "table 'Qasino_Server_info': names that begin with 'qasino_server_' are reserved");
  publish = Cpu(kColumn);
  publish.set_identity("a\nb");
  EXPECT_EQ(Refusal(publish), "the identity 'a\\nb' has a control character");
}

TEST(Validate, ColumnNames) {
  EXPECT_THAT(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'b' type: TEXT texts: ['', ''] }",
                                       "columns { name: 'a b' type: TEXT texts: ['', ''] }"))),
              StartsWith("table 'cpu': column 3 'a b' is not a name"));
  EXPECT_THAT(Refusal(Cpu("columns { type: TEXT }")),
              StartsWith("table 'cpu': column 1 '' is not"));
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: TEXT } columns { name: 'A' type: TEXT }")),
            "table 'cpu': column 'A' is there twice (names are compared without case)");
  v1::PublishRequest wide = Cpu("");
  for (int i = 0; i < 100; ++i) {
    v1::Column& column = *wide.mutable_table()->add_columns();
    column.set_name(absl::StrCat("c", i));
    column.set_type(v1::TEXT);
  }
  EXPECT_EQ(Check(wide), absl::OkStatus());
  wide.mutable_table()->mutable_columns(99)->set_name("C17");
  EXPECT_EQ(Refusal(wide),
            "table 'cpu': column 'C17' is there twice (names are compared without case)");
}

TEST(Validate, ColumnTypes) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' integers: 1 }")),
            "table 'cpu': column 'a' has no type: INTEGER, REAL, TEXT or BLOB is wanted");
  v1::PublishRequest publish = Cpu(kColumn);
  publish.mutable_table()->mutable_columns(0)->set_type(static_cast<v1::ColumnType>(9));
  EXPECT_EQ(
      Refusal(publish),
      "table 'cpu': column 'a' has the unknown type 9: INTEGER, REAL, TEXT or BLOB is wanted");
  publish.mutable_table()->mutable_columns(0)->set_type(static_cast<v1::ColumnType>(-1));
  EXPECT_THAT(Refusal(publish), HasSubstr("unknown type -1"));
}

TEST(Validate, RaggedColumns) {
  EXPECT_EQ(
      Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL reals: [1, 2, 3] }"))),
      "table 'cpu': column 'x' has 3 rows, column 'a' has 2");
  EXPECT_EQ(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL kinds: '\\000' }"))),
            "table 'cpu': column 'x' has 1 rows, column 'a' has 2");
  EXPECT_EQ(Refusal(Cpu(absl::StrCat(kColumn, "columns { name: 'x' type: REAL }"))),
            "table 'cpu': column 'x' has 0 rows, column 'a' has 2");
}

TEST(Validate, CellsOfAnotherTypeNeedKinds) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER integers: 1 texts: 'x' }")),
            "table 'cpu': column 'a' is of type INTEGER and has texts, but no kinds");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: TEXT reals: 1 }")),
            "table 'cpu': column 'a' is of type TEXT and has reals, but no kinds");
}

TEST(Validate, KindsAddUpExactly) {
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\001\\005' integers: 1 }")),
            "table 'cpu': column 'a', row 2: kind 5 is none of 0 to 4");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\377' }")),
            "table 'cpu': column 'a', row 1: kind 255 is none of 0 to 4");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\001\\001' integers: 1 }")),
            "table 'cpu': column 'a' has 1 integers, but its kinds ask for 2");
  EXPECT_EQ(Refusal(Cpu("columns { name: 'a' type: INTEGER kinds: '\\000' blobs: 'x' }")),
            "table 'cpu': column 'a' has 1 blobs, but its kinds ask for 0");
}

TEST(Validate, WhatIsMissing) {
  EXPECT_EQ(Refusal(Parse("identity: 'h1'")), "the publish has no table");
  EXPECT_EQ(Refusal(Cpu("")), "table 'cpu': has no columns");
  EXPECT_EQ(Refusal(Parse("table { name: 'cpu' }")), "the identity is empty");
}

TEST(Validate, Options) {
  const auto with = [](const std::string& options) {
    return Parse(absl::StrCat("identity: 'h1' table { name: 'cpu' ", kColumn, " } ", options));
  };
  for (const char* fine : {"update: true", "update: true keycols: 'A'", "persist: true",
                           "update: true persist: true keycols: 'a'", "static: true"}) {
    EXPECT_EQ(ValidatePublish(with(fine), 0, {}), absl::OkStatus()) << fine;
  }
  EXPECT_EQ(Refusal(with("static: true persist: true")),
            "table 'cpu': options 'persist' and 'static' exclude each other");
  EXPECT_EQ(Refusal(with("keycols: 'a'")), "table 'cpu': 'keycols' are there without 'update'");
  EXPECT_EQ(Refusal(with("update: true keycols: 'b'")),
            "table 'cpu': key column 'b' is not a column of the table");
  EXPECT_EQ(Refusal(with("update: true keycols: ''")),
            "table 'cpu': key column '' is not a column of the table");
  EXPECT_EQ(Refusal(with("update: true keycols: 'a' keycols: 'A'")),
            "table 'cpu': key column 'A' is there twice (names are compared without case)");
  EXPECT_EQ(Refusal(with("persist: true keycols: 'a'")),
            "table 'cpu': 'keycols' are there without 'update'");
  EXPECT_EQ(Refusal(with("static: true update: true")),
            "table 'cpu': options 'update' and 'static' exclude each other: a static table is "
            "replaced");
}

TEST(Validate, Limits) {
  const v1::PublishRequest publish =
      Cpu("columns { name: 'a' type: TEXT kinds: '\\000\\000\\000' }"
          "columns { name: 'b' type: TEXT kinds: '\\000\\000\\000' }");
  EXPECT_EQ(ValidatePublish(publish, 50, {.bytes_per_publish = 50}), absl::OkStatus());
  EXPECT_EQ(ValidatePublish(publish, 51, {.bytes_per_publish = 50}),
            absl::ResourceExhaustedError("the publish has 51 bytes, over the limit of 50"));
  EXPECT_EQ(ValidatePublish(publish, 0, {.rows_per_publish = 3}), absl::OkStatus());
  EXPECT_EQ(ValidatePublish(publish, 0, {.rows_per_publish = 2}),
            absl::ResourceExhaustedError("table 'cpu': has 3 rows, over the limit of 2 a publish"));
  EXPECT_EQ(ValidatePublish(publish, 0, {.columns_per_table = 1}),
            absl::ResourceExhaustedError("table 'cpu': has 2 columns, over the limit of 1"));
}

TEST(Validate, Rows) {
  EXPECT_EQ(RowCount(Cpu(kColumn).table()), 2);
  EXPECT_EQ(RowCount(Cpu("columns { name: 'a' type: TEXT kinds: '\\000' }").table()), 1);
  EXPECT_EQ(RowCount(Cpu("columns { name: 'a' type: BLOB blobs: '' }").table()), 1);
  EXPECT_EQ(RowCount(v1::Table()), 0);
}

}  // namespace
}  // namespace qasino::ingest
