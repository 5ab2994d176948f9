#include "clients/cpp/generation_watcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::ElementsAre;

using Writer = grpc::ServerWriter<v1::WatchGenerationsResponse>;

void Announce(int64_t generation, Writer* writer) {
  v1::WatchGenerationsResponse response;
  response.set_generation(generation);
  writer->Write(response);
}

void WaitForCancel(grpc::ServerContext* context) {
  while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
}

// The generations that a watcher told.
class Log {
 public:
  GenerationWatcher::Callback Callback() {
    return [this](const v1::WatchGenerationsResponse& response) {
      absl::MutexLock lock(&mu_);
      told_.push_back(response.generation());
    };
  }

  std::vector<int64_t> WaitFor(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&] { return told_.size() >= count; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30)));
    return told_;
  }

 private:
  absl::Mutex mu_;
  std::vector<int64_t> told_;
};

TEST(GenerationWatcherTest, TellsEveryGenerationOnce) {
  FakeServer server;
  server.watch = [](grpc::ServerContext* context, Writer* writer) {
    for (const int64_t generation : {30, 60, 60, 90}) Announce(generation, writer);
    WaitForCancel(context);
    return grpc::Status::CANCELLED;
  };
  server.Start();
  Log log;
  auto watcher = GenerationWatcher::Create(server.options(), log.Callback());
  ASSERT_TRUE(watcher.ok()) << watcher.status();
  EXPECT_THAT(log.WaitFor(3), ElementsAre(30, 60, 90));
  EXPECT_TRUE((*watcher)->status().ok());
}

TEST(GenerationWatcherTest, ComesBackAfterTheStreamEnds) {
  FakeServer server;
  std::atomic<int> streams = 0;
  server.watch = [&](grpc::ServerContext* context, Writer* writer) {
    switch (++streams) {
      case 1:
        Announce(30, writer);
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
      case 2:
        Announce(30, writer);
        return grpc::Status::OK;
      case 3:
        return grpc::Status(grpc::StatusCode::INTERNAL, "oops");
      default:
        Announce(60, writer);
        WaitForCancel(context);
        return grpc::Status::CANCELLED;
    }
  };
  server.Start();
  Log log;
  auto watcher = GenerationWatcher::Create(server.options(), log.Callback());
  EXPECT_THAT(log.WaitFor(2), ElementsAre(30, 60));
}

TEST(GenerationWatcherTest, ComesBackAfterTheServerWasRestarted) {
  FakeServer server;
  std::atomic<int64_t> generation = 30;
  server.watch = [&](grpc::ServerContext* context, Writer* writer) {
    Announce(generation, writer);
    WaitForCancel(context);
    return grpc::Status::CANCELLED;
  };
  server.Start();
  Log log;
  auto watcher = GenerationWatcher::Create(server.options(), log.Callback());
  log.WaitFor(1);
  server.Stop();
  generation = 60;
  server.Start();
  EXPECT_THAT(log.WaitFor(2), ElementsAre(30, 60));
}

TEST(GenerationWatcherTest, SaysWhyThereIsNoWatchAndStopsWhileWaiting) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  options.retry.initial_backoff = options.retry.max_backoff = absl::Hours(1);
  Log log;
  auto watcher = GenerationWatcher::Create(options, log.Callback());
  while (!IsUnreachable((*watcher)->status())) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ((*watcher)->status().code(), absl::StatusCode::kUnavailable);
  watcher->reset();
}

}  // namespace
}  // namespace qasino::client
