#include "services/store/catalogue.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const absl::Time kStart = absl::FromUnixSeconds(5'000);

class CatalogueTest : public ::testing::Test {
 protected:
  static Catalogue::Options MakeOptions() {
    Catalogue::Options options;
    options.store_id = "this-store";
    options.retain = 3;
    options.completeness_wait = absl::Seconds(2);
    return options;
  }

  // As the store does with one shard; gives the generation's manifest.
  Catalogue::ManifestPtr Put(const v1::ShardInfo& info) {
    const auto held = catalogue_.Admit(info);
    EXPECT_TRUE(held.ok()) << held.status();
    EXPECT_FALSE(*held);
    catalogue_.Add(info, now_);
    return catalogue_.Update(info.generation(), now_, absl::FromUnixSeconds(77));
  }
  Catalogue::ManifestPtr Put(int64_t generation, const std::string& ingest) {
    return Put(TestShard(generation, ingest));
  }

  // Announces what is due, oldest first.
  std::vector<int64_t> Settle() {
    std::vector<int64_t> settled;
    while (const auto due = catalogue_.Due(now_)) {
      catalogue_.Update(*due, now_, absl::FromUnixSeconds(78));
      settled.push_back(*due);
    }
    return settled;
  }

  static std::vector<std::string> ShardIds(const v1::Manifest& manifest) {
    std::vector<std::string> ids;
    for (const v1::ShardInfo& shard : manifest.shards()) ids.push_back(shard.shard_id());
    return ids;
  }

  absl::Time now_ = kStart;
  Catalogue catalogue_{MakeOptions()};
};

TEST_F(CatalogueTest, BeginsWithTheEmptySnapshot) {
  const v1::Manifest& manifest = *catalogue_.newest();
  EXPECT_EQ(manifest.store_id(), "this-store");
  EXPECT_EQ(manifest.generation(), 0);
  EXPECT_EQ(manifest.revision(), 0);
  EXPECT_TRUE(manifest.complete());
  EXPECT_FALSE(manifest.has_duration());
  EXPECT_EQ(catalogue_.oldest(), 0);
  EXPECT_EQ(catalogue_.NextDue(), absl::InfiniteFuture());
}

TEST_F(CatalogueTest, TheFirstShardEverIsASnapshotAtOnce) {
  const auto manifest = Put(30, "a");
  EXPECT_EQ(manifest->revision(), 1);
  EXPECT_TRUE(manifest->complete());
  EXPECT_EQ(manifest->store_id(), "this-store");
  EXPECT_EQ(manifest->duration().seconds(), 30);
  EXPECT_EQ(manifest->committed_at().seconds(), 77);
  EXPECT_EQ(catalogue_.newest(), manifest);
  EXPECT_EQ(catalogue_.oldest(), 30);
}

TEST_F(CatalogueTest, AGenerationWaitsForThoseOfTheOneBefore) {
  Put(30, "a");
  Put(30, "b");
  EXPECT_EQ(catalogue_.newest()->revision(), 2);

  EXPECT_EQ(Put(60, "a")->revision(), 0);
  EXPECT_EQ(catalogue_.newest()->generation(), 30);
  EXPECT_EQ(catalogue_.Find(60), nullptr);
  EXPECT_EQ(catalogue_.NextDue(), kStart + absl::Seconds(2));

  const auto manifest = Put(60, "b");
  EXPECT_EQ(manifest->revision(), 1);
  EXPECT_TRUE(manifest->complete());
  EXPECT_THAT(manifest->missing(), IsEmpty());
  EXPECT_EQ(catalogue_.newest()->generation(), 60);
}

TEST_F(CatalogueTest, AfterTheWaitItSaysWhoIsMissing) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  now_ += absl::Milliseconds(1999);
  EXPECT_THAT(Settle(), IsEmpty());
  now_ += absl::Milliseconds(1);
  EXPECT_THAT(Settle(), ElementsAre(60));
  EXPECT_FALSE(catalogue_.newest()->complete());
  EXPECT_THAT(catalogue_.newest()->missing(), ElementsAre("host-b"));

  const auto late = Put(60, "b");
  EXPECT_EQ(late->revision(), 2);
  EXPECT_TRUE(late->complete());
  EXPECT_EQ(catalogue_.newest(), late);
}

