#include "services/store/snapshot_keeper.h"

#include <prometheus/registry.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
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
    options.on_settled = [this](const Catalogue::ManifestPtr& manifest) {
      absl::MutexLock lock(&settled_mutex_);
      settled_.emplace_back(manifest->generation(), manifest->revision());
    };
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

  // Until it is told to go on, no thread of the pool is free.
  std::shared_ptr<absl::Notification> OccupyPool() {
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
    return go_on;
  }

  // The generations and revisions that on_settled was told of.
  std::vector<std::pair<int64_t, int64_t>> Settled() {
    absl::MutexLock lock(&settled_mutex_);
    return settled_;
  }

  // Has them taken in at once, and says what became of each.
  std::vector<absl::StatusOr<bool>> PutTogether(
      std::vector<std::unique_ptr<IncomingShard>> shards) {
    const auto go_on = OccupyPool();
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
  absl::Mutex settled_mutex_;
  std::vector<std::pair<int64_t, int64_t>> settled_ ABSL_GUARDED_BY(settled_mutex_);
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

// With static and persistent tables.
class KeeperTablesTest : public SnapshotKeeperTest {
 protected:
  static JournalRecord PutStatic(const std::string& name) {
    JournalRecord record;
    record.mutable_put_static()->set_identity("operator");
    SetTable(name, record.mutable_put_static()->mutable_table());
    return record;
  }
  static JournalRecord PutPersistent(int64_t generation, const std::string& name) {
    JournalRecord record;
    record.mutable_put_persistent()->set_identity("host");
    record.mutable_put_persistent()->set_generation(generation);
    SetTable(name, record.mutable_put_persistent()->mutable_table());
    return record;
  }

  absl::StatusOr<SnapshotKeeper::Changed> Change(JournalRecord record) {
    return ChangeTogether({std::move(record)})[0];
  }
  // Has them made at once, behind a shard of each of these generations.
  std::vector<absl::StatusOr<SnapshotKeeper::Changed>> ChangeTogether(
      std::vector<JournalRecord> records, const std::vector<int64_t>& generations = {}) {
    const auto go_on = OccupyPool();
    std::vector<absl::StatusOr<SnapshotKeeper::Changed>> results(records.size());
    absl::BlockingCounter done(static_cast<int>(records.size() + generations.size()));
    for (const int64_t generation : generations) {
      keeper_->Commit(Finished(generation, "a"), [&](absl::StatusOr<bool> held) {
        EXPECT_TRUE(held.ok()) << held.status();
        done.DecrementCount();
      });
    }
    for (size_t i = 0; i < records.size(); ++i) {
      keeper_->Change(std::move(records[i]),
                      [&, i](absl::StatusOr<SnapshotKeeper::Changed> changed) {
                        results[i] = std::move(changed);
                        done.DecrementCount();
                      });
    }
    go_on->Notify();
    done.Wait();
    return results;
  }

  // The newest snapshot's tables of a kind.
  std::vector<std::string> Tables(v1::ShardKind kind) const {
    std::vector<std::string> names;
    const auto newest = keeper_->newest();
    for (const v1::ShardInfo& shard : newest->manifest().shards()) {
      if (shard.kind() != kind) continue;
      for (const v1::TableInfo& table : shard.tables()) names.push_back(table.name());
    }
    return names;
  }

 private:
  static void SetTable(const std::string& name, v1::Table* table) {
    table->set_name(name);
    v1::Column& column = *table->add_columns();
    column.set_name("v");
    column.set_type(v1::INTEGER);
    column.add_integers(1);
  }
};

TEST_F(KeeperTablesTest, ChangesThatComeTogetherShareARevision) {
  ASSERT_TRUE(Put(30, "a").ok());
  announced_ = 0;
  const auto results = ChangeTogether(
      {PutStatic("one"), PutStatic("two"), PutPersistent(30, "three"), PutPersistent(60, "four")});
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->revision, 2);
  }
  EXPECT_EQ(results[0]->generation, 30);
  EXPECT_EQ(results[3]->generation, 60);
  EXPECT_EQ(announced_, 1);
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("one", "two"));
  EXPECT_THAT(Tables(v1::PERSISTENT), ElementsAre("three"));
}

