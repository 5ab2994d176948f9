#include "services/store/put_request_scan.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

absl::Status Scan(const std::string& bytes, const ShardLimits& limits = {}) {
  // In small pieces, as it may come.
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()), 3);
  return ScanPutRequest(&stream, limits);
}

std::string WithInfo(const v1::ShardInfo& info) {
  v1::PutShardRequest request;
  *request.mutable_info() = info;
  return request.SerializeAsString();
}

v1::ShardInfo Tables(int tables, int columns) {
  v1::ShardInfo info = TestShard(30, "a");
  info.clear_tables();
  for (int i = 0; i < tables; ++i) {
    v1::TableInfo& table = *info.add_tables();
    for (int j = 0; j < columns; ++j) table.add_columns();
  }
  return info;
}

std::string Said(const absl::Status& status) {
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  return std::string(status.message());
}

TEST(ScanPutRequest, TakesWhatSendersSend) {
  EXPECT_EQ(Scan(WithInfo(TestShard(30, "a"))), absl::OkStatus());
  EXPECT_EQ(Scan(""), absl::OkStatus());
  v1::PutShardRequest request;
  request.mutable_chunk()->set_offset(70'000);
  request.mutable_chunk()->set_data(std::string(50'000, '\x52'));
  EXPECT_EQ(Scan(request.SerializeAsString()), absl::OkStatus());
}

TEST(ScanPutRequest, CountsTablesAndColumnsUpToTheLimits) {
  const ShardLimits limits = {.max_tables = 3, .max_columns = 4, .max_all_columns = 10};
  EXPECT_EQ(Scan(WithInfo(Tables(3, 3)), limits), absl::OkStatus());
  EXPECT_EQ(Scan(WithInfo(Tables(2, 4)), limits), absl::OkStatus());
  EXPECT_EQ(Said(Scan(WithInfo(Tables(4, 0)), limits)),
            "shard info: more than the 3 tables allowed");
  EXPECT_EQ(Said(Scan(WithInfo(Tables(1, 5)), limits)),
            "shard info: more than the 4 columns of a table allowed");
  EXPECT_EQ(Said(Scan(WithInfo(Tables(3, 4)), limits)),
            "shard info: more than the 10 columns of all tables together allowed");
}

TEST(ScanPutRequest, MillionsOfEmptyTablesAreNotMade) {
  // Fields 10 (tables) of field 1 (info), each empty: two bytes.
  std::string info;
  for (int i = 0; i < 4'000'000; ++i) info += std::string("\x52\x00", 2);
  EXPECT_EQ(Said(Scan(absl::StrCat("\x0a\x80\xa4\xe8\x03", info))),
            "shard info: more than the 100000 tables allowed");
}

TEST(ScanPutRequest, AnInfoInPiecesIsCountedAsOne) {
  const std::string piece = WithInfo(Tables(2, 1));
  EXPECT_EQ(Scan(piece, {.max_tables = 3}), absl::OkStatus());
  EXPECT_EQ(Said(Scan(piece + piece, {.max_tables = 3})),
            "shard info: more than the 3 tables allowed");
}

TEST(ScanPutRequest, UnknownFieldsAreTakenButCounted) {
  // Field 15 of the request, a varint; and field 1, which should be a message, as one.
  const std::string unknown = "\x78\x01\x08\x01";
  EXPECT_EQ(Scan(unknown + WithInfo(TestShard(30, "a")), {.max_unknown_fields = 2}),
            absl::OkStatus());
  EXPECT_EQ(Said(Scan(unknown, {.max_unknown_fields = 1})),
            "shard info: more than the 1 unknown fields allowed");
  // In a column's depth too.
  v1::ShardInfo info = TestShard(30, "a");
  v1::ColumnInfo& column = *info.mutable_tables(0)->mutable_columns(0);
  for (int i = 0; i < 2; ++i) {
    column.GetReflection()->MutableUnknownFields(&column)->AddVarint(99, 1);
  }
  EXPECT_EQ(Said(Scan(WithInfo(info), {.max_unknown_fields = 1})),
            "shard info: more than the 1 unknown fields allowed");
}

TEST(ScanPutRequest, WhatIsNoMessageIsRefused) {
  const std::string whole = WithInfo(TestShard(30, "a"));
  for (const std::string& bytes : {
           std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),  // no tag
           std::string("\x00", 1),                                           // field 0
           std::string("\x0a\x05\x52", 3),                                   // too short
           std::string("\x0a\x02\x52\x00\x0c", 5),                           // a group's end
           std::string("\x7b\x7c", 2),                                       // a group
           whole.substr(0, whole.size() - 1),
       }) {
    EXPECT_EQ(Scan(bytes), absl::InvalidArgumentError("the message is not a PutShardRequest"))
        << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace qasino::store