TEST_F(CatalogueTest, ALateShardOfAnotherProcessDoesNotMakeItComplete) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  now_ += absl::Seconds(2);
  Settle();
  v1::ShardInfo restarted = TestShard(60, "c");
  restarted.set_identity("host-b");
  const auto manifest = Put(restarted);
  EXPECT_EQ(manifest->revision(), 2);
  EXPECT_FALSE(manifest->complete());
  EXPECT_THAT(manifest->missing(), ElementsAre("host-b"));
}

TEST_F(CatalogueTest, AProcessThatSaidLastIsNotWaitedFor) {
  Put(30, "a");
  Put(TestShard(30, "b", "bytes", /*last=*/true));
  EXPECT_EQ(Put(60, "a")->revision(), 1);
  EXPECT_TRUE(catalogue_.newest()->complete());
}

TEST_F(CatalogueTest, ANewProcessIsWaitedForFromItsSecondGenerationOn) {
  Put(30, "a");
  Put(60, "a");
  EXPECT_EQ(Put(60, "b")->revision(), 2);
  EXPECT_EQ(Put(90, "a")->revision(), 0);
  EXPECT_EQ(Put(90, "b")->revision(), 1);
}

TEST_F(CatalogueTest, WaitsAlsoForThoseThatTheWaitingOneBeforeExpects) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Put(90, "a")->revision(), 0);
  now_ += absl::Seconds(1);
  // b is given up in 60, and then nobody expects it in 90.
  EXPECT_THAT(Settle(), ElementsAre(60, 90));
  EXPECT_FALSE(catalogue_.Find(60)->complete());
  EXPECT_TRUE(catalogue_.Find(90)->complete());
}

TEST_F(CatalogueTest, GenerationsThatWaitAreAnnouncedOldestFirst) {
  Put(30, "a");
  Put(30, "b");
  // b's successor hands in 120 first, and only then comes what a kept meanwhile.
  Put(120, "c");
  now_ += absl::Seconds(1);
  for (const int64_t generation : {60, 90, 120}) {
    EXPECT_EQ(Put(generation, "a")->revision(), 0);
  }
  EXPECT_THAT(Settle(), IsEmpty());
  now_ += absl::Seconds(1);
  // 120 has waited for long enough; the others go before it.
  EXPECT_THAT(Settle(), ElementsAre(60, 90, 120));
  EXPECT_THAT(catalogue_.Find(60)->missing(), ElementsAre("host-b"));
}

TEST_F(CatalogueTest, ACompleteGenerationDoesNotPassOneThatWaits) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  Put(90, "a");
  EXPECT_EQ(Put(90, "b")->revision(), 0);
  EXPECT_THAT(Settle(), ElementsAre(60, 90));
  EXPECT_TRUE(catalogue_.newest()->complete());
}

TEST_F(CatalogueTest, AShardOfAnOlderGenerationLeavesTheNewestAlone) {
  Put(30, "a");
  Put(60, "a");
  const auto newest = catalogue_.newest();
  EXPECT_EQ(Put(30, "b")->revision(), 2);
  EXPECT_EQ(catalogue_.newest(), newest);
  EXPECT_EQ(catalogue_.Find(30)->revision(), 2);
}

TEST_F(CatalogueTest, AnOlderGenerationMayStillComeWhileThereIsRoom) {
  Put(60, "a");
  EXPECT_EQ(Put(30, "a")->revision(), 1);
  EXPECT_EQ(catalogue_.newest()->generation(), 60);
  EXPECT_EQ(catalogue_.oldest(), 30);
}

TEST_F(CatalogueTest, MergesInTheOrderOfIdentityAndShardId) {
  Put(30, "m");
  Put(30, "z");
  Put(30, "a");
  v1::ShardInfo second = TestShard(30, "m");
  second.set_shard_id("0-comes-first");
  EXPECT_THAT(ShardIds(*Put(second)), ElementsAre("a-30", "0-comes-first", "m-30", "z-30"));
}

TEST_F(CatalogueTest, AHeldShardIsSaidToBe) {
  Put(30, "a");
  const auto held = catalogue_.Admit(TestShard(30, "a"));
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_TRUE(*held);
  const auto other = catalogue_.Admit(TestShard(30, "a", "other bytes"));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("a-30"));
}

