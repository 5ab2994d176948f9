#include "services/query/result_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"

namespace qasino::query {
namespace {

grpc::ByteBuffer Message(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string TextOf(const ResultCache::Answer& answer) {
  std::string text;
  for (const grpc::ByteBuffer& message : answer.messages()) {
    grpc::Slice slice;
    EXPECT_TRUE(message.DumpToSingleSlice(&slice).ok());
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

struct FakeAsker : ResultCache::Asker {
  void Told(ResultCache::Advice told) override {
    EXPECT_EQ(told.flight, nullptr);
    EXPECT_FALSE(advice.has_value());
    advice = std::move(told);
    if (forgets) advice.reset();
  }
  std::optional<ResultCache::Advice> advice;
  bool forgets = false;
};

class ResultCacheTest : public testing::Test {
 protected:
  using Advice = ResultCache::Advice;

  std::unique_ptr<ResultCache> Make(int64_t bytes) {
    return std::make_unique<ResultCache>(ResultCache::Options{
        .max_bytes = bytes,
        .changed = [this](const ResultCache::Sizes& sizes) { sizes_ = sizes; }});
  }

  Advice Ask(const std::string& request, const std::shared_ptr<FakeAsker>& asker = nullptr,
             absl::Time deadline = absl::InfiniteFuture(), uint64_t snapshot = 1) {
    return cache_->Ask(snapshot, snapshot_, request, deadline,
                       asker != nullptr ? asker : std::make_shared<FakeAsker>());
  }

  // Runs what has not been answered yet.
  bool Answer(const std::string& request, const std::string& text, uint64_t snapshot = 1) {
    const Advice advice = Ask(request, nullptr, absl::InfiniteFuture(), snapshot);
    if (advice.recording == nullptr) return false;
    if (advice.recording->Add(Message(text)) == nullptr) return false;
    advice.recording->Complete(1, false);
    return true;
  }

  std::string Kept(const std::string& request, uint64_t snapshot = 1) {
    const auto answer = cache_->Find(snapshot, request);
    return answer == nullptr ? "" : TextOf(*answer);
  }

  std::shared_ptr<const int> snapshot_ = std::make_shared<int>(1);
  ResultCache::Sizes sizes_;
  std::unique_ptr<ResultCache> cache_ = Make(1 << 20);
};

TEST_F(ResultCacheTest, AnAnswerIsMadeOnce) {
  EXPECT_EQ(cache_->Find(1, "q"), nullptr);
  Advice first = Ask("q");
  ASSERT_NE(first.recording, nullptr);
  EXPECT_NE(first.recording->Add(Message("abc")), nullptr);
  EXPECT_NE(first.recording->Add(Message("def")), nullptr);
  EXPECT_EQ(cache_->Find(1, "q"), nullptr);
  first.recording->Complete(7, true);
  const Advice second = Ask("q");
  ASSERT_NE(second.answer, nullptr);
  EXPECT_EQ(second.recording, nullptr);
  EXPECT_EQ(TextOf(*second.answer), "abcdef");
  EXPECT_EQ(second.answer->rows(), 7u);
  EXPECT_TRUE(second.answer->truncated());
  ASSERT_EQ(second.answer->last_message().size(), 1u);
  EXPECT_EQ(Kept("q"), "abcdef");
  EXPECT_EQ(sizes_.answers, 1);
}

TEST_F(ResultCacheTest, OtherRequestsAndSnapshotsHaveTheirOwn) {
  ASSERT_TRUE(Answer("q", "1"));
  ASSERT_TRUE(Answer("r", "2"));
  ASSERT_TRUE(Answer("q", "3", 2));
  EXPECT_EQ(Kept("q"), "1");
  EXPECT_EQ(Kept("r"), "2");
  EXPECT_EQ(Kept("q", 2), "3");
}

TEST_F(ResultCacheTest, ThoseWhoAskMeanwhileAreToldTheAnswer) {
  const Advice first = Ask("q");
  std::vector<std::shared_ptr<FakeAsker>> askers;
  for (int i = 0; i < 3; ++i) {
    askers.push_back(std::make_shared<FakeAsker>());
    EXPECT_NE(Ask("q", askers.back()).flight, nullptr);
  }
  EXPECT_EQ(sizes_.waiting, 3);
  first.recording->Add(Message("a"));
  for (const auto& asker : askers) EXPECT_FALSE(asker->advice.has_value());
  first.recording->Complete(1, false);
  for (const auto& asker : askers) EXPECT_EQ(TextOf(*asker->advice->answer), "a");
  EXPECT_EQ(sizes_.waiting, 0);
}

TEST_F(ResultCacheTest, WhoLeavesIsNotTold) {
  const Advice first = Ask("q");
  const auto asker = std::make_shared<FakeAsker>();
  const Advice second = Ask("q", asker);
  cache_->Leave(second.flight, asker.get());
  EXPECT_EQ(asker.use_count(), 1);
  EXPECT_EQ(sizes_.waiting, 0);
  first.recording->Add(Message("a"));
  first.recording->Complete(1, false);
  EXPECT_FALSE(asker->advice.has_value());
  cache_->Leave(second.flight, asker.get());
}

TEST_F(ResultCacheTest, WhenTheFirstIsCancelledTheOneWithMostTimeRunsIt) {
  Advice first = Ask("q");
  const auto hurried = std::make_shared<FakeAsker>();
  const auto patient = std::make_shared<FakeAsker>();
  Ask("q", hurried, absl::FromUnixSeconds(10));
  Ask("q", patient, absl::FromUnixSeconds(20));
  first.recording->Add(Message("half"));
  first.recording->Fail(absl::CancelledError());
  EXPECT_FALSE(hurried->advice.has_value());
  ASSERT_TRUE(patient->advice.has_value());
  ASSERT_NE(patient->advice->recording, nullptr);
  // The next is cancelled too, before it says a word.
  patient->advice.reset();
  ASSERT_TRUE(hurried->advice.has_value());
  hurried->advice->recording->Add(Message("whole"));
  hurried->advice->recording->Complete(1, false);
  EXPECT_EQ(Kept("q"), "whole");
  EXPECT_EQ(sizes_.waiting, 0);
}

TEST_F(ResultCacheTest, WhenAllAreCancelledTheNextOneRunsIt) {
  Advice first = Ask("q");
  for (int i = 0; i < 100; ++i) {
    const auto asker = std::make_shared<FakeAsker>();
    asker->forgets = true;
    Ask("q", asker);
  }
  first.recording.reset();
  EXPECT_EQ(sizes_.waiting, 0);
  EXPECT_EQ(sizes_.bytes, 0);
  EXPECT_TRUE(Answer("q", "a"));
}

TEST_F(ResultCacheTest, WhoAlwaysCancelsDoesNotKeepTheOthersWaiting) {
  Advice runner = Ask("q");
  const auto honest = std::make_shared<FakeAsker>();
  Ask("q", honest, absl::FromUnixSeconds(10));
  int cancelled = 0;
  while (!honest->advice.has_value()) {
    ASSERT_LT(++cancelled, 100);
    const auto hostile = std::make_shared<FakeAsker>();
    Ask("q", hostile, absl::FromUnixSeconds(20));
    runner.recording->Fail(absl::CancelledError());
    if (honest->advice.has_value()) break;
    ASSERT_TRUE(hostile->advice.has_value());
    runner = *std::move(hostile->advice);
  }
  EXPECT_EQ(honest->advice->recording, nullptr);
  EXPECT_EQ(honest->advice->answer, nullptr);
  EXPECT_EQ(sizes_.waiting, 0);
}

TEST_F(ResultCacheTest, ASecondFailureForTimeOrMemoryLetsEachRunIt) {
  for (const absl::Status& failure :
       {absl::DeadlineExceededError(""), absl::ResourceExhaustedError("")}) {
    const Advice first = Ask("q");
    const auto second = std::make_shared<FakeAsker>();
    const auto third = std::make_shared<FakeAsker>();
    Ask("q", second, absl::FromUnixSeconds(20));
    Ask("q", third, absl::FromUnixSeconds(10));
    first.recording->Fail(failure);
    ASSERT_TRUE(second->advice.has_value());
    EXPECT_FALSE(third->advice.has_value());
    second->advice->recording->Fail(failure);
    ASSERT_TRUE(third->advice.has_value());
    EXPECT_EQ(third->advice->recording, nullptr);
    EXPECT_EQ(third->advice->answer, nullptr);
  }
}

TEST_F(ResultCacheTest, ErrorsOfTheStatementAreNotKept) {
  Advice first = Ask("q");
  const auto second = std::make_shared<FakeAsker>();
  Ask("q", second);
  first.recording->Fail(absl::InvalidArgumentError("no such table"));
  ASSERT_TRUE(second->advice.has_value());
  EXPECT_EQ(second->advice->recording, nullptr);
  EXPECT_NE(Ask("q").recording, nullptr);
}

TEST_F(ResultCacheTest, NobodyWaitsForWhatIsKnownNotToBeKept) {
  const Advice first = Ask("q");
  const auto second = std::make_shared<FakeAsker>();
  Ask("q", second);
  first.recording->GiveUp();
  ASSERT_TRUE(second->advice.has_value());
  EXPECT_EQ(second->advice->answer, nullptr);
  const Advice third = Ask("q");
  EXPECT_EQ(third.recording, nullptr);
  EXPECT_EQ(third.flight, nullptr);
  EXPECT_EQ(third.answer, nullptr);
}

TEST_F(ResultCacheTest, AnAnswerTakesAtMostAnEighth) {
  EXPECT_TRUE(Answer("small", std::string((1 << 17) - 1000, 'x')));
  EXPECT_FALSE(Answer("large", std::string(1 << 17, 'x')));
  EXPECT_EQ(Kept("large"), "");
  EXPECT_EQ(Ask("large").recording, nullptr);
  // As large a request is not kept either.
  EXPECT_FALSE(Answer(std::string(1 << 17, 'q'), "x"));
}

TEST_F(ResultCacheTest, SmallAnswersCountWithWhatIsAroundThem) {
  int64_t before = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Answer(std::to_string(i), "x"));
    // A slot, its places in the list and the map; an answer; gRPC's buffer of a message.
    EXPECT_GE(sizes_.bytes - before, 700);
    before = sizes_.bytes;
  }
}

TEST_F(ResultCacheTest, WhatWasAskedLeastLatelyMakesRoom) {
  const std::string text(100'000, 'x');
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(Answer(std::to_string(i), text));
  EXPECT_EQ(Kept("0"), text);
  for (int i = 8; i < 13; ++i) ASSERT_TRUE(Answer(std::to_string(i), text));
  EXPECT_EQ(Kept("0"), text);
  EXPECT_EQ(Kept("1"), "");
  EXPECT_EQ(Kept("12"), text);
  EXPECT_LE(sizes_.bytes, 1 << 20);
  EXPECT_GE(sizes_.evictions, 3);
  EXPECT_EQ(sizes_.answers + sizes_.evictions, 13);
}

TEST_F(ResultCacheTest, WhatIsBeingSentTakesItsRoomUntilThen) {
  const std::string text(120'000, 'x');
  std::vector<std::shared_ptr<const ResultCache::Answer>> held;
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Answer(std::to_string(i), text));
    held.push_back(cache_->Find(1, std::to_string(i)));
  }
  EXPECT_FALSE(Answer("more", text));
  // Also when its snapshot is no longer the newest.
  cache_->NewestIs(1);
  cache_->NewestIs(2);
  EXPECT_EQ(sizes_.answers, 0);
  EXPECT_FALSE(Answer("more", text, 2));
  held.clear();
  EXPECT_TRUE(Answer("and more", text, 2));
}

TEST_F(ResultCacheTest, WhatWasRecordedInVainTakesItsRoomWhileItIsSent) {
  const std::string text(60'000, 'x');
  std::vector<std::shared_ptr<const void>> rooms;
  for (int i = 0; i < 8; ++i) {
    const Advice advice = Ask(std::to_string(i));
    ASSERT_NE(advice.recording, nullptr);
    advice.recording->Add(Message(text));
    rooms.push_back(advice.recording->Add(Message(text)));
    EXPECT_NE(rooms.back(), nullptr);
    EXPECT_EQ(advice.recording->Add(Message(text)), nullptr);
  }
  EXPECT_FALSE(Answer("more", text + text));
  rooms.clear();
  EXPECT_TRUE(Answer("and more", text + text));
}

TEST_F(ResultCacheTest, TheNewestSnapshotDropsTheOneBefore) {
  cache_->NewestIs(1);
  ASSERT_TRUE(Answer("q", "1"));
  ASSERT_TRUE(Answer("q", "retained", 3));
  const Advice running = Ask("r");
  const auto waiting = std::make_shared<FakeAsker>();
  Ask("r", waiting);
  cache_->NewestIs(2);
  EXPECT_EQ(Kept("q"), "");
  EXPECT_EQ(Kept("q", 3), "retained");
  // Who waits for the old one is told, and nobody later.
  running.recording->Add(Message("late"));
  running.recording->Complete(1, false);
  EXPECT_EQ(TextOf(*waiting->advice->answer), "late");
  EXPECT_EQ(Kept("r"), "");
  waiting->advice.reset();
  snapshot_.reset();
  cache_->NewestIs(4);
  EXPECT_EQ(Kept("q", 3), "");
  EXPECT_EQ(sizes_.bytes, 0);
  EXPECT_EQ(sizes_.answers, 0);
}

struct CountingAsker : ResultCache::Asker {
  void Told(ResultCache::Advice advice) override {
    if (advice.recording != nullptr) advice.recording->GiveUp();
    told.Notify();
  }
  absl::Notification told;
};

TEST_F(ResultCacheTest, ManyThreads) {
  cache_ = std::make_unique<ResultCache>(ResultCache::Options{.max_bytes = 64 << 10});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::string request = std::to_string((i * 7 + t) % 13);
        const auto asker = std::make_shared<CountingAsker>();
        const uint64_t snapshot = i / 100 + 1;
        if (i % 100 == 0) cache_->NewestIs(snapshot);
        const Advice advice =
            cache_->Ask(snapshot, snapshot_, request, absl::InfiniteFuture(), asker);
        if (advice.answer != nullptr) {
          EXPECT_EQ(TextOf(*advice.answer), std::string(1000, request[0]));
        } else if (advice.flight != nullptr) {
          if (i % 3 == 0) {
            cache_->Leave(advice.flight, asker.get());
          } else {
            asker->told.WaitForNotification();
          }
        } else if (advice.recording != nullptr) {
          if (i % 5 == 0) continue;
          advice.recording->Add(Message(std::string(1000, request[0])));
          if (i % 7 == 0) {
            advice.recording->Fail(absl::DeadlineExceededError(""));
          } else {
            advice.recording->Complete(1, false);
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace qasino::query
