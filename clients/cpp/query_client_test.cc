#include "clients/cpp/query_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "clients/cpp/fake_server.h"
#include "clients/cpp/table_builder.h"

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

// A server that answers every query with `responses` and then `status`.
class Scripted {
 public:
  explicit Scripted(std::vector<v1::QueryResponse> responses,
                    grpc::Status status = grpc::Status::OK) {
    server_.query = [responses = std::move(responses), status](auto*, auto*, Writer* writer) {
      for (const v1::QueryResponse& response : responses) writer->Write(response);
      return status;
    };
    server_.Start();
    client_ = *QueryClient::Create(server_.options());
  }

  QueryClient& client() { return *client_; }

 private:
  FakeServer server_;
  std::unique_ptr<QueryClient> client_;
};

std::vector<int64_t> Integers(QueryResult* result) {
  std::vector<int64_t> integers;
  for (const Row& row : *result) integers.push_back(row[0].integer());
  return integers;
}

TEST(QueryClientTest, ReadsRowsOfEveryKind) {
  TableBuilder builder("");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(builder.AddColumn("", v1::TEXT).ok());
  ASSERT_TRUE(builder.AddRow({"text", 1}).ok());
  ASSERT_TRUE(builder.AddRow({nullptr, 2.5}).ok());
  ASSERT_TRUE(builder.AddRow({Cell::Blob("\x01\xff"), "é"}).ok());
  v1::QueryResponse batch;
  v1::Table table = builder.Build();
  batch.mutable_batch()->mutable_columns()->Swap(table.mutable_columns());
  batch.mutable_batch()->set_rows(3);

  Scripted scripted({Header(2), batch, Summary(3)});
  auto result = scripted.client().Query("select");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->columns()[1].name(), "c1");
  EXPECT_EQ(result->snapshot().generation(), 30);
  EXPECT_EQ(result->summary().rows(), 0u) << "not known before the end";
  std::vector<std::vector<CellKind>> kinds;
  std::vector<std::string> texts;
  for (const Row& row : *result) {
    ASSERT_EQ(row.size(), 2u);
    kinds.push_back({row[0].kind(), row[1].kind()});
    for (const Cell& cell : row) texts.emplace_back(cell.text());
  }
  EXPECT_THAT(kinds, ElementsAre(ElementsAre(CellKind::kText, CellKind::kInteger),
                                 ElementsAre(CellKind::kNull, CellKind::kReal),
                                 ElementsAre(CellKind::kBlob, CellKind::kText)));
  EXPECT_THAT(texts, ElementsAre("text", "", "", "", "", "é"));
  EXPECT_TRUE(result->status().ok());
  EXPECT_EQ(result->summary().rows(), 3u);
}

TEST(QueryClientTest, NamesTheSnapshotThatIsWanted) {
  FakeServer server;
  v1::QueryRequest seen;
  server.query = [&](auto*, const v1::QueryRequest* request, Writer* writer) {
    seen = *request;
    writer->Write(Header(1));
    writer->Write(Summary(0));
    return grpc::Status::OK;
  };
  server.Start();
  const std::unique_ptr<QueryClient> client = *QueryClient::Create(server.options());
  ASSERT_TRUE(client->Query("select 1").ok());
  EXPECT_EQ(seen.snapshot_case(), v1::QueryRequest::SNAPSHOT_NOT_SET);
  ASSERT_TRUE(client->Query("select 2", SnapshotChoice::Newest()).ok());
  EXPECT_EQ(seen.snapshot_case(), v1::QueryRequest::SNAPSHOT_NOT_SET);
  ASSERT_TRUE(client->Query("select 3", SnapshotChoice::Generation(30)).ok());
  EXPECT_EQ(seen.sql(), "select 3");
  EXPECT_EQ(seen.generation(), 30);
  ASSERT_TRUE(client->Query("select 4", SnapshotChoice::Running()).ok());
  EXPECT_EQ(seen.snapshot_case(), v1::QueryRequest::kRunning);
  EXPECT_TRUE(seen.running());

  v1::QueryRequest request;
  SnapshotChoice::Generation(0).ApplyTo(&request);
  EXPECT_EQ(request.snapshot_case(), v1::QueryRequest::kGeneration) << "0 is a choice too";
  SnapshotChoice::Newest().ApplyTo(&request);
  EXPECT_EQ(request.snapshot_case(), v1::QueryRequest::SNAPSHOT_NOT_SET);
}