TEST_F(CatalogueTest, RetiresWhatIsOlderThanThoseToRetain) {
  for (int generation : {30, 60, 90}) Put(generation, "a");
  EXPECT_THAT(catalogue_.Retire(), IsEmpty());
  Put(120, "a");
  EXPECT_THAT(catalogue_.Retire(), ElementsAre(30));
  EXPECT_EQ(catalogue_.oldest(), 60);
  EXPECT_EQ(catalogue_.Find(30), nullptr);
  EXPECT_EQ(catalogue_.FindShard(30, "a-30").info, nullptr);

  const auto old = catalogue_.Admit(TestShard(30, "b"));
  EXPECT_EQ(old.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(old.status().message()), HasSubstr("60"));
  EXPECT_TRUE(catalogue_.Admit(TestShard(60, "b")).ok());
}

TEST_F(CatalogueTest, WaitingGenerationsDoNotPushAnnouncedOnesOut) {
  for (int generation : {30, 60, 90}) Put(generation, "a");
  Put(90, "b");
  Put(120, "a");
  EXPECT_EQ(catalogue_.newest()->generation(), 90);
  EXPECT_THAT(catalogue_.Retire(), IsEmpty());
  EXPECT_EQ(catalogue_.held_generations(), 4u);
  EXPECT_EQ(catalogue_.held_bytes(), 5u * 5);
}

