#include "services/ingest/kept_forwarder.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/ingest/fake_store.h"

namespace qasino::ingest {
namespace {

using ::testing::HasSubstr;

v1::PublishRequest OneRow(const std::string& identity, const std::string& table, int64_t value) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.set_persist(true);
  publish.mutable_table()->set_name(table);
  v1::Column& column = *publish.mutable_table()->add_columns();
  column.set_name("a");
  column.set_type(v1::INTEGER);
  column.add_integers(value);
  return publish;
}

class KeptForwarderTest : public ::testing::Test {
 protected:
  void Open(const KeptForwarder::Options& options = {}) {
    forwarder_ = std::make_unique<KeptForwarder>(options, store_.Channel(), metrics_);
  }

  void Forward(const v1::PublishRequest& publish) {
    forwarder_->Forward({.publish = &publish, .generation = 30}, [this](KeptAnswer answer) {
      absl::MutexLock lock(&mutex_);
      answers_.push_back(std::move(answer));
    });
  }

  std::vector<KeptAnswer> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return answers_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
    return answers_;
  }

  prometheus::Registry registry_;
  Metrics metrics_{registry_};
  FakeStore store_;
  absl::Mutex mutex_;
  std::vector<KeptAnswer> answers_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<KeptForwarder> forwarder_;
};

TEST_F(KeptForwarderTest, CallsUnderWayAreBounded) {
  Open({.calls = 3});
  store_.HoldKept(true);
  std::vector<v1::PublishRequest> publishes;
  for (int i = 0; i < 20; ++i) publishes.push_back(OneRow(absl::StrCat("h", i), "t", i));
  for (const v1::PublishRequest& publish : publishes) Forward(publish);
  EXPECT_EQ(store_.AwaitKept(3).size(), 3u);
  store_.HoldKept(false);
  for (const KeptAnswer& answer : Await(20)) {
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    EXPECT_EQ(answer.generation, 30);
  }
  std::set<std::string> identities;
  for (const KeptCall& call : store_.AwaitKept(20)) {
    identities.insert(call.put_persistent->identity());
  }
  EXPECT_EQ(identities.size(), 20u);
  EXPECT_TRUE(publishes[0].has_table());
}

TEST_F(KeptForwarderTest, BytesUnderWayAreBoundedButOneIsAlwaysAllowed) {
  Open({.bytes = 1});
  store_.HoldKept(true);
  const v1::PublishRequest first = OneRow("h1", "t", 1);
  const v1::PublishRequest second = OneRow("h2", "t", 2);
  Forward(first);
  Forward(second);
  EXPECT_EQ(store_.AwaitKept(1).size(), 1u);
  store_.HoldKept(false);
  Await(2);
  EXPECT_EQ(store_.AwaitKept(2)[1].put_persistent->identity(), "h2");
}

TEST_F(KeptForwarderTest, StopAnswersWhatRunsAndWhatWaits) {
  Open({.calls = 1});
  store_.HoldKept(true);
  const std::vector<v1::PublishRequest> publishes = {OneRow("h1", "t", 1), OneRow("h1", "T", 2),
                                                     OneRow("h2", "t", 3), OneRow("h2", "t", 4)};
  for (const v1::PublishRequest& publish : publishes) Forward(publish);
  store_.AwaitKept(1);
  forwarder_->Stop();
  // And what comes later.
  Forward(publishes[0]);
  for (const KeptAnswer& answer : Await(5)) {
    EXPECT_EQ(answer.status, absl::UnavailableError("ingest is stopping; try again"));
  }
  EXPECT_EQ(store_.AwaitKept(1).size(), 1u);
}

TEST_F(KeptForwarderTest, ManyAtOnceEndWhateverTheStoreDoes) {
  Open({.timeout = absl::Seconds(5), .calls = 4});
  constexpr int kThreads = 4;
  constexpr int kEach = 50;
  std::vector<v1::PublishRequest> publishes;
  for (int i = 0; i < kThreads * kEach; ++i) {
    publishes.push_back(OneRow(absl::StrCat("h", i % 7), "t", i));
    publishes.back().set_update(true);
    publishes.back().set_static_(i % 5 == 0);
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const v1::PublishRequest& publish = publishes[t * kEach + i];
        const bool drop = i % 3 == 0 && !publish.static_();
        forwarder_->Forward({.publish = &publish, .generation = 30, .then_drop = drop},
                            [this](KeptAnswer answer) {
                              absl::MutexLock lock(&mutex_);
                              answers_.push_back(std::move(answer));
                            });
        if (t == 0 && i % 20 == 10) store_.Leave();
        if (t == 0 && i % 20 == 15) store_.Return();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const KeptAnswer& answer : Await(kThreads * kEach)) {
    if (!answer.status.ok()) {
      EXPECT_EQ(answer.status.code(), absl::StatusCode::kUnavailable);
      EXPECT_THAT(std::string(answer.status.message()), HasSubstr("the store is away"));
    }
  }
}

}  // namespace
}  // namespace qasino::ingest
