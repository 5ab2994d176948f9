#include "services/ingest/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/ingest/fake_clock.h"
#include "services/ingest/sqlite_shard.h"
#include "services/sqlite/database.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Time kStart = absl::FromUnixSeconds(1'000'000'020);  // a multiple of 30

v1::PublishRequest OneRow(const std::string& identity, const std::string& table, int64_t value) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.mutable_table()->set_name(table);
  v1::Column& column = *publish.mutable_table()->add_columns();
  column.set_name("a");
  column.set_type(v1::INTEGER);
  column.add_integers(value);
  return publish;
}

// Where the answers of batches arrive.
class Answers {
 public:
  void Add(const PublishItem& item) {
    absl::MutexLock lock(&mutex_);
    items_.push_back(item);
  }

  std::vector<PublishItem> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return items_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
    return items_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<PublishItem> items_ ABSL_GUARDED_BY(mutex_);
};

class TestBatch : public PublishBatch {
 public:
  TestBatch(Answers& answers, std::vector<v1::PublishRequest> publishes, int64_t size = 100)
      : answers_(answers), publishes_(std::move(publishes)) {
    for (const v1::PublishRequest& publish : publishes_) {
      items.emplace_back().publish = &publish;
    }
    bytes = size;
    this->publishes = static_cast<int64_t>(items.size());
  }

  void Answer() override {
    for (PublishItem& item : items) {
      item.publish = nullptr;
      answers_.Add(item);
    }
  }

 private:
  Answers& answers_;
  std::vector<v1::PublishRequest> publishes_;
};

// A shard that a test can stop in the middle of a publish.
class GatedShard : public Shard {
 public:
  GatedShard(std::unique_ptr<Shard> inner, absl::Mutex& gate)
      : inner_(std::move(inner)), gate_(gate) {}
  absl::StatusOr<PublishEffect> Publish(const v1::PublishRequest& publish,
                                        absl::Time now) override {
    absl::MutexLock lock(&gate_);
    return inner_->Publish(publish, now);
  }
  bool IsPublished(const v1::PublishRequest& publish) const override {
    return inner_->IsPublished(publish);
  }
  absl::StatusOr<SealedShard> Copy() override { return inner_->Copy(); }
  absl::StatusOr<SealedShard> Seal() override { return inner_->Seal(); }

 private:
  std::unique_ptr<Shard> inner_;
  absl::Mutex& gate_;
};

class CollectorTest : public ::testing::Test {
 protected:
  void Open(const Limits& limits = {}, Collector::ShardFactory factory = OpenSqliteShard) {
    auto collector = Collector::Create(
        {.identity = "server", .generation_duration = absl::Seconds(30), .limits = limits}, clock_,
        metrics_,
        {.open_shard = std::move(factory),
         .on_sealed =
             [this](SealedShard shard) {
               absl::MutexLock lock(&mutex_);
               sealed_.push_back(std::move(shard));
             },
         .on_generation =
             [this](int64_t generation) {
               absl::MutexLock lock(&mutex_);
               begun_.push_back(generation);
             },
         .forward =
             [this](const KeptPut& put, KeptDone done) {
               absl::MutexLock lock(&mutex_);
               forwarded_.push_back({put, std::move(done)});
             }});
    ASSERT_TRUE(collector.ok()) << collector.status();
    collector_ = std::move(*collector);
  }

  absl::Status Submit(std::vector<v1::PublishRequest> publishes, int64_t size = 100) {
    return Submit(std::make_unique<TestBatch>(answers_, std::move(publishes), size));
  }

  absl::Status Submit(std::unique_ptr<PublishBatch> batch) {
    const absl::Status status = collector_->Reserve(batch->bytes, batch->publishes);
    return status.ok() ? collector_->Submit(std::move(batch)) : status;
  }

  std::vector<SealedShard> AwaitSealed(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return sealed_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
    return sealed_;
  }

  static int64_t Count(const SealedShard& shard, const std::string& what) {
    auto database = sqlite::Database::OpenInMemory();
    EXPECT_TRUE(database.ok() && database->ReadFrom("main", shard.bytes).ok());
    auto statement = database->Prepare(absl::StrCat("SELECT ", what));
    EXPECT_TRUE(statement.ok()) << statement.status();
    EXPECT_TRUE(*statement->Step());
    return statement->Integer(0);
  }

  prometheus::Registry registry_;
  Metrics metrics_{registry_};
  FakeClock clock_{kStart};
  Answers answers_;
  absl::Mutex mutex_;
  std::vector<SealedShard> sealed_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> begun_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<KeptPut, KeptDone>> forwarded_ ABSL_GUARDED_BY(mutex_);
  // Last: it uses what is above until it is gone.
  std::unique_ptr<Collector> collector_;
};

