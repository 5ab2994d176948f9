#include "clients/cpp/backoff.h"

#include <gtest/gtest.h>

namespace qasino::client {
namespace {

TEST(BackoffTest, DoublesUpToTheLongestAndBeginsAnewAfterReset) {
  Backoff backoff({.initial_backoff = absl::Milliseconds(100),
                   .max_backoff = absl::Milliseconds(350),
                   .jitter = false});
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(200));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(350));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(350));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(100));
}

TEST(BackoffTest, JitterIsAnyPartOfTheWholeWait) {
  Backoff backoff({.initial_backoff = absl::Seconds(1), .max_backoff = absl::Seconds(1)});
  absl::Duration least = absl::InfiniteDuration(), most = absl::ZeroDuration();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration wait = backoff.Next();
    least = std::min(least, wait);
    most = std::max(most, wait);
  }
  EXPECT_GE(least, absl::ZeroDuration());
  EXPECT_LT(least, absl::Milliseconds(100));
  EXPECT_GT(most, absl::Milliseconds(900));
  EXPECT_LE(most, absl::Seconds(1));
}

}  // namespace
}  // namespace qasino::client