TEST_F(CatalogueTest, WaitingGenerationsAreBounded) {
  Catalogue::Options options = MakeOptions();
  options.max_waiting = 1;
  catalogue_ = Catalogue(options);
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  const auto refused = catalogue_.Admit(TestShard(90, "a"));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CatalogueTest, ShardsAndCataloguesOfAGenerationAreBounded) {
  Catalogue::Options options = MakeOptions();
  options.max_shards = 2;
  catalogue_ = Catalogue(options);
  Put(30, "a");
  Put(30, "b");
  EXPECT_EQ(catalogue_.Admit(TestShard(30, "c")).status().code(),
            absl::StatusCode::kResourceExhausted);

  options = MakeOptions();
  options.max_manifest_bytes = 150;
  catalogue_ = Catalogue(options);
  Put(30, "a");
  EXPECT_EQ(catalogue_.Admit(TestShard(30, "b")).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(CatalogueTest, AnEarlyLastShardIsAnnouncedOnlyAfterTheGenerationsEnd) {
  Put(30, "a");
  // "a" is restarted 10 s into the generation of 60, which lasts 30 s.
  const v1::ShardInfo last = TestShard(60, "a", "bytes", /*last=*/true);
  catalogue_.Add(last, now_, absl::Seconds(20));
  EXPECT_EQ(catalogue_.Update(60, now_, kStart)->revision(), 0);
  now_ += absl::Seconds(20);
  EXPECT_THAT(Settle(), IsEmpty());
  // Its successor's shard comes at the end, and both are announced together.
  Catalogue successor = catalogue_;
  successor.Add(TestShard(60, "b"), now_);
  EXPECT_EQ(successor.Update(60, now_, kStart)->revision(), 1);
  EXPECT_EQ(successor.newest()->shards_size(), 2);
  // Without one, what there is is announced a little later.
  EXPECT_EQ(catalogue_.NextDue(), now_ + absl::Seconds(2));
  now_ += absl::Seconds(2);
  EXPECT_THAT(Settle(), ElementsAre(60));
  EXPECT_TRUE(catalogue_.newest()->complete());
}

TEST_F(CatalogueTest, AnEarlyLastShardDoesNotAnnounceAGenerationThatOthersStillCollect) {
  Put(30, "a");
  Put(30, "b");
  const v1::ShardInfo last = TestShard(60, "a", "bytes", /*last=*/true);
  catalogue_.Add(last, now_, absl::Seconds(20));
  catalogue_.Update(60, now_, kStart);
  now_ += absl::Seconds(10);
  EXPECT_THAT(Settle(), IsEmpty());
  EXPECT_EQ(Put(60, "b")->revision(), 1);
}

TEST_F(CatalogueTest, AWrongClockHoldsAGenerationBackForItsDurationAtTheMost) {
  const v1::ShardInfo last = TestShard(60, "a", "bytes", /*last=*/true);
  catalogue_.Add(last, now_, absl::Hours(1000));
  catalogue_.Update(60, now_, kStart);
  EXPECT_EQ(catalogue_.NextDue(), now_ + absl::Seconds(32));
}

TEST_F(CatalogueTest, ACopyThatIsThrownAwayChangesNothing) {
  Put(30, "a");
  Catalogue copy = catalogue_;
  copy.Add(TestShard(30, "b"), now_);
  copy.Update(30, now_, kStart);
  EXPECT_EQ(copy.newest()->shards_size(), 2);
  EXPECT_EQ(catalogue_.newest()->shards_size(), 1);
  EXPECT_EQ(catalogue_.newest()->revision(), 1);
}

TEST_F(CatalogueTest, RestoredItGoesOnWhereItWas) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  now_ += absl::Seconds(2);
  Settle();
  Put(90, "a");
  Put(90, "c");
  Put(120, "a");  // waits for c

  Catalogue restored(MakeOptions());
  for (int64_t generation : {30, 60, 90}) {
    restored.Restore(*catalogue_.Find(generation), {}, now_);
  }
  restored.Restore(*catalogue_.FindShard(120, "a-120").manifest, {}, now_);
  catalogue_ = restored;

  EXPECT_EQ(catalogue_.newest()->generation(), 90);
  EXPECT_EQ(catalogue_.newest()->revision(), 2);
  EXPECT_EQ(catalogue_.NextDue(), now_ + absl::Seconds(2));
  const auto late = Put(60, "b");
  EXPECT_EQ(late->revision(), 2);
  EXPECT_TRUE(late->complete());
  EXPECT_EQ(Put(120, "c")->revision(), 1);
}

TEST_F(CatalogueTest, RestoredWithoutTheOneBeforeALateShardIsKnownByItsIdentity) {
  Put(30, "a");
  Put(30, "b");
  Put(60, "a");
  now_ += absl::Seconds(2);
  Settle();
  Catalogue restored(MakeOptions());
  restored.Restore(*catalogue_.Find(60), {}, now_);
  catalogue_ = restored;
  EXPECT_TRUE(Put(60, "b")->complete());
}

TEST_F(CatalogueTest, AShardThatIsLostMakesARevisionUntilItComesAgain) {
  Put(30, "a");
  Put(30, "b");
  v1::Manifest damaged = *catalogue_.newest();
  damaged.mutable_shards()->DeleteSubrange(1, 1);
  catalogue_ = Catalogue(MakeOptions());
  catalogue_.Restore(damaged, {"host-b"}, now_);
  EXPECT_EQ(catalogue_.newest()->revision(), 3);
  EXPECT_FALSE(catalogue_.newest()->complete());
  EXPECT_THAT(catalogue_.newest()->missing(), ElementsAre("host-b"));

  const auto again = Put(30, "b");
  EXPECT_EQ(again->revision(), 4);
  EXPECT_TRUE(again->complete());
}

TEST_F(CatalogueTest, ListsNewestFirst) {
  Put(30, "a");
  Put(90, "a");
  Put(60, "a");
  std::vector<int64_t> generations;
  for (const auto& manifest : catalogue_.List()) generations.push_back(manifest->generation());
  EXPECT_THAT(generations, ElementsAre(90, 60, 30));
}

TEST_F(CatalogueTest, WhatTheStoreMakesComesFirstAndLast) {
  const v1::ShardInfo persistent = TestMadeShard(v1::PERSISTENT, "zz", 30);
  const v1::ShardInfo fixed = TestMadeShard(v1::STATIC, "0");
  Put(30, "a");
  EXPECT_THAT(catalogue_.SetMade(30, {fixed, persistent}), IsEmpty());
  const auto manifest = catalogue_.Update(30, now_, kStart);
  EXPECT_EQ(manifest->revision(), 2);
  EXPECT_THAT(ShardIds(*manifest), ElementsAre("zz", "a-30", "0"));
  EXPECT_THAT(ShardIds(*Put(30, "b")), ElementsAre("zz", "a-30", "b-30", "0"));
  EXPECT_EQ(catalogue_.newest()->revision(), 3);
}

TEST_F(CatalogueTest, NobodyWaitsForWhatTheStoreMakes) {
  catalogue_.Add(TestShard(30, "a"), now_);
  EXPECT_TRUE(catalogue_.IsAnnouncedBy(30, now_));
  catalogue_.SetMade(30, {TestMadeShard(v1::STATIC, "s")});
  EXPECT_EQ(catalogue_.Update(30, now_, kStart)->revision(), 1);
  catalogue_.Add(TestShard(60, "b"), now_);
  EXPECT_FALSE(catalogue_.IsAnnouncedBy(60, now_));
  EXPECT_TRUE(catalogue_.IsAnnouncedBy(60, now_ + absl::Seconds(2)));
  EXPECT_FALSE(catalogue_.IsAnnouncedBy(90, now_));
  EXPECT_EQ(catalogue_.Update(60, now_, kStart)->revision(), 0);
  EXPECT_THAT(catalogue_.Unfinished(), ElementsAre(30, 60));
  const auto manifest = Put(60, "a");
  EXPECT_TRUE(manifest->complete());
}

TEST_F(CatalogueTest, TheStoresShardsOfTheRevisionBeforeCanStillBeGot) {
  Put(30, "a");
  const auto set = [&](const std::string& id) {
    const auto unneeded = catalogue_.SetMade(30, {TestMadeShard(v1::STATIC, id)});
    catalogue_.Update(30, now_, kStart);
    std::vector<std::string> ids;
    for (const v1::ShardInfo& shard : unneeded) ids.push_back(shard.shard_id());
    return ids;
  };
  EXPECT_THAT(set("one"), IsEmpty());
  EXPECT_THAT(set("two"), IsEmpty());
  EXPECT_NE(catalogue_.FindShard(30, "one").info, nullptr);
  // A revision without change of them costs nothing.
  EXPECT_THAT(set("two"), IsEmpty());
  EXPECT_NE(catalogue_.FindShard(30, "one").info, nullptr);
  EXPECT_THAT(set("three"), ElementsAre("one"));
  EXPECT_EQ(catalogue_.FindShard(30, "one").info, nullptr);
  EXPECT_NE(catalogue_.FindShard(30, "two").info, nullptr);
  EXPECT_THAT(ShardIds(*catalogue_.newest()), ElementsAre("a-30", "three"));
}

TEST_F(CatalogueTest, BeforeTheFirstGenerationThereMayBeStaticTables) {
  catalogue_.SetMade(0, {TestMadeShard(v1::STATIC, "s")});
  const auto manifest = catalogue_.Update(0, now_, kStart);
  EXPECT_EQ(manifest->generation(), 0);
  EXPECT_EQ(manifest->revision(), 1);
  EXPECT_TRUE(manifest->complete());
  EXPECT_EQ(manifest->store_id(), "this-store");
  EXPECT_EQ(catalogue_.newest(), manifest);
  EXPECT_NE(catalogue_.FindShard(0, "s").info, nullptr);
  // It is none of the generations that are held.
  EXPECT_EQ(catalogue_.oldest(), 0);
  EXPECT_THAT(catalogue_.List(), IsEmpty());
  EXPECT_EQ(catalogue_.held_generations(), 0u);
  EXPECT_THAT(catalogue_.Unfinished(), IsEmpty());
  EXPECT_EQ(catalogue_.NextDue(), absl::InfiniteFuture());
  EXPECT_THAT(Settle(), IsEmpty());
  EXPECT_THAT(catalogue_.Retire(), IsEmpty());

  // Its revision does not fall, not even when it is empty again.
  catalogue_.SetMade(0, {});
  EXPECT_EQ(catalogue_.Update(0, now_, kStart)->revision(), 2);
  Catalogue restored(MakeOptions());
  restored.Restore(*catalogue_.newest(), {}, now_);
  EXPECT_EQ(restored.newest()->revision(), 2);

  const v1::ShardInfo last = TestShard(30, "a", "bytes", /*last=*/true);
  catalogue_.Add(last, now_, absl::Seconds(20));
  catalogue_.Update(30, now_, kStart);
  EXPECT_THAT(catalogue_.Retire(), IsEmpty());
  EXPECT_EQ(catalogue_.newest()->generation(), 0);
  EXPECT_EQ(Put(30, "b")->revision(), 1);
  EXPECT_THAT(catalogue_.Retire(), ElementsAre(0));
  EXPECT_EQ(catalogue_.newest()->generation(), 30);
  EXPECT_EQ(catalogue_.oldest(), 30);
}

TEST_F(CatalogueTest, AShardOfTheStoresOwnThatIsLostMakesNobodyMissing) {
  const auto manifest = Put(30, "a");
  Catalogue restored(MakeOptions());
  restored.Restore(*manifest, {}, now_, absl::ZeroDuration(), /*made_lost=*/true);
  EXPECT_EQ(restored.newest()->revision(), 2);
  EXPECT_TRUE(restored.newest()->complete());
}

}  // namespace
}  // namespace qasino::store