TEST_F(CollectorTest, AnAnswerNamesTheGenerationThatHasTheRows) {
  Open();
  EXPECT_TRUE(collector_->Ready().ok());
  ASSERT_TRUE(Submit({OneRow("h1", "t", 1), OneRow("h2", "t", 2), OneRow("h1", "t", 3)}).ok());
  auto answers = answers_.Await(3);
  EXPECT_EQ(answers[0].generation, 1'000'000'020);
  EXPECT_FALSE(answers[0].duplicate);
  EXPECT_TRUE(answers[2].duplicate);

  clock_.Advance(absl::Seconds(30));
  auto sealed = AwaitSealed(1);
  EXPECT_EQ(sealed[0].info.generation(), 1'000'000'020);
  EXPECT_EQ(Count(sealed[0], "count(*) FROM t"), 2);
  EXPECT_FALSE(sealed[0].info.last());
  EXPECT_EQ(sealed[0].info.kind(), v1::COLLECTED);
  EXPECT_EQ(sealed[0].info.duration().seconds(), 30);
  EXPECT_EQ(sealed[0].info.identity(), "server");
  EXPECT_EQ(sealed[0].info.shard_id(), absl::StrCat("1000000020-", sealed[0].info.ingest_id()));
  EXPECT_EQ(sealed[0].info.sealed_at().seconds(), 1'000'000'050);
  EXPECT_EQ(sealed[0].info.counts().inserts_completed(), 2);

  ASSERT_TRUE(Submit({OneRow("h1", "t", 4)}).ok());
  answers = answers_.Await(4);
  EXPECT_EQ(answers[3].generation, 1'000'000'050);
  EXPECT_FALSE(answers[3].duplicate);
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  sealed = AwaitSealed(2);
  EXPECT_TRUE(sealed[1].info.last());
  EXPECT_EQ(Count(sealed[1], "a FROM t"), 4);
  EXPECT_EQ(sealed[0].info.ingest_id(), sealed[1].info.ingest_id());
  absl::MutexLock lock(&mutex_);
  EXPECT_THAT(begun_, ElementsAre(1'000'000'050));
}

TEST_F(CollectorTest, TicksWhenNothingIsPublished) {
  Open();
  for (int i = 1; i <= 3; ++i) {
    clock_.Advance(absl::Seconds(30));
    EXPECT_EQ(AwaitSealed(i).back().info.generation(), 1'000'000'020 + 30 * (i - 1));
  }
  absl::MutexLock lock(&mutex_);
  const auto all = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return begun_.size() == 3; };
  mutex_.Await(absl::Condition(&all));
  EXPECT_THAT(begun_, ElementsAre(1'000'000'050, 1'000'000'080, 1'000'000'110));
  EXPECT_EQ(collector_->generation(), 1'000'000'110);
}

TEST_F(CollectorTest, RefusedItemsAreCarriedAlong) {
  Open();
  auto batch = std::make_unique<TestBatch>(
      answers_, std::vector<v1::PublishRequest>{OneRow("h1", "t", 1), OneRow("h1", "u", 2),
                                                OneRow("h1", "v", 3)});
  batch->items[1].status = absl::InvalidArgumentError("wrong");
  ASSERT_TRUE(Submit(std::move(batch)).ok());
  const auto answers = answers_.Await(3);
  EXPECT_TRUE(answers[0].status.ok());
  EXPECT_EQ(answers[1].status, absl::InvalidArgumentError("wrong"));
  EXPECT_EQ(answers[1].generation, 0);
  EXPECT_TRUE(answers[2].status.ok());
}

TEST_F(CollectorTest, TheQueueIsBounded) {
  absl::Mutex gate;
  Open({.queued_bytes = 1000, .queued_publishes = 50},
       [&](const Limits& limits) -> absl::StatusOr<std::unique_ptr<Shard>> {
         auto shard = OpenSqliteShard(limits);
         if (!shard.ok()) return shard.status();
         return std::make_unique<GatedShard>(std::move(*shard), gate);
       });
  std::atomic<int> called = 0;
  {
    absl::MutexLock closed(&gate);
    ASSERT_TRUE(Submit({OneRow("h1", "t", 1)}, 600).ok());
    const absl::Status full = Submit({OneRow("h2", "t", 1)}, 600);
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(full.message()), HasSubstr("limit of 1000"));
    EXPECT_THAT(std::string(collector_->Reserve(1, 50).message()), HasSubstr("the limit is 50"));
    EXPECT_FALSE(collector_->ReserveOr(600, 1, [&] { ++called; }));
    EXPECT_EQ(called, 0);
  }
  answers_.Await(1);
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(called, 1);
}

// Each waits with a message of its own; all of them together never pass the bound.
TEST_F(CollectorTest, ManyThatWaitAreLetInOneAfterAnotherAndNeverAtOnce) {
  Open({.queued_bytes = 1000});
  ASSERT_TRUE(collector_->Reserve(700, 1).ok());
  std::vector<int> called;
  for (int i = 0; i < 5; ++i) {
    ASSERT_FALSE(
        collector_->ReserveOr(i == 4 ? 5000 : 400, 1, [&called, i] { called.push_back(i); }));
  }
  EXPECT_THAT(called, ElementsAre());
  collector_->Release(100, 0);
  EXPECT_THAT(called, ElementsAre(0));
  collector_->Release(600, 1);
  EXPECT_THAT(called, ElementsAre(0, 1));
  // One that comes later waits behind them; a Reserve, which cannot wait, is refused, for
  // small ones could else take for ever the room that a large one waits for.
  EXPECT_FALSE(collector_->ReserveOr(1, 1, [&called] { called.push_back(5); }));
  EXPECT_EQ(collector_->Reserve(1, 1).code(), absl::StatusCode::kResourceExhausted);
  collector_->Release(400, 1);
  EXPECT_THAT(called, ElementsAre(0, 1, 2));
  collector_->Release(400, 1);
  collector_->Release(400, 1);
  EXPECT_THAT(called, ElementsAre(0, 1, 2, 3));
  // Larger than the queue: it has it alone.
  collector_->Release(400, 1);
  EXPECT_THAT(called, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_FALSE(collector_->Reserve(1, 1).ok());
  // Who waits when it stops is told, and refused then.
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  EXPECT_THAT(called, ElementsAre(0, 1, 2, 3, 4, 5));
  auto late = std::make_unique<TestBatch>(answers_, std::vector{OneRow("h", "t", 1)}, 1);
  EXPECT_EQ(collector_->Submit(std::move(late)).code(), absl::StatusCode::kUnavailable);
}

TEST_F(CollectorTest, WhenItStopsItFinishesTheQueueFirst) {
  absl::Mutex gate;
  Open({}, [&](const Limits& limits) -> absl::StatusOr<std::unique_ptr<Shard>> {
    auto shard = OpenSqliteShard(limits);
    if (!shard.ok()) return shard.status();
    return std::make_unique<GatedShard>(std::move(*shard), gate);
  });
  {
    absl::MutexLock closed(&gate);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(Submit({OneRow(absl::StrCat("h", i), "t", i)}).ok());
    }
    EXPECT_FALSE(collector_->Drain(absl::InfinitePast()));
    EXPECT_EQ(Submit({OneRow("late", "t", 1)}).code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(collector_->Ready().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(answers_.Await(10).size(), 10u);
  const auto sealed = AwaitSealed(1);
  EXPECT_EQ(Count(sealed[0], "count(*) FROM t"), 10);
  EXPECT_TRUE(sealed[0].info.last());
}

TEST_F(CollectorTest, AShardThatCannotBeOpenedIsOpenedLater) {
  std::atomic<bool> fail = false;
  Open({}, [&](const Limits& limits) -> absl::StatusOr<std::unique_ptr<Shard>> {
    if (fail) return absl::ResourceExhaustedError("no memory");
    return OpenSqliteShard(limits);
  });
  fail = true;
  clock_.Advance(absl::Seconds(30));
  AwaitSealed(1);
  ASSERT_TRUE(Submit({OneRow("h1", "t", 1)}).ok());
  EXPECT_EQ(answers_.Await(1)[0].status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(collector_->Ready().message()), HasSubstr("no memory"));
  fail = false;
  ASSERT_TRUE(Submit({OneRow("h1", "t", 1)}).ok());
  EXPECT_TRUE(answers_.Await(2)[1].status.ok());
  EXPECT_TRUE(collector_->Ready().ok());
}

TEST_F(CollectorTest, GivesACopyOfTheRunningShard) {
  Open();
  ASSERT_TRUE(Submit({OneRow("h1", "t", 1)}).ok());
  answers_.Await(1);
  absl::Mutex mutex;
  absl::StatusOr<SealedShard> copy;
  bool done = false;
  ASSERT_TRUE(collector_
                  ->CopyRunning([&](absl::StatusOr<SealedShard> made) {
                    absl::MutexLock lock(&mutex);
                    copy = std::move(made);
                    done = true;
                  })
                  .ok());
  absl::MutexLock lock(&mutex);
  mutex.Await(absl::Condition(&done));
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(copy->info.kind(), v1::RUNNING);
  EXPECT_EQ(copy->info.generation(), 1'000'000'020);
  EXPECT_EQ(Count(*copy, "count(*) FROM t"), 1);
}

// Many threads publish while generations change: what was answered is in the shard of the
// generation that the answer named, once, and nothing else is.
TEST_F(CollectorTest, NothingIsLostOrDoubledAcrossGenerations) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  Open();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([this, thread] {
      for (int i = 0; i < kEach; ++i) {
        ASSERT_TRUE(Submit({OneRow(absl::StrCat("h", thread, "-", i), "t", i)}).ok());
        if (thread == 0 && i % 100 == 50) clock_.Advance(absl::Seconds(30));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto answers = answers_.Await(kThreads * kEach);
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  std::map<int64_t, int64_t> expected;
  for (const PublishItem& answer : answers) {
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    EXPECT_FALSE(answer.duplicate);
    ++expected[answer.generation];
  }
  std::map<int64_t, int64_t> found;
  absl::MutexLock lock(&mutex_);
  int64_t last = 0;
  for (const SealedShard& shard : sealed_) {
    EXPECT_GT(shard.info.generation(), last);
    last = shard.info.generation();
    for (const v1::TableInfo& table : shard.info.tables()) {
      found[shard.info.generation()] = Count(shard, "count(*) FROM t");
      EXPECT_EQ(table.rows(), found[shard.info.generation()]);
    }
  }
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace qasino::ingest
