#include "clients/cpp/publish_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::HasSubstr;

using ServerStream = grpc::ServerReaderWriter<v1::PublishStreamResponse, v1::PublishStreamRequest>;

v1::PublishRequest Request(int64_t number, const std::string& name = "t") {
  v1::PublishRequest request;
  request.set_identity("me");
  request.mutable_table()->set_name(name);
  v1::Column* column = request.mutable_table()->add_columns();
  column->set_name("n");
  column->set_type(v1::INTEGER);
  column->add_integers(number);
  return request;
}

int64_t Number(const v1::PublishRequest& request) { return request.table().columns(0).integers(0); }

// Answers each publish with its number as the generation.
void Answer(const v1::PublishStreamRequest& request, ServerStream* stream) {
  v1::PublishStreamResponse response;
  for (const v1::PublishRequest& publish : request.publishes()) {
    v1::PublishResult* result = response.add_results();
    if (publish.table().name() == "refused") {
      result->set_code(3);
      result->set_message("no");
    } else {
      result->set_generation(Number(publish));
    }
  }
  stream->Write(response);
}

grpc::Status AnswerAll(ServerStream* stream) {
  v1::PublishStreamRequest request;
  while (stream->Read(&request)) Answer(request, stream);
  return grpc::Status::OK;
}

// What the callbacks were told, in order.
class Log {
 public:
  PublishStream::Callback Callback() {
    return [this](absl::StatusOr<v1::PublishResponse> response) {
      absl::MutexLock lock(&mu_);
      told_.push_back(std::move(response));
    };
  }

  void WaitFor(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto enough = [&] { return told_.size() >= count; };
    ASSERT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30)));
  }

  std::vector<absl::StatusOr<v1::PublishResponse>> told() {
    absl::MutexLock lock(&mu_);
    return told_;
  }

  void ExpectNumbers(int64_t count) {
    const auto all = told();
    ASSERT_EQ(all.size(), static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(all[i].ok()) << i << ": " << all[i].status();
      EXPECT_EQ(all[i]->generation(), i);
    }
  }

 private:
  absl::Mutex mu_;
  std::vector<absl::StatusOr<v1::PublishResponse>> told_;
};

