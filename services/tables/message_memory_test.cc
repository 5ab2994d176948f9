#include "services/tables/message_memory.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::tables {
namespace {

using Put = v1::PutPersistentTableRequest;

std::optional<int64_t> Of(const std::string& wire, int block = -1) {
  google::protobuf::io::ArrayInputStream input(wire.data(), static_cast<int>(wire.size()), block);
  return EstimateMemory(input, static_cast<int64_t>(wire.size()), Put::default_instance());
}

std::string Varint(uint64_t value) {
  std::string wire;
  for (; value >= 0x80; value >>= 7) wire += static_cast<char>(value | 0x80);
  wire += static_cast<char>(value);
  return wire;
}

// A field with a length.
std::string Field(int number, const std::string& value) {
  return absl::StrCat(Varint(number << 3 | 2), Varint(value.size()), value);
}

std::string Repeat(const std::string& part, int times) {
  std::string wire;
  for (int i = 0; i < times; ++i) wire += part;
  return wire;
}

// A put of one column.
std::string Column(const std::string& column) { return Field(2, Field(2, column)); }

// What the parsed message really takes, on an arena or off.
int64_t Parsed(const std::string& wire) {
  google::protobuf::ArenaOptions options;
  options.max_block_size = 1 << 18;
  google::protobuf::Arena arena(options);
  auto* message = google::protobuf::Arena::CreateMessage<Put>(&arena);
  EXPECT_TRUE(message->ParseFromString(wire));
  return static_cast<int64_t>(
      std::max<uint64_t>(message->SpaceUsedLong(), arena.SpaceUsed() + wire.size()));
}

TEST(MessageMemory, TheEstimateHoldsWhatParsingTakes) {
  constexpr int kMany = 100'000;
  const std::string wires[] = {
      "",
      Field(1, std::string(1'000, 'x')),
      Field(2, Repeat(Field(2, ""), kMany)),                  // empty columns
      Column(Repeat(Field(5, ""), kMany)),                    // empty texts
      Column(Repeat(Field(5, std::string(16, 'x')), kMany)),  // texts with blocks
      Column(Repeat(Field(6, ""), kMany)),                    // empty blobs
      Column(Field(3, std::string(kMany, '\x02'))),           // packed integers
      Column(Repeat("\x18\x02", kMany)),                      // one by one
      Column(Field(4, std::string(8 * kMany, 'x'))),          // packed reals
      Column(Field(7, std::string(kMany, '\x01'))),           // kinds
      Repeat(Field(5, ""), kMany),                            // keycols
      Repeat(Field(99, ""), kMany),                           // what nobody knows
      Repeat("\x98\x06\x01", kMany),
      Column(Repeat(Field(99, ""), kMany)),
  };
  for (const std::string& wire : wires) {
    const auto estimate = Of(wire);
    ASSERT_TRUE(estimate.has_value()) << wire.substr(0, 20);
    EXPECT_GE(*estimate, Parsed(wire)) << wire.substr(0, 20);
  }
}

TEST(MessageMemory, AnHonestTableIsNotTakenForMoreThanAFewTimesWhatItIs) {
  Put put;
  put.set_identity("host");
  put.mutable_table()->set_name("cpu");
  for (int i = 0; i < 6; ++i) {
    v1::Column& column = *put.mutable_table()->add_columns();
    column.set_name(absl::StrCat("column_", i));
    column.set_type(v1::TEXT);
    for (int row = 0; row < 1'000; ++row) column.add_texts("a text of some length");
  }
  const std::string wire = put.SerializeAsString();
  EXPECT_LE(*Of(wire), 3 * Parsed(wire));
}

TEST(MessageMemory, BlocksOfAnySizeGiveTheSame) {
  const std::string wire =
      absl::StrCat(Column(Field(3, std::string(1'000, '\x96'))), Field(1, "host"));
  for (const int block : {1, 2, 3, 7, 100}) EXPECT_EQ(Of(wire, block), Of(wire));
}

TEST(MessageMemory, WhatCannotBeSuchAMessageIsSaidToBeNone) {
  const std::string wires[] = {
      "\x0a",                                              // a tag alone
      "\x0a\x05host",                                      // too short
      Field(2, "\x12\x05xxx"),                             // a column beyond its table
      std::string("\x00\x01", 2),                          // field 0
      "\x9b\x06",                                          // a group that does not end
      "\x9c\x06",                                          // one that ends only
      Repeat("\x9b\x06", 101),                             // too deep
      "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  // a number without end
  };
  for (const std::string& wire : wires) {
    EXPECT_FALSE(Of(wire).has_value()) << testing::PrintToString(wire);
  }
}

TEST(MessageMemory, WhateverItIsGivenItHoldsWhatParses) {
  const google::protobuf::LogSilencer silence;
  std::mt19937 random(7);
  const std::string honest = absl::StrCat(Field(1, "host"), Column(Field(5, "text")),
                                          Column(Field(3, "\x02\x04")), Repeat(Field(5, "k"), 3));
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = honest;
    for (int i = 0; i < 3; ++i) wire[random() % wire.size()] = static_cast<char>(random());
    const auto estimate = Of(wire);
    Put put;
    if (!put.ParseFromString(wire)) continue;
    ASSERT_TRUE(estimate.has_value()) << testing::PrintToString(wire);
    EXPECT_GE(*estimate, static_cast<int64_t>(put.SpaceUsedLong()));
  }
}

}  // namespace
}  // namespace qasino::tables
