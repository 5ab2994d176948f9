#include "clients/cpp/async_query.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cpp/fake_server.h"

namespace qasino::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Writer = grpc::ServerWriter<v1::QueryResponse>;

v1::QueryResponse Header(int columns) {
  v1::QueryResponse response;
  for (int i = 0; i < columns; ++i) {
    response.mutable_header()->add_columns()->set_name("c" + std::to_string(i));
  }
  response.mutable_header()->mutable_snapshot()->set_generation(30);
  return response;
}

v1::QueryResponse Batch(std::vector<int64_t> integers) {
  v1::QueryResponse response;
  v1::Column* column = response.mutable_batch()->add_columns();
  column->set_type(v1::INTEGER);
  for (const int64_t integer : integers) column->add_integers(integer);
  response.mutable_batch()->set_rows(integers.size());
  return response;
}

v1::QueryResponse Summary(uint64_t rows) {
  v1::QueryResponse response;
  response.mutable_summary()->set_rows(rows);
  return response;
}

v1::QueryResponse Whole(std::vector<int64_t> integers) {
  v1::QueryResponse response = Header(1);
  response.MergeFrom(Batch(integers));
  response.MergeFrom(Summary(integers.size()));
  return response;
}

v1::QueryRequest Request(const std::string& sql) {
  v1::QueryRequest request;
  request.set_sql(sql);
  return request;
}

// The next part of `query`, as a copy, or none.
std::unique_ptr<v1::QueryResponse> ReadOne(AsyncQuery& query) {
  absl::Notification called;
  std::unique_ptr<v1::QueryResponse> copy;
  query.Read([&](const v1::QueryResponse* part) {
    if (part != nullptr) copy = std::make_unique<v1::QueryResponse>(*part);
    called.Notify();
  });
  called.WaitForNotification();
  return copy;
}

// What a query answered, read by callbacks that read on, as a program does.
class Answer {
 public:
  explicit Answer(std::shared_ptr<AsyncQuery> query) : query_(std::move(query)) {
    ReadOn();
    ended_.WaitForNotification();
    status = query_->status();
  }

  int parts = 0;
  int columns = 0;
  std::vector<int64_t> integers;
  bool unchanged = false;
  absl::Status status;

 private:
  void ReadOn() {
    query_->Read([this](const v1::QueryResponse* part) {
      if (part == nullptr) return ended_.Notify();
      ++parts;
      if (part->has_header()) columns = part->header().columns_size();
      if (part->batch().columns_size() > 0) {
        for (const int64_t integer : part->batch().columns(0).integers()) {
          integers.push_back(integer);
        }
      }
      unchanged = part->summary().unchanged();
      ReadOn();
    });
  }

  const std::shared_ptr<AsyncQuery> query_;
  absl::Notification ended_;
};

// A server and a client of it.
class AsyncQueryTest : public ::testing::Test {
 protected:
  void Serve(FakeServer::QueryCall query) {
    server_.query = std::move(query);
    server_.Start();
    client_ = *AsyncQueryClient::Create(server_.options());
  }

  void ServeParts(std::vector<v1::QueryResponse> parts, grpc::Status status = grpc::Status::OK) {
    Serve([parts = std::move(parts), status](auto*, auto*, Writer* writer) {
      for (const v1::QueryResponse& part : parts) writer->Write(part);
      return status;
    });
  }

  // Rows for ever, until it is cancelled.
  void ServeEndless() {
    Serve([this](grpc::ServerContext* context, auto*, Writer* writer) {
      begun_.fetch_add(1);
      writer->Write(Header(1));
      while (!context->IsCancelled() && writer->Write(Batch({1}))) {
      }
      ended_.fetch_add(1);
      return grpc::Status::CANCELLED;
    });
  }

  // Nothing, until it is cancelled.
  void ServeSilence() {
    Serve([this](grpc::ServerContext* context, auto*, auto*) {
      begun_.fetch_add(1);
      while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      ended_.fetch_add(1);
      return grpc::Status::CANCELLED;
    });
  }

  static void WaitFor(const std::function<bool()>& condition) {
    while (!condition()) absl::SleepFor(absl::Milliseconds(1));
  }

  std::atomic<int> begun_ = 0, ended_ = 0;
  FakeServer server_;
  std::unique_ptr<AsyncQueryClient> client_;
};

