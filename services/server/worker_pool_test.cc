#include "services/server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace qasino::server {
namespace {

TEST(WorkerPoolTest, RunsWhatIsSubmittedBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool("test", 3, 1000);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(pool.Submit([&ran] { ++ran; }).ok());
    }
  }
  EXPECT_EQ(ran, 1000);
}

TEST(WorkerPoolTest, TasksRunAtTheSameTime) {
  WorkerPool pool("test", 2, 10);
  absl::BlockingCounter both(2);
  absl::Notification together;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
                      both.DecrementCount();
                      together.WaitForNotification();
                    })
                    .ok());
  }
  both.Wait();
  together.Notify();
}

TEST(WorkerPoolTest, AFullQueueRefusesAndDestroysTheTask) {
  absl::Notification started;
  absl::Notification go_on;
  WorkerPool pool("query", 1, 2);
  ASSERT_TRUE(pool.Submit([&] {
                    started.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  started.WaitForNotification();
  EXPECT_TRUE(pool.Submit([] {}).ok());
  EXPECT_TRUE(pool.Submit([] {}).ok());
  auto held = std::make_unique<int>(1);
  const std::shared_ptr<int> watched = std::make_shared<int>(1);
  const absl::Status status =
      pool.Submit([held = std::move(held), watched] { ADD_FAILURE() << "it ran"; });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(status.message()), "the queue 'query' is full: 2 tasks wait already");
  EXPECT_EQ(watched.use_count(), 1);
  go_on.Notify();
}

TEST(WorkerPoolTest, QuickTasksDoNotWaitForLongOnes) {
  absl::Notification go_on;
  absl::BlockingCounter began(10);
  {
    WorkerPool pool("query", 2, 100, {.after = absl::Milliseconds(5), .most = 10});
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(pool.Submit([&] {
                        began.DecrementCount();
                        go_on.WaitForNotification();
                      })
                      .ok());
    }
    // All run, though there are two threads; and quick ones still get their turn.
    began.Wait();
    for (int i = 0; i < 100; ++i) {
      absl::Notification ran;
      ASSERT_TRUE(pool.Submit([&] { ran.Notify(); }).ok());
      ran.WaitForNotification();
    }
    go_on.Notify();
  }
}

TEST(WorkerPoolTest, TheThreadOfALongTaskHasTheLowestPriorityAndIsNotUsedAgain) {
  WorkerPool pool("query", 1, 10, {.after = absl::Milliseconds(5), .most = 10});
  absl::Notification done;
  const auto priority = [] { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); };
  ASSERT_TRUE(pool.Submit([&] {
                    while (priority() != 19) std::this_thread::yield();
                    done.Notify();
                  })
                  .ok());
  done.WaitForNotification();
  absl::Notification asked;
  int quick = 0;
  ASSERT_TRUE(pool.Submit([&] {
                    quick = priority();
                    asked.Notify();
                  })
                  .ok());
  asked.WaitForNotification();
  EXPECT_EQ(quick, getpriority(PRIO_PROCESS, 0));
}

TEST(WorkerPoolTest, ThereAreNoMoreLongTasksThanAllowed) {
  absl::Notification go_on;
  std::atomic<int> running = 0;
  std::atomic<int> most_running = 0;
  std::atomic<bool> all = false;
  {
    WorkerPool pool("query", 2, 100, {.after = absl::Milliseconds(1), .most = 3});
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(pool.Submit([&] {
                        const int now = ++running;
                        most_running = std::max<int>(most_running, now);
                        if (now == 5 && !all.exchange(true)) go_on.Notify();
                        go_on.WaitForNotification();
                        --running;
                      })
                      .ok());
    }
    go_on.WaitForNotification();
  }
  EXPECT_EQ(most_running, 5);
}

TEST(WorkerPoolTest, LongTasksTakeTurns) {
  // More than there are cores; each goes on until all others have had a turn too.
  const int tasks = 3 * static_cast<int>(std::thread::hardware_concurrency()) + 1;
  std::atomic<int> had_turns = 0;
  {
    WorkerPool pool("query", 2, 1000, {.after = absl::Milliseconds(5), .most = 1000});
    for (int i = 0; i < tasks; ++i) {
      ASSERT_TRUE(pool.Submit([&] {
                        while (getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())) != 19) {
                        }
                        WorkerPool::TakeTurns([] { return false; });
                        ++had_turns;
                        while (had_turns < tasks) WorkerPool::TakeTurns([] { return false; });
                      })
                      .ok());
    }
  }
  EXPECT_EQ(had_turns, tasks);
}

TEST(WorkerPoolTest, WhoWaitsForATurnMayGiveUp) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const auto wait_until_long = [] {
    while (getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())) != 19) std::this_thread::yield();
  };
  absl::BlockingCounter holding(cores);
  absl::Notification go_on;
  WorkerPool pool("query", 2, 1000, {.after = absl::Milliseconds(5), .most = 1000});
  for (int i = 0; i < cores; ++i) {
    ASSERT_TRUE(pool.Submit([&] {
                      wait_until_long();
                      WorkerPool::TakeTurns([] { return false; });
                      holding.DecrementCount();
                      go_on.WaitForNotification();
                    })
                    .ok());
  }
  holding.Wait();
  absl::Notification gave_up;
  ASSERT_TRUE(pool.Submit([&] {
                    wait_until_long();
                    WorkerPool::TakeTurns([] { return true; });
                    gave_up.Notify();
                  })
                  .ok());
  gave_up.WaitForNotification();
  go_on.Notify();
  // On a thread of no pool.
  WorkerPool::TakeTurns([] { return false; });
}

}  // namespace
}  // namespace qasino::server
