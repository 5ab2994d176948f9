#include "adapters/upstream/upstream.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cpp/fake_server.h"

namespace qasino::adapters {
namespace {

using ::testing::HasSubstr;

using ServerStream = grpc::ServerReaderWriter<v1::PublishStreamResponse, v1::PublishStreamRequest>;
using ServerWriter = grpc::ServerWriter<v1::QueryResponse>;

v1::PublishRequest Request(const std::string& identity, int64_t number) {
  v1::PublishRequest request;
  request.set_identity(identity);
  request.mutable_table()->set_name("t");
  v1::Column* column = request.mutable_table()->add_columns();
  column->set_name("n");
  column->set_type(v1::INTEGER);
  column->add_integers(number);
  return request;
}

v1::QueryRequest Select() {
  v1::QueryRequest request;
  request.set_sql("select 1");
  return request;
}

absl::StatusOr<v1::PublishResponse> PublishOne(Upstream& upstream, const v1::PublishRequest& one) {
  absl::StatusOr<v1::PublishResponse> result;
  absl::Notification told;
  upstream.Publish(one, [&](absl::StatusOr<v1::PublishResponse> response) {
    result = std::move(response);
    told.Notify();
  });
  told.WaitForNotification();
  return result;
}

absl::Status QueryOne(Upstream& upstream) {
  const std::shared_ptr<client::AsyncQuery> query = upstream.Query(Select());
  for (bool more = true; more;) {
    absl::Notification told;
    query->Read([&](const v1::QueryResponse* part) {
      more = part != nullptr;
      told.Notify();
    });
    told.WaitForNotification();
  }
  return query->status();
}

// An ingest and a query, as servers of their own.
class UpstreamTest : public ::testing::Test {
 protected:
  UpstreamTest() {
    ingest_.publish_stream = [this](auto*, ServerStream* stream) {
      ++streams_;
      v1::PublishStreamRequest request;
      while (stream->Read(&request)) {
        v1::PublishStreamResponse response;
        for (const v1::PublishRequest& publish : request.publishes()) {
          absl::MutexLock lock(&mu_);
          stored_[publish.identity()].push_back(publish.table().columns(0).integers(0));
          response.add_results()->set_generation(30);
        }
        stream->Write(response);
      }
      return grpc::Status::OK;
    };
    query_.query = [](auto*, auto*, ServerWriter* writer) {
      v1::QueryResponse response;
      response.mutable_header()->add_columns()->set_name("1");
      response.mutable_summary();
      writer->Write(response);
      return grpc::Status::OK;
    };
    ingest_.SetServing("qasino.v1.Ingest", true);
    query_.SetServing("qasino.v1.Query", true);
    ingest_.Start();
    query_.Start();
  }

  UpstreamOptions options() const {
    return {.ingest = ingest_.options(), .query = query_.options()};
  }

  void Open(const UpstreamOptions& options) {
    auto upstream = Upstream::Create(options);
    ASSERT_TRUE(upstream.ok()) << upstream.status();
    upstream_ = *std::move(upstream);
  }

  void WaitUntilReady() {
    while (!upstream_->Ready().ok()) absl::SleepFor(absl::Milliseconds(1));
  }

