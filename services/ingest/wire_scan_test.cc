#include "services/ingest/wire_scan.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::ingest {
namespace {

using google::protobuf::io::ArrayInputStream;

std::optional<WireSize> Scan(const std::string& wire, int block = -1) {
  ArrayInputStream input(wire.data(), static_cast<int>(wire.size()), block);
  return ScanPublishRequest(input, static_cast<int64_t>(wire.size()));
}

std::optional<WireSize> ScanStream(const std::string& wire) {
  ArrayInputStream input(wire.data(), static_cast<int>(wire.size()));
  return ScanPublishStreamRequest(input, static_cast<int64_t>(wire.size()));
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

// A publish of one column.
std::string Column(const std::string& column) { return Field(2, Field(2, column)); }

// What the parsed message really takes.
template <typename Message>
int64_t Parsed(const std::string& wire) {
  google::protobuf::ArenaOptions options;
  options.max_block_size = 1 << 18;
  google::protobuf::Arena arena(options);
  auto* message = google::protobuf::Arena::CreateMessage<Message>(&arena);
  EXPECT_TRUE(message->ParseFromString(wire));
  // What is on the heap, beside what is on the arena; some counts twice.
  return static_cast<int64_t>(
      std::max<uint64_t>(message->SpaceUsedLong(), arena.SpaceUsed() + wire.size()));
}

TEST(WireScan, CountsColumnsAndKeycolsWithoutMakingThem) {
  EXPECT_EQ(Scan(Field(2, Repeat(Field(2, ""), 7)))->columns, 7);
  // Tables of one publish are merged.
  EXPECT_EQ(Scan(Repeat(Field(2, Repeat(Field(2, ""), 7)), 3))->columns, 21);
  EXPECT_EQ(Scan(Repeat(Field(4, "a"), 5))->keycols, 5);
  EXPECT_EQ(Scan("")->publishes, 1);
  const auto stream = ScanStream(
      absl::StrCat(Field(1, ""), Field(1, Column("")), Field(1, Repeat(Field(4, "a"), 2))));
  ASSERT_TRUE(stream.has_value());
  EXPECT_EQ(stream->publishes, 3);
  EXPECT_EQ(stream->columns, 1);
  EXPECT_EQ(stream->keycols, 2);
}

TEST(WireScan, TheEstimateHoldsWhatParsingTakes) {
  constexpr int kMany = 100'000;
  for (const std::string& wire : {
           Field(2, Repeat(Field(2, ""), kMany)),                          // columns
           Repeat(Field(2, Field(2, "")), kMany),                          // tables with a column
           Repeat(Field(4, ""), kMany),                                    // keycols
           Repeat(Field(4, std::string(16, 'x')), kMany),                  // on the heap
           Column(Field(3, std::string(kMany, '\1'))),                     // packed integers
           Column(Repeat(absl::StrCat(Varint(3 << 3), "\1"), kMany)),      // single ones
           Column(Field(4, std::string(8 * kMany, '\0'))),                 // packed reals
           Column(Repeat(Field(4, std::string(8 * 3, '\0')), kMany)),      // in runs
           Column(Repeat(Varint(4 << 3 | 1) + std::string(8, 1), kMany)),  // single ones
           Column(Repeat(Field(5, ""), kMany)),                            // texts
           Column(Repeat(Field(5, std::string(15, 'x')), kMany)),
           Column(Repeat(Field(5, std::string(16, 'x')), kMany)),
           Column(Repeat(Field(6, "x"), kMany)),                // blobs
           Column(Field(7, std::string(kMany, '\1'))),          // kinds
           Column(Field(1, std::string(kMany, 'x'))),           // a name
           Repeat(absl::StrCat(Varint(99 << 3), "\1"), kMany),  // unknown fields
           Repeat(Field(99, ""), kMany),
           Repeat(Field(99, std::string(20, 'x')), kMany),
           Repeat(absl::StrCat(Varint(99 << 3 | 3), Varint(99 << 3 | 4)), kMany),  // groups
           Repeat(Repeat(Varint(99 << 3 | 3), 50) + Repeat(Varint(99 << 3 | 4), 50), kMany / 50),
       }) {
    const auto size = Scan(wire);
    ASSERT_TRUE(size.has_value());
    const int64_t parsed = Parsed<v1::PublishRequest>(wire);
    EXPECT_GE(size->memory, parsed) << wire.substr(0, 20);
    // Nor is it out of all proportion.
    EXPECT_LE(size->memory, 8 * parsed) << wire.substr(0, 20);
  }
  const std::string publishes = Repeat(Field(1, ""), kMany);
  EXPECT_GE(ScanStream(publishes)->memory, Parsed<v1::PublishStreamRequest>(publishes));
}

TEST(WireScan, ThirtyTwoMegabytesOfEmptyColumnsAreRefused) {
  const Limits limits;
  const auto size = Scan(Field(2, Repeat(Field(2, ""), 1 << 24)));
  ASSERT_TRUE(size.has_value());
  EXPECT_GT(size->memory, int64_t{2} << 30);
  EXPECT_EQ(CheckPublish(*size, limits),
            absl::ResourceExhaustedError("the table has 16777216 columns, over the limit of 2000"));
  EXPECT_EQ(CheckMessage(*size, limits),
            absl::ResourceExhaustedError(absl::StrCat("the message takes about ", size->memory,
                                                      " bytes of memory, over the limit of ",
                                                      limits.memory_per_message)));
}

TEST(WireScan, EachLimitIsNamed) {
  const Limits limits{.publishes_per_message = 2, .columns_per_table = 3};
  EXPECT_TRUE(CheckMessage({.publishes = 2}, limits).ok());
  EXPECT_EQ(CheckMessage({.publishes = 3}, limits),
            absl::ResourceExhaustedError("the message has 3 publishes, over the limit of 2"));
  EXPECT_TRUE(CheckPublish({.columns = 3, .keycols = 3}, limits).ok());
  EXPECT_EQ(CheckPublish({.columns = 3, .keycols = 4}, limits),
            absl::ResourceExhaustedError("the publish has 4 keycols, over the limit of 3"));
}

TEST(WireScan, AFullPublishPasses) {
  // 20 columns of a million small integers, and half a million texts.
  std::string table;
  for (int i = 0; i < 20; ++i) table += Field(2, Field(3, std::string(1'000'000, '\1')));
  table += Field(2, Repeat(Field(5, "ab"), 500'000));
  const auto size = Scan(Field(2, table));
  ASSERT_TRUE(size.has_value());
  EXPECT_TRUE(CheckPublish(*size, Limits()).ok()) << CheckPublish(*size, Limits());
}

TEST(WireScan, WhatIsMalformedIsNoRequest) {
  for (const std::string& wire : {
           std::string("\0", 1),                           // no field number
           std::string("\x80"),                            // a tag that is cut
           Varint(2 << 3 | 2),                             // no length
           Varint(2 << 3 | 2) + "\5",                      // longer than the message
           Field(2, Varint(2 << 3 | 2) + "\5") + "12345",  // longer than what it is in
           Column(Varint(4 << 3 | 1) + "123"),             // a real that is cut
           Varint(99 << 3 | 3),                            // a group that is open
           Varint(99 << 3 | 4),                            // one that never began
           Varint(99 << 3 | 6),                            // no such type
           Varint(2 << 3 | 2) + std::string(10, '\xff'),   // a length beyond all
           Repeat(Varint(99 << 3 | 3), 1 << 20),           // too deep
       }) {
    EXPECT_FALSE(Scan(wire).has_value()) << wire.substr(0, 20);
  }
}

// Whatever the bytes are it ends; and it passes all that parses.
TEST(WireScan, PassesWhateverParses) {
  google::protobuf::LogSilencer silent;
  std::minstd_rand random(1);
  v1::PublishRequest publish;
  publish.set_identity("h");
  publish.set_update(true);
  publish.add_keycols("a");
  publish.mutable_table()->set_name("t");
  for (int i = 0; i < 3; ++i) {
    v1::Column& column = *publish.mutable_table()->add_columns();
    column.set_name(absl::StrCat("a", i));
    column.set_type(v1::TEXT);
    column.add_texts("one");
    column.add_integers(-70'000);
    column.add_reals(0.5);
    column.add_blobs("x");
    column.set_kinds("\1\2");
  }
  const std::string good = publish.SerializeAsString();
  int parsed = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string wire = good;
    for (int changes = 1 + static_cast<int>(random() % 3); changes > 0; --changes) {
      wire[random() % wire.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) wire.resize(random() % wire.size());
    const bool parses = publish.ParseFromString(wire);
    parsed += parses ? 1 : 0;
    if (parses) {
      ASSERT_TRUE(Scan(wire).has_value()) << publish.DebugString();
    }
    // However the bytes are cut into blocks.
    const auto whole = Scan(wire);
    const auto cut = Scan(wire, 3);
    ASSERT_EQ(whole.has_value(), cut.has_value());
    if (whole.has_value()) {
      ASSERT_EQ(whole->memory, cut->memory);
      ASSERT_EQ(whole->columns, cut->columns);
    }
  }
  EXPECT_GT(parsed, 1000);
}

}  // namespace
}  // namespace qasino::ingest