TEST(QueryClientTest, AnAnswerMayBeOneMessageOrManyWithEmptyOnes) {
  v1::QueryResponse whole = Header(1);
  *whole.mutable_batch() = Batch({1, 2}).batch();
  *whole.mutable_summary() = Summary(2).summary();
  Scripted one({whole});
  auto result = one.client().Query("select");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Integers(&*result), ElementsAre(1, 2));
  EXPECT_TRUE(result->status().ok()) << result->status();
  EXPECT_EQ(result->summary().rows(), 2u);

  Scripted many({Header(1), v1::QueryResponse(), Batch({1}), Batch({}), Batch({2, 3}), Summary(3)});
  result = many.client().Query("select");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Integers(&*result), ElementsAre(1, 2, 3));
  EXPECT_TRUE(result->status().ok()) << result->status();
}

TEST(QueryClientTest, BatchesCanBeTakenWhole) {
  Scripted scripted({Header(1), Batch({1, 2}), Batch({}), Batch({3}), Summary(3)});
  auto result = scripted.client().Query("select");
  std::vector<int> sizes;
  while (const v1::RowBatch* batch = result->NextBatch()) {
    sizes.push_back(batch->columns(0).integers_size());
  }
  EXPECT_THAT(sizes, ElementsAre(2, 1));
  EXPECT_TRUE(result->status().ok());
  EXPECT_EQ(result->NextBatch(), nullptr) << "the end stays the end";
}

TEST(QueryClientTest, AnAnswerWithoutRowsHasColumns) {
  Scripted scripted({Header(3), Summary(0)});
  auto result = scripted.client().Query("select");
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->columns().size(), 3);
  EXPECT_TRUE(Integers(&*result).empty());
  EXPECT_TRUE(result->status().ok());
}

TEST(QueryClientTest, AnErrorBeforeTheHeaderIsTheCallsStatus) {
  Scripted scripted({}, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such table: t"));
  EXPECT_EQ(scripted.client().Query("select").status(),
            absl::InvalidArgumentError("no such table: t"));
}

TEST(QueryClientTest, AnErrorLaterEndsTheRows) {
  Scripted scripted({Header(1), Batch({1, 2})},
                    grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "over --max-rows"));
  auto result = scripted.client().Query("select");
  ASSERT_TRUE(result.ok());
  EXPECT_THAT(Integers(&*result), ElementsAre(1, 2));
  EXPECT_EQ(result->status(), absl::ResourceExhaustedError("over --max-rows"));
  EXPECT_EQ(result->summary().rows(), 0u);
}

TEST(QueryClientTest, AnswersThatMakeNoSenseAreInternalErrors) {
  v1::QueryResponse two_columns = Batch({1});
  *two_columns.mutable_batch()->add_columns() = two_columns.batch().columns(0);
  v1::QueryResponse many_rows = Batch({1});
  many_rows.mutable_batch()->set_rows(uint64_t{1} << 60);
  v1::QueryResponse bad_kinds = Batch({1});
  bad_kinds.mutable_batch()->mutable_columns(0)->set_kinds("\3");
  const struct {
    const char* what;
    std::vector<v1::QueryResponse> responses;
  } cases[] = {
      {"without its summary", {Header(1), Batch({1})}},
      {"before its header", {}},
      {"begin with its header", {Batch({1}), Summary(1)}},
      {"no columns", {Header(0), Summary(0)}},
      {"second header", {Header(1), Header(1), Summary(0)}},
      {"2 columns, the answer 1", {Header(1), two_columns, Summary(1)}},
      {"column 1 of a batch", {Header(1), many_rows, Summary(1)}},
      {"column 1 of a batch", {Header(1), bad_kinds, Summary(1)}},
      {"its summary says 5", {Header(1), Batch({1}), Summary(5)}},
      {"after its summary", {Header(1), Summary(0), Batch({1})}},
  };
  for (const auto& test : cases) {
    Scripted scripted(test.responses);
    auto result = scripted.client().Query("select");
    if (result.ok()) Integers(&*result);
    const absl::Status status = result.ok() ? result->status() : result.status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << test.what << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(test.what));
  }
}