TEST(PublishStreamTest, ResultsComeInTheOrderOfTheSends) {
  FakeServer server;
  std::atomic<int64_t> messages = 0, largest = 0;
  server.publish_stream = [&](auto*, ServerStream* stream) {
    v1::PublishStreamRequest request;
    while (stream->Read(&request)) {
      ++messages;
      largest = std::max<int64_t>(largest, request.publishes_size());
      Answer(request, stream);
    }
    return grpc::Status::OK;
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE(stream.ok()) << stream.status();
  for (int64_t i = 0; i < 20000; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  EXPECT_TRUE((*stream)->Finish().ok());
  log.ExpectNumbers(20000);
  EXPECT_LT(messages, 20000) << "small publishes travel together";
  EXPECT_LE(largest, 256);
  EXPECT_EQ((*stream)->Send(Request(1), log.Callback()).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(PublishStreamTest, ManyThreadsSend) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  auto stream = PublishStream::Create(server.options(), {.max_unanswered = 50});
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 2000; ++i) {
        const int64_t number = t * 10000 + i;
        ASSERT_TRUE((*stream)
                        ->Send(Request(number),
                               [&right, number](absl::StatusOr<v1::PublishResponse> response) {
                                 if (response.ok() && response->generation() == number) ++right;
                               })
                        .ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE((*stream)->Flush().ok());
  EXPECT_EQ(right, 8000);
}

TEST(PublishStreamTest, ARefusedPublishDoesNotEndTheStream) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE((*stream)->Send(Request(1), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Send(Request(2, "refused"), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Send(Request(3), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Flush().ok());
  const auto told = log.told();
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0]->generation(), 1);
  EXPECT_EQ(told[1].status(), absl::InvalidArgumentError("no"));
  EXPECT_EQ(told[2]->generation(), 3);
}

TEST(PublishStreamTest, SendsAgainWhatABrokenStreamDidNotAnswer) {
  FakeServer server;
  std::atomic<int> streams = 0;
  absl::Mutex mu;
  std::vector<int64_t> firsts;  // the first publish of each stream
  server.publish_stream = [&](auto*, ServerStream* stream) {
    const int number = ++streams;
    v1::PublishStreamRequest request;
    bool first = true;
    while (stream->Read(&request)) {
      if (std::exchange(first, false)) {
        absl::MutexLock lock(&mu);
        firsts.push_back(Number(request.publishes(0)));
      }
      if (number < 4) {
        // Half an answer to a message, then the end.
        const int half = (request.publishes_size() + 1) / 2;
        request.mutable_publishes()->DeleteSubrange(half, request.publishes_size() - half);
        Answer(request, stream);
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
      }
      Answer(request, stream);
    }
    return grpc::Status::OK;
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  for (int64_t i = 0; i < 5000; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  EXPECT_TRUE((*stream)->Finish().ok());
  log.ExpectNumbers(5000);
  EXPECT_EQ(streams, 4);
  EXPECT_EQ(firsts[0], 0);
  EXPECT_TRUE(std::is_sorted(firsts.begin(), firsts.end()));
}

TEST(PublishStreamTest, OutlivesARestartOfTheServer) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE((*stream)->Send(Request(0), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Flush().ok());
  server.Stop();
  ASSERT_TRUE((*stream)->Send(Request(1), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Send(Request(2), log.Callback()).ok());
  server.Start();
  ASSERT_TRUE((*stream)->Flush().ok());
  log.ExpectNumbers(3);
}

TEST(PublishStreamTest, HoldsBackWhenTooManyAreUnanswered) {
  FakeServer server;
  absl::Notification answer;
  server.publish_stream = [&](auto*, ServerStream* stream) {
    answer.WaitForNotification();
    return AnswerAll(stream);
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options(), {.max_unanswered = 3});
  for (int64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE((*stream)->TrySend(Request(i), log.Callback()).ok());
  }
  EXPECT_EQ((*stream)->TrySend(Request(9), log.Callback()).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ((*stream)->Send(Request(9), log.Callback(), {.timeout = absl::Milliseconds(20)}).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ((*stream)->Flush(absl::Now() + absl::Milliseconds(20)).code(),
            absl::StatusCode::kDeadlineExceeded);
  std::thread waiting([&] { EXPECT_TRUE((*stream)->Send(Request(3), log.Callback()).ok()); });
  answer.Notify();
  waiting.join();
  EXPECT_TRUE((*stream)->Flush().ok());
  log.ExpectNumbers(4);
}

TEST(PublishStreamTest, HoldsBackByBytesButLetsALargeOneThroughAlone) {
  FakeServer server;
  absl::Notification answer;
  server.publish_stream = [&](auto*, ServerStream* stream) {
    answer.WaitForNotification();
    return AnswerAll(stream);
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options(), {.max_unanswered_bytes = 1000});
  const std::string long_name(100000, 'n');
  ASSERT_TRUE((*stream)->TrySend(Request(0, long_name), log.Callback()).ok());
  EXPECT_EQ((*stream)->TrySend(Request(1), log.Callback()).code(),
            absl::StatusCode::kResourceExhausted);
  answer.Notify();
  ASSERT_TRUE((*stream)->Flush().ok());
  ASSERT_TRUE((*stream)->TrySend(Request(1), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Flush().ok());
  log.ExpectNumbers(2);
}

TEST(PublishStreamTest, ALateAnswerGoesToNoOneElse) {
  FakeServer server;
  absl::Notification answer;
  server.publish_stream = [&](auto*, ServerStream* stream) {
    answer.WaitForNotification();
    return AnswerAll(stream);
  };
  server.Start();
  Log late, log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE(
      (*stream)->Send(Request(100), late.Callback(), {.timeout = absl::Milliseconds(20)}).ok());
  ASSERT_TRUE((*stream)->Send(Request(0), log.Callback()).ok());
  late.WaitFor(1);
  EXPECT_EQ(late.told()[0].status().code(), absl::StatusCode::kDeadlineExceeded);
  answer.Notify();
  ASSERT_TRUE((*stream)->Send(Request(1), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Finish().ok());
  log.ExpectNumbers(2);
  EXPECT_EQ(late.told().size(), 1u);
}

TEST(PublishStreamTest, SaysUnavailableWhenTheServerStaysAway) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  Log log;
  auto stream = PublishStream::Create(options);
  ASSERT_TRUE(
      (*stream)->Send(Request(0), log.Callback(), {.timeout = absl::Milliseconds(300)}).ok());
  log.WaitFor(1);
  const absl::Status status = log.told()[0].status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_TRUE(IsUnreachable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(options.target));
  EXPECT_TRUE((*stream)->Flush().ok());
}

TEST(PublishStreamTest, FindsThePublishAtWhichTheStreamBreaks) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) {
    v1::PublishStreamRequest request;
    while (stream->Read(&request)) {
      for (const v1::PublishRequest& publish : request.publishes()) {
        if (publish.table().name() == "poison") {
          return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "message too long");
        }
      }
      Answer(request, stream);
    }
    return grpc::Status::OK;
  };
  server.Start();
  Log log, poisoned;
  auto stream = PublishStream::Create(server.options());
  for (int64_t i = 0; i < 300; ++i) {
    if (i == 100 || i == 200) {
      ASSERT_TRUE((*stream)->Send(Request(-1, "poison"), poisoned.Callback()).ok());
    }
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  ASSERT_TRUE((*stream)->Finish().ok());
  log.ExpectNumbers(300);
  ASSERT_EQ(poisoned.told().size(), 2u);
  EXPECT_EQ(poisoned.told()[0].status(), absl::ResourceExhaustedError("message too long"));
}

TEST(PublishStreamTest, GivesUpAPublishThatTheServerNeverAnswers) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) {
    v1::PublishStreamRequest request;
    stream->Read(&request);
    return grpc::Status::OK;
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE((*stream)->Send(Request(0), log.Callback()).ok());
  ASSERT_TRUE((*stream)->Flush().ok());
  EXPECT_EQ(log.told()[0].status().code(), absl::StatusCode::kUnknown);
}

TEST(PublishStreamTest, AServerWithoutStreamsIsSaidSoAtOnce) {
  FakeServer server;
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  for (int64_t i = 0; i < 10; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  ASSERT_TRUE((*stream)->Flush().ok());
  for (const auto& told : log.told()) {
    EXPECT_EQ(told.status().code(), absl::StatusCode::kUnimplemented);
  }
}

TEST(PublishStreamTest, SurvivesMoreResultsThanPublishes) {
  FakeServer server;
  std::atomic<int> streams = 0;
  server.publish_stream = [&](auto*, ServerStream* stream) {
    v1::PublishStreamRequest request;
    if (++streams == 1) {
      stream->Read(&request);
      Answer(request, stream);
      Answer(request, stream);
    }
    return AnswerAll(stream);
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
    if (i == 0) {
      ASSERT_TRUE((*stream)->Flush().ok());
    }
  }
  ASSERT_TRUE((*stream)->Finish().ok());
  EXPECT_EQ(log.told().size(), 1000u);
}

TEST(PublishStreamTest, GivesUpTheRestWhenDestroyed) {
  FakeServer server;
  server.publish_stream = [](grpc::ServerContext* context, ServerStream*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  stream->reset();
  ASSERT_EQ(log.told().size(), 1000u);
  for (const auto& told : log.told()) {
    EXPECT_EQ(told.status().code(), absl::StatusCode::kCancelled);
  }
}

TEST(PublishStreamTest, FinishGivesUpAtItsDeadline) {
  FakeServer server;
  server.publish_stream = [](grpc::ServerContext* context, ServerStream*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE((*stream)->Send(Request(0), log.Callback()).ok());
  EXPECT_EQ((*stream)->Finish(absl::Now() + absl::Milliseconds(50)).code(),
            absl::StatusCode::kDeadlineExceeded);
  ASSERT_EQ(log.told().size(), 1u);
  EXPECT_EQ(log.told()[0].status().code(), absl::StatusCode::kCancelled);
}

TEST(PublishStreamTest, ACallbackMaySendMore) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  Log log;
  auto stream = PublishStream::Create(server.options());
  ASSERT_TRUE(
      (*stream)
          ->Send(Request(7),
                 [&](auto) { EXPECT_TRUE((*stream)->TrySend(Request(0), log.Callback()).ok()); })
          .ok());
  log.WaitFor(1);
  log.ExpectNumbers(1);
}

TEST(PublishStreamTest, RefusesWhatIsTooLong) {
  FakeServer server;
  server.Start();
  ConnectOptions options = server.options();
  options.max_message_bytes = 1000;
  auto stream = PublishStream::Create(options);
  const absl::Status status =
      (*stream)->Send(Request(0, std::string(1000, 'n')), [](auto) { FAIL(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(PublishStream::Create(options, {.max_batch = 0}).ok());
}

TEST(PublishStreamTest, NothingSentIsNothingDone) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  auto stream = PublishStream::Create(options);
  EXPECT_TRUE((*stream)->Flush().ok());
  EXPECT_TRUE((*stream)->Finish().ok());
  EXPECT_TRUE((*stream)->Finish().ok());
}

// Until a publish is answered with OK.
void PublishUntilStored(PublishStream& stream) {
  while (true) {
    absl::Notification told;
    absl::Status status;
    const absl::Status sent =
        stream.TrySend(Request(1), [&](absl::StatusOr<v1::PublishResponse> response) {
          status = response.status();
          told.Notify();
        });
    if (sent.ok()) {
      told.WaitForNotification();
      if (status.ok()) return;
    }
    EXPECT_EQ((sent.ok() ? status : sent).code(), absl::StatusCode::kUnavailable);
    absl::SleepFor(absl::Milliseconds(1));
  }
}

TEST(PublishStreamTest, FailWhenAwayAtTheVeryFirst) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  server.Stop();
  Log log;
  ConnectOptions options = server.options();
  options.timeout = absl::Hours(1);
  auto stream = PublishStream::Create(options, {.fail_when_away = true});
  ASSERT_TRUE((*stream)->TrySend(Request(0), log.Callback()).ok());
  log.WaitFor(1);
  EXPECT_TRUE(IsUnreachable(log.told()[0].status())) << log.told()[0].status();
  for (const absl::Status& refused : {(*stream)->TrySend(Request(0), log.Callback()),
                                      (*stream)->Send(Request(0), log.Callback())}) {
    EXPECT_TRUE(IsUnreachable(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr("cannot reach qasino-ingest at " + options.target));
  }
  EXPECT_EQ(log.told().size(), 1u) << "what was refused is not called back";
  server.Start();
  PublishUntilStored(**stream);
}

TEST(PublishStreamTest, FailWhenAwayGivesUpWhatABrokenStreamDidNotAnswer) {
  FakeServer server;
  server.publish_stream = [](grpc::ServerContext* context, ServerStream* stream) {
    v1::PublishStreamRequest request;
    while (stream->Read(&request)) {
      if (Number(request.publishes(0)) == 1) Answer(request, stream);
    }
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  ConnectOptions options = server.options();
  options.timeout = absl::Hours(1);
  auto stream = PublishStream::Create(options, {.fail_when_away = true});
  PublishUntilStored(**stream);
  for (int round = 1; round <= 2; ++round) {
    Log log;
    for (int i = 0; i < 1000; ++i) {
      ASSERT_TRUE((*stream)->TrySend(Request(7), log.Callback()).ok());
    }
    server.Stop();
    log.WaitFor(1000);
    for (const auto& told : log.told()) {
      EXPECT_EQ(told.status().code(), absl::StatusCode::kUnavailable) << told.status();
    }
    server.Start();
    PublishUntilStored(**stream);
  }
}

TEST(PublishStreamTest, FailWhenAwayWakesASenderThatWaitsForRoom) {
  FakeServer server;
  server.publish_stream = [](grpc::ServerContext* context, ServerStream*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping");
  };
  server.Start();
  ConnectOptions options = server.options();
  options.timeout = absl::Hours(1);
  Log log;
  auto stream = PublishStream::Create(options, {.max_unanswered = 1, .fail_when_away = true});
  ASSERT_TRUE((*stream)->Send(Request(0), log.Callback()).ok());
  std::thread waiting([&] {
    const absl::Status status = (*stream)->Send(Request(1), log.Callback());
    EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
  });
  server.Stop();
  waiting.join();
  log.WaitFor(1);
  EXPECT_TRUE((*stream)->Finish().ok());
}

TEST(PublishStreamTest, FailWhenAwayStillFindsThePublishAtFault) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) {
    v1::PublishStreamRequest request;
    while (stream->Read(&request)) {
      for (const v1::PublishRequest& publish : request.publishes()) {
        if (publish.table().name() == "poison") {
          return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "does not parse");
        }
      }
      Answer(request, stream);
    }
    return grpc::Status::OK;
  };
  server.Start();
  Log log, poisoned;
  auto stream = PublishStream::Create(server.options(), {.fail_when_away = true});
  for (int64_t i = 0; i < 100; ++i) {
    if (i == 50) {
      ASSERT_TRUE((*stream)->Send(Request(-1, "poison"), poisoned.Callback()).ok());
    }
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  ASSERT_TRUE((*stream)->Finish().ok());
  log.ExpectNumbers(100);
  ASSERT_EQ(poisoned.told().size(), 1u);
  EXPECT_EQ(poisoned.told()[0].status(), absl::InvalidArgumentError("does not parse"));
}

TEST(PublishStreamTest, FailWhenAwayDoesNotWaitLongForAConnection) {
  // Nobody has this address: packets to it are lost, or refused by the network at once.
  ConnectOptions options{.target = "192.0.2.1:15601", .timeout = absl::Hours(1)};
  Log log;
  auto stream = PublishStream::Create(options, {.fail_when_away = true});
  ASSERT_TRUE((*stream)->TrySend(Request(0), log.Callback()).ok());
  log.WaitFor(1);
  EXPECT_TRUE(IsUnreachable(log.told()[0].status())) << log.told()[0].status();
  EXPECT_TRUE(IsUnreachable((*stream)->TrySend(Request(0), log.Callback())));
  EXPECT_TRUE((*stream)->Finish().ok());
}

TEST(PublishStreamTest, AChannelThatIsGiven) {
  FakeServer server;
  server.publish_stream = [](auto*, ServerStream* stream) { return AnswerAll(stream); };
  server.Start();
  ConnectOptions options;
  options.target = "this process";
  options.channel = server.NewChannel();
  Log log;
  auto stream = PublishStream::Create(options, {.fail_when_away = true});
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE((*stream)->Send(Request(i), log.Callback()).ok());
  }
  ASSERT_TRUE((*stream)->Flush().ok());
  log.ExpectNumbers(1000);
  stream->reset();
}

}  // namespace
}  // namespace qasino::client
