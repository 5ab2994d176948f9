#include "services/store/shard_info.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::HasSubstr;

TEST(CheckShardInfoTest, AcceptsAnOrdinaryShard) {
  EXPECT_EQ(CheckShardInfo(TestShard(30, "a"), {}), absl::OkStatus());
  v1::ShardInfo empty = TestShard(30, "a");
  empty.clear_tables();
  EXPECT_EQ(CheckShardInfo(empty, {}), absl::OkStatus());
}

TEST(CheckMadeInfoTest, WhatTheStoreMakesHasNoProcess) {
  v1::ShardInfo info = TestMadeShard(v1::STATIC, "static-1");
  EXPECT_EQ(CheckMadeInfo(info, {}), absl::OkStatus());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckShardInfo(info, {})));
  info.set_kind(v1::PERSISTENT);
  EXPECT_EQ(CheckMadeInfo(info, {}), absl::OkStatus());
  info.set_shard_id("a.b");
  EXPECT_TRUE(absl::IsInvalidArgument(CheckMadeInfo(info, {})));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckMadeInfo(TestShard(30, "a"), {})));
}

struct Case {
  const char* name;
  std::function<void(v1::ShardInfo&)> spoil;
  absl::StatusCode code;
  const char* says;
};

class SpoiltShardInfoTest : public ::testing::TestWithParam<Case> {};

TEST_P(SpoiltShardInfoTest, IsRefusedByName) {
  ShardLimits limits;
  limits.max_shard_bytes = 1'000;
  limits.max_tables = 3;
  limits.max_columns = 3;
  limits.max_all_columns = 4;
  limits.max_info_bytes = 10'000;
  v1::ShardInfo info = TestShard(30, "a");
  GetParam().spoil(info);
  const absl::Status status = CheckShardInfo(info, limits);
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().says));
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kLimit = absl::StatusCode::kResourceExhausted;

INSTANTIATE_TEST_SUITE_P(
    All, SpoiltShardInfoTest,
    ::testing::Values(
        Case{"NoId", [](auto& info) { info.clear_shard_id(); }, kInvalid, "shard_id"},
        Case{"PathId", [](auto& info) { info.set_shard_id("../../etc/passwd"); }, kInvalid,
             "'../../etc/passwd'"},
        Case{"ZeroByteId", [](auto& info) { info.set_shard_id(std::string("a\0b", 3)); }, kInvalid,
             "'a\\x00"},
        Case{"LongId", [](auto& info) { info.set_shard_id(std::string(129, 'a')); }, kInvalid, "…"},
        Case{"NoKind", [](auto& info) { info.clear_kind(); }, kInvalid, "kind 0"},
        Case{"RunningKind", [](auto& info) { info.set_kind(v1::RUNNING); }, kInvalid, "kind 4"},
        Case{"NewKind", [](auto& info) { info.set_kind(static_cast<v1::ShardKind>(99)); }, kInvalid,
             "kind 99"},
        Case{"NewFormat", [](auto& info) { info.set_format(static_cast<v1::ShardFormat>(7)); },
             kInvalid, "format 7"},
        Case{"NoGeneration", [](auto& info) { info.clear_generation(); }, kInvalid, "generation 0"},
        Case{"NegativeGeneration", [](auto& info) { info.set_generation(-30); }, kInvalid,
             "generation -30"},
        Case{"FarGeneration", [](auto& info) { info.set_generation(INT64_MAX); }, kInvalid,
             "generation 9223372036854775807"},
        Case{"NoDuration", [](auto& info) { info.clear_duration(); }, kInvalid, "duration"},
        Case{"PartOfASecond", [](auto& info) { info.mutable_duration()->set_nanos(5); }, kInvalid,
             "duration"},
        Case{"NoIngestId", [](auto& info) { info.clear_ingest_id(); }, kInvalid, "ingest_id"},
        Case{"NoIdentity", [](auto& info) { info.clear_identity(); }, kInvalid, "identity"},
        Case{"ControlIdentity", [](auto& info) { info.set_identity("a\nb"); }, kInvalid, "'a\\nb'"},
        Case{"UnicodeControlIdentity", [](auto& info) { info.set_identity("\xc2\x85"); }, kInvalid,
             "has a control character"},
        Case{"NoBytes", [](auto& info) { info.set_size_bytes(0); }, kInvalid, "size_bytes"},
        Case{"TooLarge", [](auto& info) { info.set_size_bytes(1'001); }, kLimit, "1001 bytes"},
        Case{"NegativePublishers", [](auto& info) { info.set_publishers(-1); }, kInvalid,
             "publishers"},
        Case{"LargeInfo",
             [](auto& info) { info.mutable_tables(0)->set_name(std::string(20'000, 'a')); }, kLimit,
             "catalogue"},
        Case{"ManyTables",
             [](auto& info) {
               for (int i = 0; i < 3; ++i) *info.add_tables() = info.tables(0);
             },
             kLimit, "4 tables"},
        Case{"TableName", [](auto& info) { info.mutable_tables(0)->set_name("a b"); }, kInvalid,
             "table 'a b'"},
        Case{"SqlitesTableName", [](auto& info) { info.mutable_tables(0)->set_name("SQLite_x"); },
             kInvalid, "table 'SQLite_x': names that begin with 'sqlite_' are reserved"},
        Case{"TheServersTableName",
             [](auto& info) { info.mutable_tables(0)->set_name("qasino_server_publishes"); },
             kInvalid, "names that begin with 'qasino_server_' are reserved"},
        Case{"TableTwice",
             [](auto& info) {
               *info.add_tables() = info.tables(0);
               info.mutable_tables(1)->set_name("CPU");
             },
             kInvalid, "table 'CPU' is there twice"},
        Case{"NoColumns", [](auto& info) { info.mutable_tables(0)->clear_columns(); }, kInvalid,
             "no columns"},
        Case{"ManyColumns",
             [](auto& info) {
               for (int i = 0; i < 3; ++i) {
                 *info.mutable_tables(0)->add_columns() = info.tables(0).columns(0);
               }
             },
             kLimit, "4 columns"},
        Case{"ManyColumnsOfAllTables",
             [](auto& info) {
               for (const char* name : {"b", "c"}) {
                 *info.mutable_tables(0)->add_columns() = info.tables(0).columns(0);
                 info.mutable_tables(0)->mutable_columns()->rbegin()->set_name(name);
               }
               *info.add_tables() = info.tables(0);
               info.mutable_tables(1)->set_name("memory");
             },
             kLimit, "the 4 columns of all tables"},
        Case{"ColumnName",
             [](auto& info) { info.mutable_tables(0)->mutable_columns(0)->set_name("\""); },
             kInvalid, "is not a name"},
        Case{"ColumnType",
             [](auto& info) { info.mutable_tables(0)->mutable_columns(0)->clear_type(); }, kInvalid,
             "no known type"},
        Case{"ColumnTwice",
             [](auto& info) { *info.mutable_tables(0)->add_columns() = info.tables(0).columns(0); },
             kInvalid, "column 'load' is there twice"},
        Case{"NegativeRows", [](auto& info) { info.mutable_tables(0)->set_rows(-1); }, kInvalid,
             "rows"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace qasino::store