TEST_F(AsyncQueryTest, AnAnswerInOneMessageIsOnePart) {
  ServeParts({Whole({1, 2})});
  auto query = client_->Start(Request("select"));
  const auto part = ReadOne(*query);
  ASSERT_NE(part, nullptr);
  EXPECT_EQ(part->header().snapshot().generation(), 30);
  EXPECT_EQ(part->summary().rows(), 2u);
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_TRUE(query->status().ok());
  EXPECT_EQ(ReadOne(*query), nullptr) << "the end stays the end";
}

TEST_F(AsyncQueryTest, TheSummaryEndsTheAnswerBeforeTheCallDoes) {
  absl::Notification finish;
  Serve([&](auto*, auto*, Writer* writer) {
    writer->Write(Whole({1}));
    finish.WaitForNotification();
    return grpc::Status::OK;
  });
  Answer answer(client_->Start(Request("select")));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_THAT(answer.integers, ElementsAre(1));
  finish.Notify();
  server_.Stop();  // which waits for the function above
}

TEST_F(AsyncQueryTest, AnAnswerInManyPartsComesInOrder) {
  constexpr int64_t kParts = 20000;
  Serve([](auto*, const v1::QueryRequest* request, Writer* writer) {
    EXPECT_EQ(request->sql(), "select many");
    writer->Write(Header(1));
    for (int64_t i = 0; i < kParts; ++i) writer->Write(Batch({i}));
    writer->Write(Summary(kParts));
    return grpc::Status::OK;
  });
  Answer answer(client_->Start(Request("select many")));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.parts, kParts + 2);
  ASSERT_EQ(answer.integers.size(), static_cast<size_t>(kParts));
  for (int64_t i = 0; i < kParts; ++i) ASSERT_EQ(answer.integers[i], i);
}

