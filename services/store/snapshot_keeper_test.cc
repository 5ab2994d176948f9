#include "services/store/snapshot_keeper.h"

#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::HasSubstr;
using Operation = FaultyFileSystem::Operation;

class SnapshotKeeperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = DataFolder::Open(NewTestFolder(), &files_, {});
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
    pool_ = std::make_unique<server::WorkerPool>("keeper", 2, 64);
    SnapshotKeeper::Options options;
    options.clock = absl::Now;
    options.steady_clock = [this] { return absl::FromUnixSeconds(steady_seconds_); };
    options.tick = absl::Hours(24);
    options.retain = 3;
    options.on_newest = [this] { ++announced_; };
    auto keeper = SnapshotKeeper::Create(options, folder_.get(), pool_.get(), &metrics_);
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    keeper_ = *std::move(keeper);
  }

  absl::StatusOr<bool> Put(int64_t generation, const std::string& ingest) {
    auto shard = folder_->NewShard(TestShard(generation, ingest));
    if (!shard.ok()) return shard.status();
    EXPECT_EQ((*shard)->Append("bytes"), absl::OkStatus());
    EXPECT_EQ((*shard)->Finish(), absl::OkStatus());
    absl::StatusOr<bool> result;
    absl::Notification done;
    keeper_->Commit(*std::move(shard), [&](absl::StatusOr<bool> held) {
      result = std::move(held);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  FaultyFileSystem files_;
  prometheus::Registry registry_;
  StoreMetrics metrics_{registry_};
  std::atomic<int64_t> steady_seconds_ = 1'000;
  std::atomic<int> announced_ = 0;
  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<server::WorkerPool> pool_;
  std::unique_ptr<SnapshotKeeper> keeper_;
};

TEST_F(SnapshotKeeperTest, WhatIsCommittedIsNewestAndCanBeOpened) {
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 0);
  const auto held = Put(30, "a");
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_FALSE(*held);
  EXPECT_EQ(announced_, 1);
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 30);
  const auto open = keeper_->Open(30, "a-30");
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(*open->file->Size(), 5u);
  EXPECT_EQ(keeper_->Open(30, "b-30").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(*Put(30, "a"));
}

TEST_F(SnapshotKeeperTest, ManyThreadsMayCommitAndReadAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int64_t generation = 30; generation <= 300; generation += 30) {
        const auto held = Put(generation, "t" + std::to_string(i));
        EXPECT_TRUE(held.ok() || absl::IsFailedPrecondition(held.status())) << held.status();
      }
    });
    threads.emplace_back([this] {
      while (keeper_->newest()->manifest().generation() < 300) {
        steady_seconds_ += 1;
        keeper_->Wake();
        keeper_->ListGenerations();
        keeper_->Open(keeper_->newest()->manifest().generation(), "t0").status().IgnoreError();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 300);
  EXPECT_LE(keeper_->ListGenerations().generations_size(), 3);
}

TEST_F(SnapshotKeeperTest, AFailedCommitChangesNothing) {
  ASSERT_TRUE(Put(30, "a").ok());
  const SnapshotKeeper::NewestPtr before = keeper_->newest();
  files_.Fail(Operation::kRename, "b-30.sqlite", absl::ResourceExhaustedError("disk full"));
  const auto refused = Put(30, "b");
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status()));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("b-30.sqlite"));
  EXPECT_TRUE(absl::IsResourceExhausted(keeper_->Disk()));
  EXPECT_EQ(keeper_->newest(), before);
  files_.Heal();
  ASSERT_TRUE(Put(30, "b").ok());
  EXPECT_EQ(keeper_->Disk(), absl::OkStatus());
  EXPECT_EQ(keeper_->newest()->manifest().revision(), 2);
}

}  // namespace
}  // namespace qasino::store
