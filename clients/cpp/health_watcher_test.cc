#include "clients/cpp/health_watcher.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::HasSubstr;

constexpr char kService[] = "qasino.v1.Query";

std::unique_ptr<HealthWatcher> Watch(const ConnectOptions& options) {
  auto watcher = HealthWatcher::Create(options, kService, "qasino-query");
  EXPECT_TRUE(watcher.ok()) << watcher.status();
  return *std::move(watcher);
}

void WaitUntilReady(const HealthWatcher& watcher) {
  while (!watcher.status().ok()) absl::SleepFor(absl::Milliseconds(1));
}

// Until it is not ready, and says so with `text`.
void WaitUntilSaid(const HealthWatcher& watcher, std::string_view text) {
  while (true) {
    const absl::Status status = watcher.status();
    if (std::string(status.message()).find(text) != std::string::npos) {
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
      return;
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(HealthWatcherTest, FollowsWhatTheServiceSays) {
  FakeServer server;
  server.SetServing(kService, true);
  server.Start();
  auto watcher = Watch(server.options());
  WaitUntilReady(*watcher);
  server.SetServing(kService, false);
  WaitUntilSaid(*watcher, "qasino-query at " + server.options().target + " is not ready");
  server.SetServing(kService, true);
  WaitUntilReady(*watcher);
}

TEST(HealthWatcherTest, IsNotReadyBeforeTheFirstAnswer) {
  FakeServer server;
  server.SetServing(kService, true);
  server.Start();
  server.Stop();
  const ConnectOptions options = server.options();
  auto watcher = Watch(options);
  EXPECT_EQ(watcher->status().code(), absl::StatusCode::kUnavailable);
  WaitUntilSaid(*watcher, "cannot reach qasino-query at " + options.target);
  server.Start();
  WaitUntilReady(*watcher);
}

TEST(HealthWatcherTest, ComesBackAfterALoss) {
  FakeServer server;
  server.SetServing(kService, true);
  server.Start();
  auto watcher = Watch(server.options());
  for (int round = 0; round < 3; ++round) {
    WaitUntilReady(*watcher);
    server.Stop();
    WaitUntilSaid(*watcher, "cannot reach");
    server.Start();
  }
  WaitUntilReady(*watcher);
}

TEST(HealthWatcherTest, SaysThatTheServiceIsNotThere) {
  FakeServer server;
  server.SetServing("qasino.v1.Ingest", true);
  server.Start();
  auto watcher = Watch(server.options());
  WaitUntilSaid(*watcher, "does not serve qasino.v1.Query");
}

TEST(HealthWatcherTest, AChannelThatIsGiven) {
  FakeServer server;
  server.SetServing(kService, false);
  server.Start();
  ConnectOptions options;
  options.target = "this process";
  options.channel = server.NewChannel();
  auto watcher = Watch(options);
  WaitUntilSaid(*watcher, "is not ready");
  server.SetServing(kService, true);
  WaitUntilReady(*watcher);
  watcher = nullptr;
}

TEST(HealthWatcherTest, EndsAtAnyTime) {
  FakeServer server;
  server.SetServing(kService, true);
  server.Start();
  for (int i = 0; i < 100; ++i) Watch(server.options());
  ConnectOptions away = server.options();
  away.target = "127.0.0.1:" + std::to_string(ClosedPort());
  for (int i = 0; i < 20; ++i) Watch(away);
}

TEST(HealthWatcherTest, RefusesOptionsThatAreWrong) {
  EXPECT_FALSE(HealthWatcher::Create({.target = "nowhere"}, kService, "qasino-query").ok());
}

}  // namespace
}  // namespace qasino::client