TEST_F(AsyncQueryTest, ASlowReaderHoldsTheServerBack) {
  std::atomic<int64_t> written = 0;
  Serve([&](grpc::ServerContext*, auto*, Writer* writer) {
    const std::string text(1 << 20, 't');
    v1::QueryResponse batch;
    batch.mutable_batch()->set_rows(1);
    v1::Column* column = batch.mutable_batch()->add_columns();
    column->set_type(v1::TEXT);
    column->add_texts(text);
    writer->Write(Header(1));
    for (int i = 0; i < 200; ++i) {
      if (!writer->Write(batch)) break;
      ++written;
    }
    writer->Write(Summary(200));
    return grpc::Status::OK;
  });
  auto query = client_->Start(Request("select"));
  ASSERT_NE(ReadOne(*query), nullptr);
  // The server goes on until the transport holds it back.
  int64_t seen = -1;
  while (seen != written) {
    seen = written;
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_LT(seen, 100);
  for (int i = 0; i < 201; ++i) ASSERT_NE(ReadOne(*query), nullptr) << i;
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_TRUE(query->status().ok()) << query->status();
  server_.Stop();
}

TEST_F(AsyncQueryTest, UnchangedIsAPartWithoutColumns) {
  v1::QueryResponse unchanged = Header(0);
  unchanged.mutable_summary()->set_unchanged(true);
  ServeParts({unchanged});
  v1::QueryRequest request = Request("select");
  request.mutable_unless_snapshot()->set_generation(30);
  Answer answer(client_->Start(request));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_TRUE(answer.unchanged);
  EXPECT_EQ(answer.columns, 0);

  Answer unasked(client_->Start(Request("select")));
  EXPECT_EQ(unasked.status.code(), absl::StatusCode::kInternal);
}

TEST_F(AsyncQueryTest, TheServersErrorIsTheStatus) {
  ServeParts({}, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such table: t"));
  auto query = client_->Start(Request("select"));
  EXPECT_TRUE(query->status().ok());
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_EQ(query->status(), absl::InvalidArgumentError("no such table: t"));
}

TEST_F(AsyncQueryTest, AnErrorLaterComesAfterTheParts) {
  ServeParts({Header(1), Batch({1, 2})},
             grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "over --max-rows"));
  Answer answer(client_->Start(Request("select")));
  EXPECT_THAT(answer.integers, ElementsAre(1, 2));
  EXPECT_EQ(answer.status, absl::ResourceExhaustedError("over --max-rows"));
}

TEST_F(AsyncQueryTest, WhatMakesNoSenseIsAnInternalError) {
  v1::QueryResponse two_columns = Batch({1});
  *two_columns.mutable_batch()->add_columns() = two_columns.batch().columns(0);
  v1::QueryResponse bad_kinds = Batch({1});
  bad_kinds.mutable_batch()->mutable_columns(0)->set_kinds("\3");
  v1::QueryResponse no_columns;
  no_columns.mutable_batch()->set_rows(uint64_t{1} << 40);
  const struct {
    const char* what;
    std::vector<v1::QueryResponse> parts;
  } cases[] = {
      {"without its summary", {Header(1), Batch({1})}},
      {"before its header", {}},
      {"begin with its header", {Batch({1}), Summary(1)}},
      {"no columns", {Header(0), Summary(0)}},
      {"second header", {Header(1), Header(1), Summary(0)}},
      {"2 columns, the answer 1", {Header(1), two_columns, Summary(1)}},
      {"0 columns, the answer 1", {Header(1), no_columns, Summary(1)}},
      {"column 1 of a batch", {Header(1), bad_kinds, Summary(1)}},
      {"its summary says 5", {Header(1), Batch({1}), Summary(5)}},
  };
  for (const auto& test : cases) {
    FakeServer server;
    server.query = [&](auto*, auto*, Writer* writer) {
      for (const v1::QueryResponse& part : test.parts) writer->Write(part);
      return grpc::Status::OK;
    };
    server.Start();
    auto client = AsyncQueryClient::Create(server.options());
    Answer answer((*client)->Start(Request("select")));
    EXPECT_EQ(answer.status.code(), absl::StatusCode::kInternal) << test.what;
    EXPECT_THAT(std::string(answer.status.message()), HasSubstr(test.what));
    EXPECT_THAT(std::string(answer.status.message()), HasSubstr("qasino-query at 127.0.0.1"));
  }
}

TEST_F(AsyncQueryTest, SqlThatIsNotUtf8IsRefused) {
  ServeParts({Whole({1})});
  Answer answer(client_->Start(Request("select '\xff'")));
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AsyncQueryTest, AFailedQuerySaysWhy) {
  Answer answer(AsyncQuery::Failed(absl::UnavailableError("closed")));
  EXPECT_EQ(answer.parts, 0);
  EXPECT_EQ(answer.status, absl::UnavailableError("closed"));
}

TEST_F(AsyncQueryTest, CancelEndsTheReadThatIsUnderWay) {
  ServeSilence();
  auto query = client_->Start(Request("select"));
  absl::Notification ended;
  query->Read([&](const v1::QueryResponse* part) {
    EXPECT_EQ(part, nullptr);
    ended.Notify();
  });
  WaitFor([&] { return begun_ == 1; });
  query->Cancel();
  ended.WaitForNotification();
  EXPECT_EQ(query->status().code(), absl::StatusCode::kCancelled);
  WaitFor([&] { return ended_ == 1; });
}

TEST_F(AsyncQueryTest, CancelEndsTheNextRead) {
  ServeEndless();
  auto query = client_->Start(Request("select"));
  for (int i = 0; i < 10; ++i) ASSERT_NE(ReadOne(*query), nullptr);
  query->Cancel();
  query->Cancel();
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_EQ(query->status().code(), absl::StatusCode::kCancelled);
  WaitFor([&] { return ended_ == 1; });
}

TEST_F(AsyncQueryTest, CancelDoesNotUndoAWholeAnswer) {
  ServeParts({Whole({1})});
  auto query = client_->Start(Request("select"));
  ASSERT_NE(ReadOne(*query), nullptr);
  query->Cancel();
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_TRUE(query->status().ok());
}

TEST_F(AsyncQueryTest, AQueryThatIsDroppedStopsAndCallsBack) {
  ServeSilence();
  absl::Notification ended;
  auto query = client_->Start(Request("select"));
  query->Read([&](const v1::QueryResponse* part) {
    EXPECT_EQ(part, nullptr);
    ended.Notify();
  });
  WaitFor([&] { return begun_ == 1; });
  query = nullptr;
  ended.WaitForNotification();
  WaitFor([&] { return ended_ == 1; });
}

TEST_F(AsyncQueryTest, ACallbackMayDropTheQuery) {
  ServeEndless();
  absl::Notification ended;
  auto query = client_->Start(Request("select"));
  AsyncQuery* const raw = query.get();
  raw->Read([held = std::move(query), &ended](const v1::QueryResponse*) mutable {
    held = nullptr;
    ended.Notify();
  });
  ended.WaitForNotification();
  WaitFor([&] { return ended_ == 1; });
}

TEST_F(AsyncQueryTest, TheTimeLimitIsForTheWholeAnswer) {
  ServeEndless();
  auto query = client_->Start(Request("select"), {.timeout = absl::Milliseconds(200)});
  while (ReadOne(*query) != nullptr) {
  }
  EXPECT_EQ(query->status().code(), absl::StatusCode::kDeadlineExceeded) << query->status();
}

TEST_F(AsyncQueryTest, TheTimeLimitEndsWhatNobodyReads) {
  ServeEndless();
  auto query = client_->Start(Request("select"), {.timeout = absl::Milliseconds(100)});
  WaitFor([&] { return ended_ == 1; });
  while (ReadOne(*query) != nullptr) {
  }
  EXPECT_EQ(query->status().code(), absl::StatusCode::kDeadlineExceeded) << query->status();
}

TEST_F(AsyncQueryTest, TheClientsEndCancelsWhatRuns) {
  ServeEndless();
  auto reading = client_->Start(Request("select"));
  auto idle = client_->Start(Request("select"));
  auto unread = client_->Start(Request("select"));
  std::atomic<int> ended = 0;
  std::function<void()> read_on = [&] {
    reading->Read([&](const v1::QueryResponse* part) {
      if (part == nullptr) {
        ++ended;
      } else {
        read_on();
      }
    });
  };
  read_on();
  ASSERT_NE(ReadOne(*idle), nullptr);
  WaitFor([&] { return begun_ == 3; });
  client_ = nullptr;
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(reading->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ReadOne(*idle), nullptr);
  EXPECT_EQ(idle->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(ReadOne(*unread), nullptr);
  EXPECT_EQ(unread->status().code(), absl::StatusCode::kCancelled);
  idle->Cancel();
}

TEST_F(AsyncQueryTest, AWholeAnswerOutlivesTheClient) {
  ServeParts({Whole({7})});
  auto query = client_->Start(Request("select"));
  absl::Notification read;
  const v1::QueryResponse* part = nullptr;
  query->Read([&](const v1::QueryResponse* response) {
    part = response;
    read.Notify();
  });
  read.WaitForNotification();
  client_ = nullptr;
  ASSERT_NE(part, nullptr);
  EXPECT_EQ(part->batch().columns(0).integers(0), 7);
  EXPECT_EQ(ReadOne(*query), nullptr);
  EXPECT_TRUE(query->status().ok());
}

TEST_F(AsyncQueryTest, TheClientsEndWaitsForACallback) {
  ServeParts({Whole({1})});
  auto query = client_->Start(Request("select"));
  absl::Notification in_callback, go_on;
  std::atomic<bool> left = false;
  query->Read([&](const v1::QueryResponse*) {
    in_callback.Notify();
    go_on.WaitForNotification();
    left = true;
  });
  in_callback.WaitForNotification();
  std::thread end([&] {
    client_ = nullptr;
    EXPECT_TRUE(left);
  });
  go_on.Notify();
  end.join();
}

TEST_F(AsyncQueryTest, ManyThreadsStartManyQueries) {
  Serve([](auto*, const v1::QueryRequest* request, Writer* writer) {
    const int64_t number = std::stoll(request->sql());
    if (number % 3 == 0) {
      writer->Write(Header(1));
      writer->Write(Batch({number}));
      writer->Write(Summary(1));
    } else {
      writer->Write(Whole({number}));
    }
    return grpc::Status::OK;
  });
  constexpr int kThreads = 4, kQueries = 500;
  absl::Mutex mu;
  int whole = 0, wrong = 0, running = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kQueries; ++i) {
        const int64_t number = t * kQueries + i;
        {
          absl::MutexLock lock(&mu);
          const auto room = [&] { return running < 100; };
          mu.Await(absl::Condition(&room));
          ++running;
        }
        struct Reader : std::enable_shared_from_this<Reader> {
          std::shared_ptr<AsyncQuery> query;
          std::function<void(const absl::Status&, int64_t)> done;
          int64_t sum = 0;
          void ReadOn() {
            query->Read([self = shared_from_this()](const v1::QueryResponse* part) {
              if (part == nullptr) return self->done(self->query->status(), self->sum);
              if (part->has_batch()) self->sum += part->batch().columns(0).integers(0);
              self->ReadOn();
            });
          }
        };
        auto reader = std::make_shared<Reader>();
        reader->query = client_->Start(Request(std::to_string(number)));
        reader->done = [&, number](const absl::Status& status, int64_t sum) {
          absl::MutexLock lock(&mu);
          --running;
          ++(status.ok() && sum == number ? whole : wrong);
        };
        reader->ReadOn();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  absl::MutexLock lock(&mu);
  const auto over = [&] { return running == 0; };
  mu.Await(absl::Condition(&over));
  EXPECT_EQ(whole, kThreads * kQueries);
  EXPECT_EQ(wrong, 0);
}

TEST_F(AsyncQueryTest, TheClientEndsUnderLoad) {
  ServeEndless();
  for (int round = 0; round < 20; ++round) {
    auto client = *AsyncQueryClient::Create(server_.options());
    std::vector<std::shared_ptr<AsyncQuery>> queries;
    std::atomic<int> ended = 0;
    std::function<void(AsyncQuery*)> read_on = [&](AsyncQuery* query) {
      query->Read([&, query](const v1::QueryResponse* part) {
        if (part == nullptr) {
          ++ended;
        } else {
          read_on(query);
        }
      });
    };
    for (int i = 0; i < 10; ++i) {
      queries.push_back(client->Start(Request("select")));
      read_on(queries.back().get());
    }
    std::thread cancels([&] {
      for (int i = 0; i < 10; i += 2) queries[i]->Cancel();
    });
    client = nullptr;
    cancels.join();
    EXPECT_EQ(ended, 10);
  }
}

TEST_F(AsyncQueryTest, FailsAtOnceWhileTheServerIsAway) {
  ConnectOptions options = server_.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  options.timeout = absl::InfiniteDuration();
  client_ = *AsyncQueryClient::Create(options);
  for (int i = 0; i < 3; ++i) {
    Answer answer(client_->Start(Request("select")));
    EXPECT_EQ(answer.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE(IsUnreachable(answer.status)) << answer.status;
    EXPECT_THAT(std::string(answer.status.message()),
                HasSubstr("cannot reach qasino-query at " + options.target));
  }
}

TEST_F(AsyncQueryTest, ComesBackWithTheServer) {
  ServeParts({Whole({1})});
  EXPECT_TRUE(Answer(client_->Start(Request("select"))).status.ok());
  for (int round = 0; round < 2; ++round) {
    server_.Stop();
    Answer away(client_->Start(Request("select")));
    EXPECT_TRUE(absl::IsUnavailable(away.status)) << away.status;
    server_.Start();
    WaitFor([&] {
      const absl::Status status = Answer(client_->Start(Request("select"))).status;
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
      return status.ok();
    });
  }
}

TEST_F(AsyncQueryTest, AServerThatDiesEndsTheAnswer) {
  ServeEndless();
  auto query = client_->Start(Request("select"));
  for (int i = 0; i < 10; ++i) ASSERT_NE(ReadOne(*query), nullptr);
  auto silent = client_->Start(Request("select"));
  std::thread stop([&] { server_.Stop(); });
  while (ReadOne(*query) != nullptr) {
  }
  EXPECT_FALSE(query->status().ok());
  while (ReadOne(*silent) != nullptr) {
  }
  EXPECT_FALSE(silent->status().ok());
  stop.join();
}

TEST_F(AsyncQueryTest, DoesNotWaitLongForAConnection) {
  ConnectOptions options = server_.options();
  // Nobody has this address: packets to it are lost, or refused by the network at once.
  options.target = "192.0.2.1:15602";
  options.timeout = absl::Hours(1);
  client_ = *AsyncQueryClient::Create(options);
  Answer answer(client_->Start(Request("select")));
  EXPECT_TRUE(IsUnreachable(answer.status)) << answer.status;
}

TEST_F(AsyncQueryTest, AChannelWithinTheProcess) {
  Serve([](auto*, const v1::QueryRequest* request, Writer* writer) {
    if (request->sql() == "wrong") {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no snapshot yet");
    }
    writer->Write(Whole({3}));
    return grpc::Status::OK;
  });
  ConnectOptions options;
  options.target = "this process";
  options.channel = server_.NewChannel();
  client_ = *AsyncQueryClient::Create(options);
  for (int i = 0; i < 100; ++i) {
    Answer answer(client_->Start(Request("select")));
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    EXPECT_THAT(answer.integers, ElementsAre(3));
  }
  Answer wrong(client_->Start(Request("wrong")));
  EXPECT_EQ(wrong.status, absl::UnavailableError("no snapshot yet"));
  client_ = nullptr;
}

}  // namespace
}  // namespace qasino::client
