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
#include "services/ingest/paged_shard.h"
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

v1::PublishRequest Persist(v1::PublishRequest publish) {
  publish.set_persist(true);
  return publish;
}

v1::PublishRequest Static(v1::PublishRequest publish) {
  publish.set_static_(true);
  return publish;
}

v1::PublishRequest Update(v1::PublishRequest publish) {
  publish.set_update(true);
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
  void Open(const Limits& limits = {}, Collector::ShardFactory factory = OpenPagedShard) {
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

  // Of a publish that is answered without the store.
  PublishItem Answered(const v1::PublishRequest& publish) {
    EXPECT_TRUE(Submit({publish}).ok());
    return answers_.Await(++answered_).back();
  }
  absl::StatusCode Refusal(const v1::PublishRequest& publish) {
    return Answered(publish).status.code();
  }

  // What went to the store, when it is so many.
  std::vector<KeptPut> AwaitForwarded(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return forwarded_.size() >= count;
    };
    mutex_.Await(absl::Condition(&enough));
    std::vector<KeptPut> puts;
    for (const auto& [put, done] : forwarded_) puts.push_back(put);
    return puts;
  }

  // The store's answer to one of them.
  void Settle(size_t number, const KeptAnswer& answer) {
    KeptDone done;
    {
      absl::MutexLock lock(&mutex_);
      done = std::move(forwarded_[number].second);
    }
    done(answer);
  }

  // Publishes what goes to the store, and is stored there.
  PublishItem Kept(const v1::PublishRequest& publish) {
    EXPECT_TRUE(Submit({publish}).ok());
    AwaitForwarded(++kept_);
    Settle(kept_ - 1, {.generation = 1'000'000'020});
    return answers_.Await(++answered_).back();
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
  size_t answered_ = 0;
  size_t kept_ = 0;
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
         auto shard = OpenPagedShard(limits);
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
    auto shard = OpenPagedShard(limits);
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
    return OpenPagedShard(limits);
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

TEST_F(CollectorTest, WhatIsKeptIsAnsweredAfterTheStoreAndIsNotInTheShard) {
  Open();
  ASSERT_TRUE(Submit({OneRow("h1", "plain", 1), Persist(OneRow("h1", "t", 1)),
                      Static(OneRow("h1", "t", 2))})
                  .ok());
  const auto puts = AwaitForwarded(2);
  EXPECT_EQ(puts[0].generation, 1'000'000'020);
  EXPECT_FALSE(puts[0].then_drop);
  EXPECT_TRUE(puts[1].publish->static_());
  // Others do not wait for it.
  EXPECT_TRUE(Answered(OneRow("h2", "plain", 1)).status.ok());
  EXPECT_EQ(answers_.Await(1).size(), 1u);
  // The whole batch is answered with the last of its answers.
  Settle(1, {.generation = 1'000'000'000});
  EXPECT_TRUE(Answered(OneRow("h3", "plain", 1)).status.ok());
  EXPECT_EQ(answers_.Await(2).size(), 2u);
  Settle(0, {.generation = 1'000'000'050});
  const auto answers = answers_.Await(5);
  EXPECT_EQ(answers[2].generation, 1'000'000'020);
  EXPECT_EQ(answers[3].generation, 1'000'000'050);
  EXPECT_EQ(answers[4].generation, 1'000'000'000);
  clock_.Advance(absl::Seconds(30));
  const v1::ShardInfo info = AwaitSealed(1)[0].info;
  ASSERT_EQ(info.tables_size(), 1);
  EXPECT_EQ(info.tables(0).name(), "plain");
  EXPECT_EQ(info.publishers(), 3);
  EXPECT_EQ(info.counts().inserts_completed(), 5);
  EXPECT_EQ(metrics_.stored.Value(), 5);
  EXPECT_EQ(metrics_.rows.Value(), 5);
  EXPECT_EQ(metrics_.waiting_for_store.Value(), 0);
}

TEST_F(CollectorTest, PersistAfterAPublishWithoutItIsADuplicate) {
  Open();
  EXPECT_FALSE(Answered(OneRow("h1", "t", 1)).duplicate);
  const PublishItem persist = Answered(Persist(OneRow("h1", "T", 2)));
  EXPECT_TRUE(persist.duplicate);
  EXPECT_EQ(persist.generation, 1'000'000'020);
  EXPECT_EQ(Refusal(Update(Persist(OneRow("h1", "t", 2)))), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Answered(Update(OneRow("h2", "t", 1))).duplicate);
  EXPECT_TRUE(Answered(Persist(OneRow("h2", "t", 2))).duplicate);
  EXPECT_EQ(Refusal(Update(Persist(OneRow("h2", "t", 2)))), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(AwaitForwarded(0).size(), 0u);
  // Static tables have nothing to do with it.
  EXPECT_FALSE(Kept(Static(OneRow("h1", "t", 1))).duplicate);
  EXPECT_FALSE(Kept(Static(OneRow("h1", "t", 1))).duplicate);
}

TEST_F(CollectorTest, PublishesAfterAPersistThatCounted) {
  Open();
  EXPECT_FALSE(Kept(Persist(OneRow("h1", "t", 1))).duplicate);
  EXPECT_TRUE(Answered(OneRow("h1", "T", 2)).duplicate);
  EXPECT_TRUE(Answered(Persist(OneRow("h1", "t", 2))).duplicate);
  EXPECT_FALSE(Kept(Update(Persist(OneRow("h1", "t", 2)))).duplicate);
  EXPECT_FALSE(AwaitForwarded(2)[1].then_drop);
  // Without persist it is carried no longer.
  EXPECT_FALSE(Kept(Update(OneRow("h1", "t", 2))).duplicate);
  EXPECT_TRUE(AwaitForwarded(3)[2].then_drop);
  EXPECT_EQ(AwaitForwarded(3)[2].generation, 1'000'000'020);
  // Another pair is another pair.
  EXPECT_FALSE(Answered(OneRow("h2", "t", 2)).duplicate);
  EXPECT_FALSE(Answered(Update(OneRow("h2", "t", 3))).duplicate);
  // In the next generation nothing is published.
  clock_.Advance(absl::Seconds(30));
  const v1::ShardInfo info = AwaitSealed(1)[0].info;
  EXPECT_EQ(info.counts().updates_completed(), 3);
  EXPECT_EQ(info.counts().inserts_completed(), 2);
  EXPECT_FALSE(Answered(OneRow("h1", "t", 2)).duplicate);
}

TEST_F(CollectorTest, WhileAPersistIsUnderWayOnlyUpdatesOfItGoBehindIt) {
  Open();
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1))}).ok());
  AwaitForwarded(1);
  EXPECT_EQ(Refusal(OneRow("h1", "t", 2)), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Refusal(Persist(OneRow("h1", "t", 2))), absl::StatusCode::kUnavailable);
  const PublishItem update = Answered(Update(OneRow("h1", "t", 2)));
  EXPECT_EQ(update.status,
            absl::UnavailableError("table 't' is being handed to the store; try again"));
  ASSERT_TRUE(Submit({Update(Persist(OneRow("h1", "t", 2)))}).ok());
  AwaitForwarded(2);
  Settle(0, {.generation = 1'000'000'020});
  EXPECT_TRUE(answers_.Await(4)[3].status.ok());
  answered_ = 4;
  // The update is under way still, but the table is published.
  EXPECT_TRUE(Answered(OneRow("h1", "t", 3)).duplicate);
  Settle(1, {.generation = 1'000'000'020});
  EXPECT_TRUE(answers_.Await(6)[5].status.ok());
}

TEST_F(CollectorTest, APersistThatIsRefusedIsAsIfItHadNotBeen) {
  Open();
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1)), Update(Persist(OneRow("h2", "t", 1)))}).ok());
  AwaitForwarded(2);
  Settle(0, {.status = absl::InvalidArgumentError("wrong")});
  Settle(1, {.status = absl::ResourceExhaustedError("full")});
  const auto answers = answers_.Await(2);
  EXPECT_EQ(answers[0].status, absl::InvalidArgumentError("wrong"));
  EXPECT_EQ(answers[0].generation, 0);
  EXPECT_EQ(answers[1].status, absl::ResourceExhaustedError("full"));
  answered_ = 2;
  kept_ = 2;
  // Tried again it counts, as does another way of publishing.
  EXPECT_FALSE(Kept(Persist(OneRow("h1", "t", 1))).duplicate);
  EXPECT_FALSE(Answered(OneRow("h2", "t", 1)).duplicate);
}

TEST_F(CollectorTest, APersistOfUnknownOutcomeIsTriedAgainButNotPublishedOtherwise) {
  Open();
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1)), Update(Persist(OneRow("h2", "t", 1)))}).ok());
  AwaitForwarded(2);
  Settle(0, {.status = absl::UnavailableError("away")});
  Settle(1, {.status = absl::InternalError("the disk")});
  EXPECT_EQ(answers_.Await(2)[0].status, absl::UnavailableError("away"));
  answered_ = 2;
  // The store may have them, and would hide what is acknowledged now.
  for (const char* identity : {"h1", "h2"}) {
    const PublishItem plain = Answered(OneRow(identity, "t", 2));
    EXPECT_EQ(plain.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(plain.status.message()), HasSubstr("the store may have it"));
    EXPECT_EQ(Refusal(Update(OneRow(identity, "t", 2))), absl::StatusCode::kUnavailable);
  }
  // Tried again, the store tells whether it has.
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1))}).ok());
  AwaitForwarded(3);
  EXPECT_EQ(Refusal(Persist(OneRow("h1", "t", 1))), absl::StatusCode::kUnavailable);
  Settle(2, {.generation = 1'000'000'020, .duplicate = true});
  const PublishItem again = answers_.Await(answered_ + 1)[answered_];
  ++answered_;
  EXPECT_TRUE(again.status.ok());
  EXPECT_TRUE(again.duplicate);
  EXPECT_TRUE(Answered(OneRow("h1", "t", 1)).duplicate);
  kept_ = 3;
  EXPECT_FALSE(Kept(Update(Persist(OneRow("h2", "t", 1)))).duplicate);
  EXPECT_EQ(metrics_.duplicates.Value(), 2);
  EXPECT_EQ(metrics_.stored.Value(), 1);
  // A second put that fails does not tell more than the first.
  ASSERT_TRUE(Submit({Persist(OneRow("h3", "t", 1))}).ok());
  AwaitForwarded(5);
  Settle(4, {.status = absl::UnavailableError("away")});
  answers_.Await(++answered_);
  ASSERT_TRUE(Submit({Persist(OneRow("h3", "t", 1))}).ok());
  AwaitForwarded(6);
  Settle(5, {.status = absl::ResourceExhaustedError("full")});
  answers_.Await(++answered_);
  EXPECT_EQ(Refusal(OneRow("h3", "t", 1)), absl::StatusCode::kUnavailable);
  // The next generation is another one.
  clock_.Advance(absl::Seconds(30));
  AwaitSealed(1);
  EXPECT_FALSE(Answered(OneRow("h3", "t", 1)).duplicate);
}

TEST_F(CollectorTest, AGenerationEndsWhileAPersistIsUnderWay) {
  Open();
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1))}).ok());
  AwaitForwarded(1);
  clock_.Advance(absl::Seconds(30));
  AwaitSealed(1);
  // Nobody has published it in the new one; and the old one's end is not the new one's.
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 2))}).ok());
  EXPECT_EQ(AwaitForwarded(2)[1].generation, 1'000'000'050);
  Settle(0, {.status = absl::UnavailableError("away")});
  answers_.Await(1);
  answered_ = 1;
  EXPECT_EQ(Refusal(OneRow("h1", "t", 3)), absl::StatusCode::kUnavailable);
  Settle(1, {.generation = 1'000'000'050});
  EXPECT_EQ(answers_.Await(3)[2].generation, 1'000'000'050);
  answered_ = 3;
  EXPECT_TRUE(Answered(OneRow("h1", "t", 3)).duplicate);
}

TEST_F(CollectorTest, WhatWaitsForTheStoreLeavesHalfTheQueueToOthers) {
  Open({.queued_bytes = 1000});
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1))}, 400).ok());
  AwaitForwarded(1);
  ASSERT_TRUE(Submit({Persist(OneRow("h2", "t", 1)), OneRow("h2", "u", 1)}, 400).ok());
  auto answers = answers_.Await(2);
  EXPECT_EQ(answers[0].status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(answers[0].status.message()), HasSubstr("waits for the store"));
  EXPECT_TRUE(answers[1].status.ok());
  // What is larger than that has it alone.
  Settle(0, {.generation = 1});
  answers_.Await(3);
  // The room is given back soon after the answer.
  while (!Submit({Persist(OneRow("h2", "t", 1))}, 900).ok()) std::this_thread::yield();
  AwaitForwarded(2);
  Settle(1, {.generation = 1});
  answers = answers_.Await(4);
  EXPECT_TRUE(answers[3].status.ok()) << answers[3].status;
}