  std::atomic<int> streams_ = 0;
  absl::Mutex mu_;
  std::map<std::string, std::vector<int64_t>> stored_ ABSL_GUARDED_BY(mu_);
  client::FakeServer ingest_, query_;
  std::unique_ptr<Upstream> upstream_;
};

TEST_F(UpstreamTest, PublishesAndQueries) {
  Open(options());
  WaitUntilReady();
  const auto stored = PublishOne(*upstream_, Request("me", 1));
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_EQ(stored->generation(), 30);
  EXPECT_TRUE(QueryOne(*upstream_).ok());
}

TEST_F(UpstreamTest, AnIdentitysPublishesKeepTheirOrder) {
  Open(options());
  constexpr int kIdentities = 8, kPublishes = 500;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kIdentities; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < kPublishes; ++n) {
        upstream_->Publish(Request("identity" + std::to_string(i), n),
                           [&](absl::StatusOr<v1::PublishResponse> response) {
                             if (response.ok()) ++right;
                           });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (right < kIdentities * kPublishes) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(streams_, 2) << "they share the streams";
  absl::MutexLock lock(&mu_);
  for (const auto& [identity, numbers] : stored_) {
    ASSERT_EQ(numbers.size(), static_cast<size_t>(kPublishes));
    for (int n = 0; n < kPublishes; ++n) ASSERT_EQ(numbers[n], n) << identity;
  }
}

TEST_F(UpstreamTest, FailsAtOnceWhileAServiceIsAway) {
  Open(options());
  WaitUntilReady();
  ingest_.Stop();
  while (PublishOne(*upstream_, Request("me", 1)).ok()) {
  }
  EXPECT_EQ(PublishOne(*upstream_, Request("me", 1)).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_TRUE(QueryOne(*upstream_).ok()) << "the other goes on";
  while (upstream_->Ready().ok()) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_THAT(std::string(upstream_->Ready().message()), HasSubstr("qasino-ingest"));
  query_.Stop();
  EXPECT_EQ(QueryOne(*upstream_).code(), absl::StatusCode::kUnavailable);

  ingest_.Start();
  query_.Start();
  WaitUntilReady();
  while (!PublishOne(*upstream_, Request("me", 2)).ok()) {
  }
  while (!QueryOne(*upstream_).ok()) {
  }
}

TEST_F(UpstreamTest, TheQueryTimeoutEndsAQuery) {
  query_.Stop();
  query_.query = [](grpc::ServerContext* context, auto*, ServerWriter*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  query_.Start();
  UpstreamOptions options = this->options();
  options.query_timeout = absl::Milliseconds(50);
  Open(options);
  EXPECT_EQ(QueryOne(*upstream_).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(UpstreamTest, AnAdapterThatOnlyQueriesNeedsNoIngest) {
  ingest_.Stop();
  UpstreamOptions options = this->options();
  options.publishes = false;
  Open(options);
  WaitUntilReady();
  EXPECT_TRUE(QueryOne(*upstream_).ok());
  EXPECT_EQ(PublishOne(*upstream_, Request("me", 1)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(UpstreamTest, CloseCancelsAndLaterCallsAreUnavailable) {
  query_.Stop();
  absl::Notification begun;
  query_.query = [&](grpc::ServerContext* context, auto*, ServerWriter*) {
    begun.Notify();
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  query_.Start();
  Open(options());
  std::atomic<bool> told = false;
  const std::shared_ptr<client::AsyncQuery> query = upstream_->Query(Select());
  query->Read([&](const v1::QueryResponse* part) {
    EXPECT_EQ(part, nullptr);
    told = true;
  });
  begun.WaitForNotification();
  std::thread other([&] { upstream_->Close(); });
  upstream_->Close();
  EXPECT_TRUE(told);
  EXPECT_EQ(query->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(PublishOne(*upstream_, Request("me", 1)).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(QueryOne(*upstream_).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(upstream_->Ready().code(), absl::StatusCode::kUnavailable);
  other.join();
}

TEST_F(UpstreamTest, ClosesUnderLoad) {
  for (int round = 0; round < 5; ++round) {
    Open(options());
    std::atomic<int> sent = 0, told = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int n = 0; n < 300; ++n) {
          ++sent;
          upstream_->Publish(Request(std::to_string(t), n), [&](auto) { ++told; });
          upstream_->Query(Select())->Cancel();
          upstream_->Ready().IgnoreError();
        }
      });
    }
    while (sent < 100) std::this_thread::yield();
    upstream_->Close();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(told, sent);
  }
}

TEST_F(UpstreamTest, ChannelsThatAreGiven) {
  {
    UpstreamOptions options;
    options.ingest.channel = ingest_.NewChannel();
    options.query.channel = query_.NewChannel();
    Open(options);
  }
  WaitUntilReady();
  EXPECT_TRUE(PublishOne(*upstream_, Request("me", 1)).ok());
  EXPECT_TRUE(QueryOne(*upstream_).ok());
  upstream_->Close();
  ingest_.Stop();
  query_.Stop();
  EXPECT_FALSE(PublishOne(*upstream_, Request("me", 1)).ok());
  EXPECT_FALSE(QueryOne(*upstream_).ok());
}

TEST_F(UpstreamTest, RefusesOptionsThatAreWrong) {
  UpstreamOptions none = options();
  none.publish_streams = 0;
  UpstreamOptions never = options();
  never.query_timeout = absl::ZeroDuration();
  UpstreamOptions nowhere = options();
  nowhere.ingest.target = "nowhere";
  for (const UpstreamOptions& wrong : {none, never, nowhere}) {
    EXPECT_EQ(Upstream::Create(wrong).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace qasino::adapters
