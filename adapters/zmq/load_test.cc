#include "adapters/zmq/load.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace qasino::zeromq {
namespace {

TEST(LoadTest, BoundsTheRequestsOfAllAndOfEach) {
  Load load({.requests = 3, .bytes = 100, .requests_per_client = 2, .bytes_per_client = 100});
  auto a1 = load.Admit("a", 1);
  auto a2 = load.Admit("a", 1);
  ASSERT_TRUE(a1.ok() && a2.ok());
  EXPECT_EQ(load.Admit("a", 1).status(),
            absl::ResourceExhaustedError(
                "2 requests of this client are under way already; read their answers"));
  auto b = load.Admit("b", 1);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(load.Admit("c", 1).status(),
            absl::ResourceExhaustedError("3 requests are under way already; try again"));
  a1->reset();
  EXPECT_TRUE(load.Admit("a", 1).ok());
}

TEST(LoadTest, BoundsTheBytesOfAllAndOfEach) {
  Load load({.requests = 10, .bytes = 100, .requests_per_client = 10, .bytes_per_client = 60});
  auto a = load.Admit("a", 50);
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE((*a)->Grow(10).ok());
  EXPECT_EQ((*a)->Grow(1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(load.Admit("a", 1).status().code(), absl::StatusCode::kResourceExhausted);
  auto b = load.Admit("b", 40);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ((*b)->Grow(1).code(), absl::StatusCode::kResourceExhausted);
  (*a)->Resize(20);
  EXPECT_TRUE((*b)->Grow(20).ok());
  // An answer may be longer than what is left.
  (*a)->Resize(1000);
  EXPECT_FALSE(load.Admit("c", 0).ok());
  a->reset();
  EXPECT_TRUE(load.Admit("c", 40).ok());
}

TEST(LoadTest, IsIdleWithoutLeases) {
  Load load({.requests = 10, .bytes = 100, .requests_per_client = 10, .bytes_per_client = 60});
  EXPECT_TRUE(load.WaitUntilIdle(absl::InfinitePast()));
  auto lease = load.Admit("a", 0);
  EXPECT_FALSE(load.WaitUntilIdle(absl::InfinitePast()));
  std::thread thread([taken = *std::move(lease)]() mutable { taken.reset(); });
  EXPECT_TRUE(load.WaitUntilIdle(absl::InfiniteFuture()));
  thread.join();
}

}  // namespace
}  // namespace qasino::zeromq
