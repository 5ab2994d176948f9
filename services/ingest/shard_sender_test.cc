#include "services/ingest/shard_sender.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ingest/fake_store.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;

SealedShard MakeShard(int64_t generation, size_t size = 1000) {
  auto bytes = std::make_shared<const std::string>(size, static_cast<char>('a' + generation));
  SealedShard shard;
  shard.info.set_shard_id(absl::StrCat(generation, "-x"));
  shard.info.set_generation(generation);
  shard.info.set_size_bytes(size);
  shard.bytes = *bytes;
  shard.owner = std::move(bytes);
  return shard;
}

std::vector<int64_t> Generations(const std::vector<StoredShard>& shards) {
  std::vector<int64_t> generations;
  for (const StoredShard& shard : shards) generations.push_back(shard.info.generation());
  return generations;
}

class ShardSenderTest : public ::testing::Test {
 protected:
  void Open(ShardSender::Options options = {}) {
    options.first_pause = absl::Milliseconds(1);
    options.longest_pause = absl::Milliseconds(20);
    sender_ = std::make_unique<ShardSender>(options, store_.Channel(), metrics_);
  }

  prometheus::Registry registry_;
  Metrics metrics_{registry_};
  FakeStore store_;
  std::unique_ptr<ShardSender> sender_;
};

TEST_F(ShardSenderTest, HandsInWholeShardsInOrder) {
  Open({.chunk_bytes = 1000});
  sender_->Add(MakeShard(1, 0));
  sender_->Add(MakeShard(2, 1000));
  sender_->Add(MakeShard(3, 123'456));
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  const auto shards = store_.Await(3);
  EXPECT_THAT(Generations(shards), ElementsAre(1, 2, 3));
  EXPECT_EQ(shards[2].bytes, std::string(123'456, 'd'));
  EXPECT_EQ(metrics_.backlog_bytes.Value(), 0);
}

TEST_F(ShardSenderTest, KeepsShardsWhileTheStoreIsAway) {
  Open();
  store_.Leave();
  for (int i = 1; i <= 5; ++i) sender_->Add(MakeShard(i));
  EXPECT_FALSE(metrics_.backlog_shards.Value() == 0);
  store_.Return();
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(5)), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(metrics_.store_reachable.Value(), 1);
}

TEST_F(ShardSenderTest, DropsTheOldestBeyondItsNumber) {
  Open({.backlog_shards = 3});
  store_.Hold(true);
  sender_->Add(MakeShard(1));
  store_.AwaitPuts(1);
  // The first is on its way and stays.
  for (int i = 2; i <= 6; ++i) sender_->Add(MakeShard(i));
  EXPECT_EQ(metrics_.dropped_backlog.Value(), 3);
  store_.Hold(false);
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(3)), ElementsAre(1, 5, 6));
}

TEST_F(ShardSenderTest, DropsTheOldestBeyondItsBytes) {
  Open({.backlog_bytes = 10'000});
  store_.Hold(true);
  sender_->Add(MakeShard(1, 100));
  store_.AwaitPuts(1);
  sender_->Add(MakeShard(2, 6000));
  sender_->Add(MakeShard(3, 3000));
  EXPECT_EQ(metrics_.dropped_backlog.Value(), 0);
  sender_->Add(MakeShard(4, 3000));
  EXPECT_EQ(metrics_.dropped_backlog.Value(), 1);
  // The newest is kept however large.
  sender_->Add(MakeShard(5, 50'000));
  EXPECT_EQ(metrics_.dropped_backlog.Value(), 3);
  store_.Hold(false);
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(2)), ElementsAre(1, 5));
}

TEST_F(ShardSenderTest, WhatTheStoreRefusesIsDropped) {
  Open();
  store_.AnswerNext(absl::FailedPreconditionError("too old"));
  store_.AnswerNext(absl::InvalidArgumentError("bad info"));
  for (int i = 1; i <= 3; ++i) sender_->Add(MakeShard(i));
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(1)), ElementsAre(3));
  EXPECT_EQ(metrics_.dropped_refused.Value(), 2);
}

TEST_F(ShardSenderTest, OtherErrorsAreTriedAgain) {
  Open();
  store_.AnswerNext(absl::DataLossError("checksum"));
  store_.AnswerNext(absl::InternalError("disk"));
  store_.AnswerNext(absl::ResourceExhaustedError("disk full"));
  for (int i = 0; i < 20; ++i) store_.AnswerNext(absl::UnavailableError("away"));
  sender_->Add(MakeShard(1));
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(1)), ElementsAre(1));
  EXPECT_EQ(metrics_.dropped_refused.Value(), 0);
}

TEST_F(ShardSenderTest, AShardThatNeverFitsDoesNotHoldUpTheOthers) {
  Open({.attempts_without_room = 4});
  for (int i = 0; i < 4; ++i) store_.AnswerNext(absl::ResourceExhaustedError("too large"));
  sender_->Add(MakeShard(1));
  sender_->Add(MakeShard(2));
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(1)), ElementsAre(2));
}

TEST_F(ShardSenderTest, FlushGivesUpAtItsDeadline) {
  Open();
  store_.Hold(true);
  sender_->Add(MakeShard(1));
  sender_->Add(MakeShard(2));
  store_.AwaitPuts(1);
  EXPECT_FALSE(sender_->Flush(absl::Now()));
  EXPECT_EQ(metrics_.dropped_at_end.Value(), 2);
  sender_.reset();
  store_.Hold(false);
}

TEST_F(ShardSenderTest, APutThatHangsIsGivenUpAndTriedAgain) {
  Open({.put_timeout = absl::Milliseconds(20)});
  store_.Hold(true);
  sender_->Add(MakeShard(1));
  store_.AwaitPuts(3);
  store_.Hold(false);
  EXPECT_TRUE(sender_->Flush(absl::InfiniteFuture()));
  EXPECT_THAT(Generations(store_.Await(1)), ElementsAre(1));
}

}  // namespace
}  // namespace qasino::ingest
