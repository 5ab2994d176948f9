#include "services/ingest/generation_clock.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace qasino::ingest {
namespace {

absl::Time At(double second) { return absl::UnixEpoch() + absl::Seconds(second); }

TEST(GenerationClock, NumberIsTheMultipleBeforeNow) {
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(1000.5)).current(), 990);
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(990)).current(), 990);
  EXPECT_EQ(GenerationClock(absl::Seconds(1), At(990.999)).current(), 990);
  EXPECT_EQ(GenerationClock(absl::Hours(24), At(86400 * 3 + 5)).current(), 86400 * 3);
}

TEST(GenerationClock, EndsAtTheNextMultiple) {
  GenerationClock clock(absl::Seconds(30), At(1000.5));
  EXPECT_EQ(clock.end(), At(1020));
  EXPECT_FALSE(clock.Due(At(1019.999)));
  EXPECT_TRUE(clock.Due(At(1020)));
  clock.Advance(At(1020));
  EXPECT_EQ(clock.current(), 1020);
  EXPECT_EQ(clock.end(), At(1050));
}

TEST(GenerationClock, SkipsWhatNeverWas) {
  GenerationClock clock(absl::Seconds(30), At(1000));
  EXPECT_TRUE(clock.Due(At(5000)));
  clock.Advance(At(5000));
  EXPECT_EQ(clock.current(), 4980);
  EXPECT_EQ(clock.end(), At(5010));
}

TEST(GenerationClock, SmallStepBackKeepsTheNumbersOfTheClock) {
  GenerationClock clock(absl::Seconds(30), At(1019));
  clock.Advance(At(1020));
  // One second back: 1020 has begun already, and lasts until the clock is at its end.
  EXPECT_FALSE(clock.Due(At(1019)));
  EXPECT_FALSE(clock.Due(At(1020)));
  EXPECT_FALSE(clock.Due(At(1049)));
  EXPECT_TRUE(clock.Due(At(1050)));
  clock.Advance(At(1050));
  EXPECT_EQ(clock.current(), 1050);
}

TEST(GenerationClock, LargeStepBackGoesOnFromTheLastNumber) {
  GenerationClock clock(absl::Seconds(30), At(100'000));
  EXPECT_EQ(clock.current(), 99'990);
  EXPECT_FALSE(clock.Due(At(1007)));
  EXPECT_EQ(clock.end(), At(1020));
  EXPECT_FALSE(clock.Due(At(1019)));
  ASSERT_TRUE(clock.Due(At(1020)));
  clock.Advance(At(1020));
  EXPECT_EQ(clock.current(), 100'020);
  EXPECT_EQ(clock.end(), At(1050));
  ASSERT_TRUE(clock.Due(At(1050.5)));
  clock.Advance(At(1050.5));
  EXPECT_EQ(clock.current(), 100'050);
  EXPECT_EQ(clock.end(), At(1080));
}

TEST(GenerationClock, ReturningFromALargeStepBackNeverRepeats) {
  GenerationClock clock(absl::Seconds(10), At(10'000));
  ASSERT_FALSE(clock.Due(At(5'001)));
  ASSERT_TRUE(clock.Due(At(5'010)));
  clock.Advance(At(5'010));
  EXPECT_EQ(clock.current(), 10'010);
  // The clock is right again, and the generation that it shows is the running one.
  ASSERT_TRUE(clock.Due(At(10'015)));
  clock.Advance(At(10'015));
  EXPECT_EQ(clock.current(), 10'020);
  EXPECT_FALSE(clock.Due(At(10'025)));
  EXPECT_TRUE(clock.Due(At(10'030)));
}

TEST(GenerationClock, WhateverTheClockDoesNumbersGrowByMultiples) {
  GenerationClock clock(absl::Seconds(7), At(1'000'000));
  uint64_t seed = 1;
  int64_t last = clock.current();
  for (int i = 0; i < 10'000; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const absl::Time now = At(static_cast<double>((seed >> 33) % 2'000'000));
    if (!clock.Due(now)) {
      // It always ends within two durations of what the clock shows.
      ASSERT_LE(clock.end() - now, absl::Seconds(14));
      continue;
    }
    clock.Advance(now);
    ASSERT_GE(clock.current(), last + 7);
    ASSERT_EQ(clock.current() % 7, 0);
    ASSERT_GT(clock.end(), now);
    last = clock.current();
  }
}

TEST(GenerationClock, BeginsAfterANewestThatIsAheadOfTheClock) {
  GenerationClock clock(absl::Seconds(30), At(1007), 99'990);
  EXPECT_EQ(clock.current(), 100'020);
  EXPECT_EQ(clock.end(), At(1020));
  ASSERT_TRUE(clock.Due(At(1020)));
  clock.Advance(At(1020));
  EXPECT_EQ(clock.current(), 100'050);
  // One that another duration made: the next multiple.
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(1007), 99'991).current(), 100'020);
}

TEST(GenerationClock, ANewestThatIsNotAheadChangesNothing) {
  // Another process may have ended the clock's generation early.
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(1007), 990).current(), 990);
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(1007), 960).current(), 990);
  EXPECT_EQ(GenerationClock(absl::Seconds(30), At(1007), 0).current(), 990);
}

TEST(GenerationClock, NumbersAreNeverZero) {
  GenerationClock clock(absl::Seconds(30), At(3));
  EXPECT_EQ(clock.current(), 30);
  EXPECT_FALSE(clock.Due(At(59)));
  EXPECT_TRUE(clock.Due(At(60)));
}

}  // namespace
}  // namespace qasino::ingest