TEST(QueryClientTest, TriesAgainAfterUnavailable) {
  FakeServer server;
  std::atomic<int> calls = 0;
  server.query = [&](auto*, auto*, Writer* writer) {
    if (++calls < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no snapshot yet");
    writer->Write(Header(1));
    writer->Write(Summary(0));
    return grpc::Status::OK;
  };
  server.Start();
  auto client = QueryClient::Create(server.options());
  EXPECT_TRUE((*client)->Query("select 1").ok());
  EXPECT_EQ(calls, 3);
}

TEST(QueryClientTest, SaysWhichServerItCannotReach) {
  FakeServer server;
  ConnectOptions options = server.options();
  options.target = "127.0.0.1:" + std::to_string(ClosedPort());
  auto client = QueryClient::Create(options);
  const absl::Status status = (*client)->Query("select 1").status();
  EXPECT_TRUE(IsUnreachable(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("cannot reach qasino-query at " + options.target));
}

// Sends rows for ever, until it is cancelled.
class Endless {
 public:
  Endless() {
    server_.query = [this](grpc::ServerContext* context, auto*, Writer* writer) {
      writer->Write(Header(1));
      while (!context->IsCancelled() && writer->Write(Batch({1}))) {
      }
      ended_.Notify();
      return grpc::Status::CANCELLED;
    };
    server_.Start();
    client_ = *QueryClient::Create(server_.options());
  }

  QueryClient& client() { return *client_; }
  void WaitForEnd() { ended_.WaitForNotification(); }

 private:
  FakeServer server_;
  std::unique_ptr<QueryClient> client_;
  absl::Notification ended_;
};

TEST(QueryClientTest, CancelStopsTheStatement) {
  Endless endless;
  auto result = endless.client().Query("select");
  ASSERT_TRUE(result.ok());
  int rows = 0;
  for (const Row& row : *result) {
    EXPECT_EQ(row[0].integer(), 1);
    if (++rows == 10) result->Cancel();
  }
  EXPECT_EQ(result->status().code(), absl::StatusCode::kCancelled);
  endless.WaitForEnd();
}

TEST(QueryClientTest, CancelAllStopsWhatOtherThreadsRead) {
  Endless endless;
  auto result = endless.client().Query("select");
  ASSERT_TRUE(result.ok());
  std::thread other([&] { endless.client().CancelAll(); });
  Integers(&*result);
  other.join();
  EXPECT_EQ(result->status().code(), absl::StatusCode::kCancelled);
}

TEST(QueryClientTest, CancelAllStopsACallThatWaitsForItsHeader) {
  FakeServer server;
  absl::Notification begun;
  server.query = [&](grpc::ServerContext* context, auto*, auto*) {
    begun.Notify();
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  server.Start();
  auto client = QueryClient::Create(server.options());
  std::thread other([&] {
    begun.WaitForNotification();
    (*client)->CancelAll();
  });
  EXPECT_EQ((*client)->Query("select").status().code(), absl::StatusCode::kCancelled);
  other.join();
}

TEST(QueryClientTest, AResultThatIsDroppedStopsTheStatement) {
  Endless endless;
  { auto result = endless.client().Query("select"); }
  endless.WaitForEnd();
}

TEST(QueryClientTest, TheTimeLimitIsForTheWholeAnswer) {
  Endless endless;
  auto result = endless.client().Query("select", {.timeout = absl::Milliseconds(100)});
  ASSERT_TRUE(result.ok()) << result.status();
  Integers(&*result);
  EXPECT_EQ(result->status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(QueryClientTest, AResultOutlivesItsClient) {
  FakeServer server;
  server.query = [](auto*, const v1::QueryRequest* request, Writer* writer) {
    EXPECT_EQ(request->sql(), "select x");
    writer->Write(Header(1));
    writer->Write(Batch({5}));
    writer->Write(Summary(1));
    return grpc::Status::OK;
  };
  server.Start();
  auto client = QueryClient::Create(server.options());
  auto result = (*client)->Query("select x");
  client->reset();
  EXPECT_THAT(Integers(&*result), ElementsAre(5));
  EXPECT_TRUE(result->status().ok());
}

}  // namespace
}  // namespace qasino::client