TEST_F(KeeperTablesTest, OneThatIsRefusedDoesNotHinderTheOthers) {
  JournalRecord drop;
  drop.mutable_drop_static()->set_table_name("nothing");
  const auto results = ChangeTogether({drop, PutStatic("one")});
  EXPECT_TRUE(absl::IsNotFound(results[0].status()));
  EXPECT_TRUE(results[1].ok()) << results[1].status();
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("one"));
}

TEST_F(KeeperTablesTest, WhatIsPutBeforeAShardIsTakenInIsInItsSnapshot) {
  const auto results = ChangeTogether({PutPersistent(30, "one"), PutStatic("two")}, {30});
  for (const auto& result : results) ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 30);
  EXPECT_EQ(keeper_->newest()->manifest().revision(), 1);
  EXPECT_THAT(Tables(v1::PERSISTENT), ElementsAre("one"));
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("two"));
}

TEST_F(KeeperTablesTest, AChangeThatCouldNotBeShownIsShownWhenTheDiskIsBack) {
  ASSERT_TRUE(Put(30, "a").ok());
  files_.Fail(Operation::kRename, "manifest", absl::ResourceExhaustedError("disk full"));
  EXPECT_TRUE(absl::IsResourceExhausted(Change(PutStatic("one")).status()));
  EXPECT_THAT(Tables(v1::STATIC), IsEmpty());
  files_.Heal();
  // Whatever comes next brings it.
  ASSERT_TRUE(Change(PutPersistent(60, "two")).ok());
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("one"));
  EXPECT_EQ(keeper_->newest()->manifest().revision(), 2);
}

TEST_F(KeeperTablesTest, AChangeThatCouldNotBeShownIsShownAtTheNextTick) {
  ASSERT_TRUE(Put(30, "a").ok());
  files_.Fail(Operation::kRename, "manifest", absl::ResourceExhaustedError("disk full"));
  EXPECT_TRUE(absl::IsResourceExhausted(Change(PutStatic("one")).status()));
  files_.Heal();
  // Something else found that the disk works, so there is nothing to probe.
  keeper_->ReportDisk(absl::OkStatus());
  announced_ = 0;
  // The work that failed may end after a tick, and is then for the next.
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (announced_ == 0 && absl::Now() < deadline) {
    steady_seconds_ += 25 * 3600;
    keeper_->Wake();
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("one"));
}

TEST_F(KeeperTablesTest, AnAnnouncementThatFailedDoesNotSpoilTheSnapshotBefore) {
  ASSERT_TRUE(Change(PutPersistent(30, "one")).ok());
  ASSERT_TRUE(Put(30, "a").ok());
  JournalRecord drop;
  drop.mutable_drop_persistent()->set_identity("host");
  drop.mutable_drop_persistent()->set_table_name("one");
  drop.mutable_drop_persistent()->set_generation(60);
  ASSERT_TRUE(Change(drop).ok());
  files_.Fail(Operation::kRename, "60/manifest", absl::InternalError("the disk broke"));
  EXPECT_FALSE(Put(60, "a").ok());
  files_.Heal();
  // 60 is as good as sealed, but 30 is the newest still, with what it had at its end.
  ASSERT_TRUE(Change(PutStatic("two")).ok());
  EXPECT_EQ(keeper_->newest()->manifest().generation(), 30);
  EXPECT_THAT(Tables(v1::PERSISTENT), ElementsAre("one"));
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("two"));
  ASSERT_TRUE(Put(60, "a").ok());
  EXPECT_THAT(Tables(v1::PERSISTENT), IsEmpty());
  EXPECT_THAT(Tables(v1::STATIC), ElementsAre("two"));
}

TEST_F(KeeperTablesTest, OnceSettledASnapshotIsHandedOn) {
  for (const int64_t generation : {30, 60}) ASSERT_TRUE(Put(generation, "a").ok());
  EXPECT_THAT(Settled(), ElementsAre(std::pair(30, 1)));
  ASSERT_TRUE(Put(60, "b").ok());
  ASSERT_TRUE(Put(30, "b").ok());
  EXPECT_THAT(Settled(), ElementsAre(std::pair(30, 1), std::pair(30, 2)));
  steady_seconds_ += 2;
  ASSERT_TRUE(Put(90, "a").ok());
  ASSERT_TRUE(Put(90, "b").ok());
  EXPECT_THAT(Settled(), ElementsAre(std::pair(30, 1), std::pair(30, 2), std::pair(60, 2)));
}

}  // namespace
}  // namespace qasino::store
