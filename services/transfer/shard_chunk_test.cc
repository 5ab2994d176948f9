#include "services/transfer/shard_chunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "qasino/v1/snapshot.pb.h"

namespace qasino::transfer {
namespace {

std::string Bytes(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(message.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// A message in slices of so many bytes, as it may come from a connection.
grpc::ByteBuffer Message(const std::string& bytes, size_t piece) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    slices.emplace_back(bytes.substr(at, piece));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Data(const Chunk& chunk) {
  std::string data;
  chunk.ForEach([&data](std::string_view piece) {
    data += piece;
    return true;
  });
  return data;
}

TEST(ShardChunk, IsWrittenAsProtobufWritesIt) {
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{300}, UINT64_MAX}) {
    for (const size_t size : {0, 1, 127, 128, 70'000}) {
      const auto data = std::make_shared<const std::string>(size, 'x');
      v1::PutShardRequest request;
      request.mutable_chunk()->set_offset(offset);
      request.mutable_chunk()->set_data(*data);
      std::string bytes = Bytes(ChunkMessage(offset, Share(*data, data)));
      // Protobuf leaves out what is empty.
      v1::PutShardRequest read;
      ASSERT_TRUE(read.ParseFromString(bytes));
      EXPECT_EQ(read.SerializeAsString(), request.SerializeAsString());
      if (size > 0) {
        EXPECT_EQ(bytes, request.SerializeAsString());
      }
    }
  }
}

TEST(ShardChunk, IsReadHoweverItIsCut) {
  v1::GetShardResponse response;
  response.mutable_chunk()->set_offset(1'234'567);
  response.mutable_chunk()->set_data("some bytes of a shard, more than are before them");
  const std::string bytes = response.SerializeAsString();
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    const auto chunk = ReadChunk(Message(bytes, piece));
    ASSERT_TRUE(chunk.has_value()) << piece;
    EXPECT_EQ(chunk->offset, 1'234'567u);
    EXPECT_EQ(chunk->size, response.chunk().data().size());
    EXPECT_EQ(Data(*chunk), response.chunk().data());
  }
}

TEST(ShardChunk, TheFirstOneHasNoOffset) {
  v1::GetShardResponse response;
  response.mutable_chunk()->set_data("x");
  const auto chunk = ReadChunk(Message(response.SerializeAsString(), 100));
  ASSERT_TRUE(chunk.has_value());
  EXPECT_EQ(chunk->offset, 0u);
  EXPECT_EQ(Data(*chunk), "x");
}

TEST(ShardChunk, WhatIsNotAChunkAloneIsLeftToTheParser) {
  v1::PutShardRequest info;
  info.mutable_info()->set_shard_id("an id");
  v1::PutShardRequest chunk;
  chunk.mutable_chunk()->set_offset(5);
  chunk.mutable_chunk()->set_data("data");
  v1::PutShardRequest empty_chunk;
  empty_chunk.mutable_chunk();
  const std::string whole = chunk.SerializeAsString();
  std::vector<std::string> others = {"", "\xff", info.SerializeAsString(),
                                     empty_chunk.SerializeAsString(), whole + whole,
                                     whole + info.SerializeAsString(), whole + "x",
                                     // The data before the offset.
                                     std::string("\x12\x05\x12\x01x\x08\x05", 7)};
  for (size_t size = 0; size < whole.size(); ++size) others.push_back(whole.substr(0, size));
  for (const std::string& bytes : others) {
    for (const size_t piece : {1, 3, 100}) {
      EXPECT_FALSE(ReadChunk(Message(bytes, piece)).has_value()) << testing::PrintToString(bytes);
    }
  }
}

TEST(ShardChunk, TheLengthsOfAHostileMessageAreNotBelieved) {
  for (const char* bytes : {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x01x",
                            "\x12\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                            "\x12\x02\x12\x80", "\x12\x02\x08\x80"}) {
    EXPECT_FALSE(ReadChunk(Message(bytes, 100)).has_value());
  }
}

TEST(ShardChunk, ReadingStopsWhereItIsTold) {
  v1::GetShardResponse response;
  response.mutable_chunk()->set_data(std::string(100, 'x'));
  const auto chunk = ReadChunk(Message(response.SerializeAsString(), 10));
  ASSERT_TRUE(chunk.has_value());
  int pieces = 0;
  chunk->ForEach([&pieces](std::string_view) { return ++pieces < 3; });
  EXPECT_EQ(pieces, 3);
}

TEST(ShardChunk, SharedBytesLiveAsLongAsAMessageHasThem) {
  auto data = std::make_shared<const std::string>(1000, 'x');
  const std::weak_ptr<const std::string> watched = data;
  {
    grpc::ByteBuffer message = ChunkMessage(7, Share(*data, data));
    data.reset();
    EXPECT_FALSE(watched.expired());
    EXPECT_EQ(Data(*ReadChunk(message)), std::string(1000, 'x'));
  }
  EXPECT_TRUE(watched.expired());
}

TEST(ShardChunk, AllocatedBytesAreThoseThatTravel) {
  for (const size_t size : {1, 20, 5000}) {
    NewSlice made = Allocate(size);
    std::memset(made.bytes, 'y', size);
    const auto chunk = ReadChunk(ChunkMessage(9, std::move(made.slice)));
    ASSERT_TRUE(chunk.has_value());
    EXPECT_EQ(Data(*chunk), std::string(size, 'y'));
  }
}

}  // namespace
}  // namespace qasino::transfer
