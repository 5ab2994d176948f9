#include "services/store/snapshot_keeper.h"

#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
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
    pool_ = std::make_unique<server::WorkerPool>("keeper", kThreads, 64);
    SnapshotKeeper::Options options;
    options.clock = absl::Now;
    options.steady_clock = [this] { return absl::FromUnixSeconds(steady_seconds_); };
    options.tick = absl::Hours(24);
    options.files = &files_;
    options.retain = 3;
    options.on_newest = [this] { ++announced_; };
    auto keeper = SnapshotKeeper::Create(options, folder_.get(), pool_.get(), &metrics_);
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    keeper_ = *std::move(keeper);
  }

  // A finished shard; null, and the test fails, if it cannot be made.
  std::unique_ptr<IncomingShard> Finished(int64_t generation, const std::string& ingest,
                                          const std::string& bytes = "bytes") {
    auto shard = folder_->NewShard(TestShard(generation, ingest, bytes));
    EXPECT_TRUE(shard.ok()) << shard.status();
    if (!shard.ok()) return nullptr;
    EXPECT_EQ((*shard)->Append(bytes), absl::OkStatus());
    EXPECT_EQ((*shard)->Finish(), absl::OkStatus());
    return *std::move(shard);
  }

  absl::StatusOr<bool> Put(int64_t generation, const std::string& ingest) {
    absl::StatusOr<bool> result;
    absl::Notification done;
    keeper_->Commit(Finished(generation, ingest), [&](absl::StatusOr<bool> held) {
      result = std::move(held);
      done.Notify();
    });
    done.WaitForNotification();
    return result;
  }

  // Has them taken in at once, and says what became of each.
  std::vector<absl::StatusOr<bool>> PutTogether(
      std::vector<std::unique_ptr<IncomingShard>> shards) {
    // Meanwhile no thread of the pool is free.
    absl::BlockingCounter busy(kThreads);
    const auto go_on = std::make_shared<absl::Notification>();
    for (int i = 0; i < kThreads; ++i) {
      EXPECT_EQ(pool_->Submit([&busy, go_on] {
        busy.DecrementCount();
        go_on->WaitForNotification();
      }),
                absl::OkStatus());
    }
    busy.Wait();
    std::vector<absl::StatusOr<bool>> results(shards.size());
    absl::BlockingCounter done(static_cast<int>(shards.size()));
    for (size_t i = 0; i < shards.size(); ++i) {
      keeper_->Commit(std::move(shards[i]), [&, i](absl::StatusOr<bool> held) {
        results[i] = std::move(held);
        done.DecrementCount();
      });
    }
    go_on->Notify();
    done.Wait();
    return results;
  }

  static constexpr int kThreads = 2;
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

TEST_F(SnapshotKeeperTest, ARepeatedPutIsNotAcknowledgedBeforeTheManifestIsWritten) {
  const auto put_thrice = [&] {
    std::vector<std::unique_ptr<IncomingShard>> shards;
    shards.push_back(Finished(30, "a"));
    shards.push_back(Finished(30, "a"));
    shards.push_back(Finished(30, "a", "other"));
    return PutTogether(std::move(shards));
  };
  files_.Fail(Operation::kRename, "manifest", absl::InternalError("the disk broke"));
  for (const auto& result : put_thrice()) EXPECT_TRUE(absl::IsInternal(result.status()));
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 0);
  files_.Heal();
  const auto results = put_thrice();
  EXPECT_EQ(results[0], absl::StatusOr<bool>(false));
  EXPECT_EQ(results[1], absl::StatusOr<bool>(true));
  EXPECT_TRUE(absl::IsInvalidArgument(results[2].status()));
  EXPECT_EQ(keeper_->newest()->manifest().shards_size(), 1);
}

}  // namespace
}  // namespace qasino::store