TEST_F(CollectorTest, DrainSealsAtOnceAndWaitsForTheStoresAnswers) {
  Open();
  ASSERT_TRUE(Submit({Persist(OneRow("h1", "t", 1)), OneRow("h1", "u", 1)}).ok());
  AwaitForwarded(1);
  EXPECT_FALSE(collector_->Drain(absl::InfinitePast()));
  EXPECT_TRUE(AwaitSealed(1)[0].info.last());
  Settle(0, {.status = absl::UnavailableError("ingest is stopping")});
  EXPECT_TRUE(collector_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(answers_.Await(2)[0].status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(answers_.Await(2)[1].status.ok());
}

TEST_F(CollectorTest, CountsUpdatesAndInserts) {
  Open();
  collector_->CountReceived(true, 4);
  collector_->CountReceived(false, 2);
  collector_->CountUpdateErrors(1);
  Answered(Update(OneRow("h1", "t", 1)));
  Answered(Update(OneRow("h1", "t", 1)));
  Answered(OneRow("h2", "t", 2));
  Answered(OneRow("h2", "t", 2));
  auto batch = std::make_unique<TestBatch>(answers_, std::vector{Update(OneRow("h1", "t", 3))});
  batch->items[0].status = absl::InvalidArgumentError("wrong");
  ASSERT_TRUE(Submit(std::move(batch)).ok());
  answers_.Await(5);
  clock_.Advance(absl::Seconds(30));
  const v1::IngestCounts counts = AwaitSealed(1)[0].info.counts();
  EXPECT_EQ(counts.updates_received(), 4);
  EXPECT_EQ(counts.updates_completed(), 2);
  EXPECT_EQ(counts.update_errors(), 2);
  EXPECT_EQ(counts.inserts_received(), 2);
  EXPECT_EQ(counts.inserts_completed(), 1);
}

}  // namespace
}  // namespace qasino::ingest
