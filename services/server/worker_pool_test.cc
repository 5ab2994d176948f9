#include "services/server/worker_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

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

}  // namespace
}  // namespace qasino::server
