#include "services/server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

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

TEST(SerialQueueTest, OneAfterAnotherInOrder) {
  WorkerPool pool("test", 4, 1000);
  std::vector<int> order;  // of one owner: no lock
  {
    SerialQueue queue("serial", &pool, 1000);
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE(queue.Post([&order, i] { order.push_back(i); }).ok());
    }
  }
  ASSERT_EQ(order.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(SerialQueueTest, ManyPostersAndManyQueues) {
  constexpr int kQueues = 5, kPosters = 4, kEach = 500;
  WorkerPool pool("test", 3, kQueues);
  struct Owned {
    explicit Owned(WorkerPool* pool) : queue("serial", pool, kPosters * kEach) {}
    int count = 0;
    std::vector<int> last = std::vector<int>(kPosters, -1);
    SerialQueue queue;
  };
  std::vector<std::unique_ptr<Owned>> all;
  for (int i = 0; i < kQueues; ++i) all.push_back(std::make_unique<Owned>(&pool));
  std::vector<std::thread> posters;
  for (int poster = 0; poster < kPosters; ++poster) {
    posters.emplace_back([&all, poster] {
      for (int i = 0; i < kEach; ++i) {
        for (const auto& owned : all) {
          Owned* const mine = owned.get();
          const auto task = [mine, poster, i] {
            ++mine->count;
            EXPECT_EQ(mine->last[static_cast<size_t>(poster)], i - 1);
            mine->last[static_cast<size_t>(poster)] = i;
          };
          // The pool is small, so it may be full for a moment.
          while (!mine->queue.Post(task).ok()) std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  for (const auto& owned : all) {
    EXPECT_TRUE(owned->queue.WaitUntilIdle(absl::InfiniteFuture()));
    EXPECT_EQ(owned->count, kPosters * kEach);
  }
}

TEST(SerialQueueTest, ALongQueueLetsOthersRun) {
  WorkerPool pool("test", 1, 10);
  SerialQueue queue("serial", &pool, 1000);
  absl::Notification go_on;
  std::atomic<int> ran = 0;
  std::atomic<int> ran_before_other = -1;
  ASSERT_TRUE(queue.Post([&] { go_on.WaitForNotification(); }).ok());
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(queue.Post([&ran] { ++ran; }).ok());
  ASSERT_TRUE(pool.Submit([&] { ran_before_other = ran.load(); }).ok());
  go_on.Notify();
  EXPECT_TRUE(queue.WaitUntilIdle(absl::InfiniteFuture()));
  EXPECT_EQ(ran, 500);
  EXPECT_GE(ran_before_other, 0);
  EXPECT_LT(ran_before_other, 100);
}

TEST(SerialQueueTest, FullQueuesRefuse) {
  WorkerPool pool("pool", 1, 1);
  absl::Notification started;
  absl::Notification go_on;
  SerialQueue first("first", &pool, 1);
  SerialQueue second("second", &pool, 1);
  SerialQueue third("third", &pool, 1);
  ASSERT_TRUE(first
                  .Post([&] {
                    started.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  started.WaitForNotification();
  EXPECT_TRUE(first.Post([] {}).ok());
  EXPECT_EQ(std::string(first.Post([] {}).message()),
            "the queue 'first' is full: 1 tasks wait already");
  EXPECT_TRUE(second.Post([] {}).ok());
  EXPECT_EQ(std::string(third.Post([] { ADD_FAILURE() << "it ran"; }).message()),
            "the queue 'pool' is full: 1 tasks wait already");
  EXPECT_FALSE(first.WaitUntilIdle(absl::Now()));
  go_on.Notify();
  EXPECT_TRUE(second.WaitUntilIdle(absl::InfiniteFuture()));
  bool ran = false;
  EXPECT_TRUE(third.Post([&ran] { ran = true; }).ok());
  EXPECT_TRUE(third.WaitUntilIdle(absl::InfiniteFuture()));
  EXPECT_TRUE(ran);
}

TEST(SerialQueueTest, TasksMayPost) {
  WorkerPool pool("pool", 2, 10);
  SerialQueue queue("serial", &pool, 10);
  int count = 0;
  absl::Notification done;
  struct Again {
    SerialQueue* queue;
    int* count;
    absl::Notification* done;
    void operator()() const {
      if (++*count == 100) {
        done->Notify();
      } else {
        ASSERT_TRUE(queue->Post(*this).ok());
      }
    }
  };
  ASSERT_TRUE(queue.Post(Again{&queue, &count, &done}).ok());
  done.WaitForNotification();
  EXPECT_EQ(count, 100);
}

}  // namespace
}  // namespace qasino::server
