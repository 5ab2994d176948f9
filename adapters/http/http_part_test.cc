#include "adapters/http/http_part.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "adapters/http/gzip.h"
#include "adapters/http/test_client.h"
#include "clients/cpp/fake_server.h"
#include "services/server/test_certificates.h"

namespace qasino::http {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kOk[] = R"({"response_op":"ok","identity":"server1"})";

std::string Error(std::string_view message) {
  return std::string(R"({"response_op":"error","identity":"server1","error_message":")") +
         std::string(message) + "\"}";
}

std::string Get(std::string_view query, std::string_view headers = "") {
  return "GET /request?" + std::string(query) + " HTTP/1.1\r\nHost: h\r\n" + std::string(headers) +
         "\r\n";
}

std::string Post(std::string_view query, std::string_view body, std::string_view headers = "") {
  return "POST /request?" + std::string(query) +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

std::string Chunked(std::string_view query, const std::vector<std::string>& chunks,
                    std::string_view headers = "") {
  std::string text = "POST /request?" + std::string(query) +
                     " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" +
                     std::string(headers) + "\r\n";
  char size[32];
  for (const std::string& chunk : chunks) {
    std::snprintf(size, sizeof(size), "%zx\r\n", chunk.size());
    text += size + chunk + "\r\n";
  }
  return text + "0\r\n\r\n";
}

// With one column, whose cells are `texts`.
v1::QueryResponse Rows(const std::vector<std::string>& texts) {
  v1::QueryResponse part;
  part.mutable_batch()->set_rows(texts.size());
  v1::Column* column = part.mutable_batch()->add_columns();
  column->set_type(v1::TEXT);
  for (const std::string& text : texts) column->add_texts(text);
  return part;
}

void AddHeader(v1::QueryResponse& part) {
  v1::QueryHeader* header = part.mutable_header();
  header->add_columns()->set_name("a");
  header->set_repeatable(true);
  header->mutable_snapshot()->set_store_id("store");
  header->mutable_snapshot()->set_generation(1700000010);
  header->mutable_snapshot()->set_revision(3);
}

std::string Result(std::string_view cell) {
  return R"({"response_op":"result_table","identity":"server1","table":{"column_names":["a"],)"
         R"("rows":[[")" +
         std::string(cell) + R"("]]},"max_widths":{"0":)" + std::to_string(cell.size()) + "}}";
}

constexpr char kTable[] =
    R"({"op":"add_table_data","identity":"host1","persist":1,"table":{"tablename":"t",)"
    R"("column_names":["a","b"],"column_types":["int","text"],"rows":[[1,"x"],[2,null]]}})";

class HttpPartTest : public ::testing::Test {
 protected:
  HttpPartTest() {
    options_.port = 0;
    options_.https_port = 0;
    options_.identity = "server1";
    options_.threads = 2;
    // Answers `select 'x';` with the x, and what the tests set besides.
    fake_.query = [this](grpc::ServerContext* context, const v1::QueryRequest* request,
                         grpc::ServerWriter<v1::QueryResponse>* writer) {
      {
        absl::MutexLock lock(&mutex_);
        asked_.push_back(*request);
      }
      if (query_) return query_(context, request, writer);
      const size_t begin = request->sql().find('\'');
      if (begin == std::string::npos) {
        return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such table: t");
      }
      const size_t end = request->sql().find('\'', begin + 1);
      v1::QueryResponse part = Rows({request->sql().substr(begin + 1, end - begin - 1)});
      AddHeader(part);
      part.mutable_summary()->set_rows(1);
      writer->Write(part);
      return grpc::Status::OK;
    };
    fake_.publish_stream = [this](grpc::ServerContext*, auto* stream) {
      v1::PublishStreamRequest request;
      while (stream->Read(&request)) {
        v1::PublishStreamResponse response;
        for (const v1::PublishRequest& publish : request.publishes()) {
          v1::PublishResult* result = response.add_results();
          result->set_generation(1700000040);
          if (publish.table().name() == "bad") {
            result->set_code(static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
            result->set_message("table 'bad' is bad");
          }
          absl::MutexLock lock(&mutex_);
          published_.push_back(publish);
        }
        if (!stream->Write(response)) break;
      }
      return grpc::Status::OK;
    };
    fake_.SetServing("qasino.v1.Query", true);
    fake_.SetServing("qasino.v1.Ingest", true);
  }

  void Start() {
    if (fake_.port() == 0) fake_.Start();
    options_.upstream.ingest = fake_.options();
    options_.upstream.query = fake_.options();
    auto part = HttpPart::Create(options_, registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
    for (const auto& door : part_->doors()) (door.name == "http" ? port_ : tls_port_) = door.port;
  }

  Reply Ask(const std::string& text) { return TestClient(port_).Ask(text); }

  // Waits until a metric has this line.
  void WaitForMetric(const std::string& line) {
    while (true) {
      const std::string text = prometheus::TextSerializer().Serialize(registry_.Collect());
      if (text.find("\n" + line + "\n") != std::string::npos) return;
      absl::SleepFor(absl::Milliseconds(5));
    }
  }

  std::vector<v1::QueryRequest> asked() {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }
  std::vector<v1::PublishRequest> published() {
    absl::MutexLock lock(&mutex_);
    return published_;
  }

  HttpOptions options_;
  prometheus::Registry registry_;
  client::FakeServer fake_;
  client::FakeServer::QueryCall query_;
  std::unique_ptr<HttpPart> part_;
  int port_ = 0;
  int tls_port_ = 0;

  absl::Mutex mutex_;
  std::vector<v1::QueryRequest> asked_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::PublishRequest> published_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(HttpPartTest, AnswersAQuery) {
  Start();
  const Reply reply = Ask(Get("op=query&sql=select%20%27x%27"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, Result("x"));
  EXPECT_THAT(reply.headers.at("content-type"), StartsWith("application/json"));
  EXPECT_EQ(reply.headers.at("qasino-generation"), "1700000010");
  EXPECT_EQ(reply.headers.at("qasino-revision"), "3");
  EXPECT_THAT(reply.headers.at("etag"), StartsWith("W/\"1700000010-3-"));
  EXPECT_THAT(reply.headers.at("date"), EndsWith(" GMT"));
  EXPECT_THAT(reply.headers, Not(testing::Contains(testing::Key("connection"))));
  EXPECT_EQ(asked()[0].sql(), "select 'x';");
}

TEST_F(HttpPartTest, AConnectionIsKeptAndItsRequestsAreAnsweredInOrder) {
  Start();
  TestClient client(port_);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'1'")).body, Result("1"));
  EXPECT_EQ(client.Ask("\r\n" + Get("op=query&sql=select+'2'")).body, Result("2"));
  std::string pipelined;
  for (int i = 0; i < 200; ++i) {
    const std::string number = std::to_string(i);
    pipelined += i % 2 == 0 ? Get("op=query&sql=select+'" + number + "'")
                            : Post("op=query", "{\"sql\":\"select '" + number + "'\"}");
  }
  client.Send(pipelined);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(client.Read().body, Result(std::to_string(i)));
  const Reply last = client.Ask(Get("op=query&sql=select+'3'", "Connection: close\r\n"));
  EXPECT_EQ(last.headers.at("connection"), "close");
  EXPECT_TRUE(client.AtEnd());

  TestClient old(port_);
  const Reply kept =
      old.Ask("GET /request?op=query&sql=select+'1' HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.headers.at("connection"), "keep-alive");
  EXPECT_EQ(kept.body, Result("1"));
  EXPECT_EQ(old.Ask("GET /request?op=query&sql=select+'2' HTTP/1.0\r\n\r\n").body, Result("2"));
  EXPECT_TRUE(old.AtEnd());
}

TEST_F(HttpPartTest, FormatsAreChosen) {
  Start();
  TestClient client(port_);
  Reply reply = client.Ask(Get("op=query&sql=select+'x'&format=text"));
  EXPECT_EQ(reply.body, "a\n=\nx\n1 rows returned\n");
  reply = client.Ask(Get("op=query&sql=select+'x'", "Accept: text/csv\r\n"));
  EXPECT_EQ(reply.body, "a\r\nx\r\n");
  EXPECT_THAT(reply.headers.at("content-type"), StartsWith("text/csv"));
  EXPECT_EQ(reply.headers.at("vary"), "Accept, Accept-Encoding");
  reply = client.Ask(Get("op=query&sql=select+'x'&format=ndjson"));
  EXPECT_EQ(reply.body, "{\"a\":\"x\"}\n");
  EXPECT_THAT(client.Ask(Get("op=query&sql=select+'x'&format=html")).body, HasSubstr("<table"));
  EXPECT_THAT(client.Ask(Get("op=query&sql=select+'x'&format=xml")).body,
              StartsWith("{\"response_op\":\"error\""));
}

TEST_F(HttpPartTest, WhatIsWrongIsToldInTheOriginalsWords) {
  Start();
  TestClient client(port_);
  const std::pair<std::string, std::string> cases[] = {
      {Get(""), "No op specified"},
      {Get("op="), "No op specified"},
      {Get("op=nonsense"), "Unrecognized operation"},
      {Get("op=add_table_data"), "Unrecognized operation"},
      {Get("op=get_table_list"), "Unrecognized operation"},
      {Get("op=name_value_update&name=t.a"), "Unrecognized operation"},
      {Get("op=name_value_update&name=t&value=1"), "Invalid name in namve value update"},
      {Get("op=query"), "Must specify 'sql' param"},
      {Get("op=query&sql=select+'x"), "Incomplete sql statement"},
      {Get("op=query&sql=select+1"), "SQLError: no such table: t"},
      {Post("op=nonsense", "{}"), "Unrecognized operation"},
      {Post("op=name_value_update&name=t.a&value=1", "{}"), "Unrecognized operation"},
      {Post("", "{}"), "No op specified"},
      {Post("op=query", "{}"), "Must specify 'sql' param"},
      {Post("op=query", "{\"sql\":\"select 'x\"}"), "Incomplete sql statement"},
      {Post("op=add_table_data", R"({"table":{}})"), "Invalid input format: 'tablename'"},
  };
  for (const auto& [request, message] : cases) {
    const Reply reply = client.Ask(request);
    EXPECT_EQ(reply.status, 200) << request;
    EXPECT_EQ(reply.body, Error(message)) << request;
    EXPECT_THAT(reply.headers.at("content-type"), StartsWith("application/json"));
  }
  EXPECT_THAT(client.Ask(Post("op=query", "{\"sql\"")).body,
              StartsWith(R"({"response_op":"error","identity":"server1","error_message":)"
                         R"("Could not parse POST body: )"));
  EXPECT_EQ(client.Ask(Get("op=query&sql=quit")).body, R"({"identity":"server1"})");

  const std::pair<std::string, std::string> texts[] = {
      {Get("op=query&format=text"), "Must specify 'sql' param."},
      {Get("op=query&format=text&sql=select+'x"), "Incomplete sql statement"},
      {Get("op=query&format=text&sql=select+1"), "SQL error: no such table: t"},
  };
  for (const auto& [request, message] : texts) {
    const Reply reply = client.Ask(request);
    EXPECT_EQ(reply.body, message) << request;
    EXPECT_THAT(reply.headers.at("content-type"), StartsWith("text/plain"));
  }
}

TEST_F(HttpPartTest, WhatIsWrongWithTheTransportHasItsStatus) {
  Start();
  const std::pair<std::string, int> cases[] = {
      {"GET /nowhere HTTP/1.1\r\n\r\n", 404},
      {"GET / HTTP/1.1\r\n\r\n", 404},
      {"PUT /request HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 405},
      {"BREW /request HTTP/1.1\r\n\r\n", 405},
      {Get("op=query&sql=%00"), 400},
      {"nonsense\r\n\r\n", 400},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 13), 400},
      {"GET /request HTTP/3.0\r\n\r\n", 505},
      {"GET /request HTTP/1.1\r\nno colon\r\n\r\n", 400},
      {"POST /request?op=query HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
      {"POST /request?op=query HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /request?op=query HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {Get("op=query", "X: " + std::string(20000, 'x') + "\r\n"), 431},
      {Get("op=" + std::string(20000, 'x')), 431},
      {Post("op=query", "{}", "Content-Encoding: br\r\n"), 415},
      {Post("op=query", "{}", "Content-Encoding: gzip\r\n"), 400},
      {Post("op=query", "{}", "Expect: tea\r\n"), 417},
  };
  for (const auto& [request, status] : cases) {
    const Reply reply = Ask(request);
    EXPECT_EQ(reply.status, status) << request.substr(0, 100);
    EXPECT_THAT(reply.body, StartsWith(R"({"response_op":"error","identity":"server1",)"))
        << request.substr(0, 100);
    EXPECT_TRUE(reply.whole);
    if (status == 405) {
      EXPECT_EQ(reply.headers.at("allow"), "GET, HEAD, POST, OPTIONS");
    }
  }
  EXPECT_EQ(Ask(Get("op=query&sql=select+'x'")).body, Result("x"));
}

TEST_F(HttpPartTest, HeadAndOptions) {
  Start();
  TestClient client(port_);
  client.Send("HEAD /request?op=query&sql=select+'x' HTTP/1.1\r\n\r\n");
  Reply reply = client.Read(true);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("content-length"), std::to_string(Result("x").size()));
  EXPECT_EQ(reply.headers.at("qasino-generation"), "1700000010");
  reply = client.Ask("OPTIONS /request HTTP/1.1\r\n\r\n");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.headers.at("allow"), "GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(client.Ask("OPTIONS * HTTP/1.1\r\n\r\n").status, 204);
  client.Send("HEAD /request?op=name_value_update&name=t.a&value=1 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.Read(true).status, 200);
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(HttpPartTest, Probes) {
  Start();
  TestClient client(port_);
  EXPECT_EQ(client.Ask("GET /livez HTTP/1.1\r\n\r\n").body, "ok\n");
  while (!part_->Ready().ok()) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(client.Ask("GET /readyz HTTP/1.1\r\n\r\n").status, 200);
  EXPECT_EQ(client.Ask(Post("", "").replace(5, 9, "/livez?xx")).status, 405);
  fake_.SetServing("qasino.v1.Query", false);
  while (part_->Ready().ok()) absl::SleepFor(absl::Milliseconds(5));
  const Reply reply = client.Ask("GET /readyz HTTP/1.1\r\n\r\n");
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, HasSubstr("query"));
}

TEST_F(HttpPartTest, TablesArePublished) {
  Start();
  TestClient client(port_);
  const std::string table = kTable;
  EXPECT_EQ(client.Ask(Post("op=add_table_data", table)).body, kOk);
  std::vector<std::string> pieces;
  for (const char c : table) pieces.emplace_back(1, c);
  EXPECT_EQ(client.Ask(Chunked("op=add_table_data", pieces)).body, kOk);
  std::string packed;
  auto gzip = GzipWriter::Create();
  ASSERT_TRUE(gzip.ok());
  (*gzip)->Write(table, &packed);
  (*gzip)->Finish(&packed);
  EXPECT_EQ(client.Ask(Post("op=add_table_data", packed, "Content-Encoding: gzip\r\n")).body, kOk);
  ASSERT_EQ(published().size(), 3u);
  for (const v1::PublishRequest& publish : published()) {
    EXPECT_EQ(publish.identity(), "host1");
    EXPECT_TRUE(publish.persist());
    EXPECT_EQ(publish.table().columns_size(), 2);
    EXPECT_THAT(publish.table().columns(0).integers(), ElementsAre(1, 2));
  }
  EXPECT_EQ(client
                .Ask(Post("op=add_csv_table_data",
                          "1,identity=host2\nrooms\nroom,windows\nstr,int\n,\nkitchen,2\n"))
                .body,
            kOk);
  EXPECT_EQ(client.Ask(Get("op=name_value_update&name=t.a&value=5")).body, kOk);
  ASSERT_EQ(published().size(), 5u);
  EXPECT_EQ(published()[3].identity(), "host2");
  EXPECT_EQ(published()[4].identity(), "unknown");
  std::string bad = table;
  bad.replace(bad.find("\"t\""), 3, "\"bad\"");
  EXPECT_EQ(client.Ask(Post("op=add_table_data", bad)).body,
            Error("Invalid input format: table 'bad' is bad"));
  WaitForMetric("qasino_http_requests_total{code=\"200\",op=\"add_table_data\"} 4");
}

TEST_F(HttpPartTest, TheTableListIsTwoObjects) {
  query_ = [](grpc::ServerContext*, const v1::QueryRequest* request,
              grpc::ServerWriter<v1::QueryResponse>* writer) {
    EXPECT_THAT(request->sql(), HasSubstr("qasino_server_tables"));
    v1::QueryResponse part;
    for (const char* name : {"tablename", "nr_updates", "nr_rows", "last_update_epoch"}) {
      part.mutable_header()->add_columns()->set_name(name);
      part.mutable_batch()->add_columns()->set_type(v1::INTEGER);
    }
    part.mutable_batch()->set_rows(1);
    part.mutable_batch()->mutable_columns(0)->set_type(v1::TEXT);
    part.mutable_batch()->mutable_columns(0)->add_texts("t");
    part.mutable_batch()->mutable_columns(1)->add_integers(2);
    part.mutable_batch()->mutable_columns(2)->add_integers(3);
    part.mutable_batch()->mutable_columns(3)->set_type(v1::REAL);
    part.mutable_batch()->mutable_columns(3)->add_reals(1.5);
    part.mutable_summary()->set_rows(1);
    writer->Write(part);
    return grpc::Status::OK;
  };
  Start();
  EXPECT_EQ(Ask(Post("op=get_table_list", "{}")).body,
            R"({"response_op":"tables_list","identity":"server1"})"
            R"({"t":{"updates":2,"nr_rows":3,"last_update_epoch":1.5}})");
}

TEST_F(HttpPartTest, PostedStatementsMayAskTheRunningGeneration) {
  Start();
  EXPECT_EQ(Ask(Post("op=query", R"({"sql":"select 'x'","use_write_db":true})")).body, Result("x"));
  EXPECT_TRUE(asked()[0].running());
}

TEST_F(HttpPartTest, BodiesHaveALimit) {
  options_.max_body_bytes = 1 << 20;
  Start();
  {
    TestClient client(port_);
    client.Send("POST /request?op=add_table_data HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n");
    const Reply reply = client.Read();
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.headers.at("connection"), "close");
    EXPECT_THAT(reply.body, HasSubstr("1048576 bytes"));
  }
  {
    TestClient client(port_);
    client.Send(
        Chunked("op=add_csv_table_data", std::vector<std::string>(17, std::string(65536, 'x'))));
    EXPECT_EQ(client.Read().status, 413);
    EXPECT_TRUE(client.AtEnd());
  }
  {
    // A megabyte in a kilobyte.
    std::string packed;
    auto gzip = GzipWriter::Create();
    ASSERT_TRUE(gzip.ok());
    for (int i = 0; i < 32; ++i) (*gzip)->Write(std::string(65536, ' '), &packed);
    (*gzip)->Finish(&packed);
    const Reply reply = Ask(Post("op=add_table_data", packed, "Content-Encoding: gzip\r\n"));
    EXPECT_EQ(reply.status, 413);
  }
}

TEST_F(HttpPartTest, BodiesTogetherHaveALimit) {
  options_.max_body_bytes = 1 << 20;
  options_.max_bodies_bytes = 1 << 20;
  Start();
  const std::string head =
      "POST /request?op=add_csv_table_data HTTP/1.1\r\nContent-Length: 900000\r\n\r\n";
  TestClient first(port_);
  first.Send(head + std::string(800'000, 'x'));
  WaitForMetric("qasino_http_received_bytes_total " + std::to_string(head.size() + 800'000));
  TestClient second(port_);
  second.Send(head + std::string(800'000, 'x'));
  EXPECT_EQ(second.Read().status, 503);
  // Room is given back.
  first.Send(std::string(100'000, 'x'));
  EXPECT_EQ(first.Read().status, 200);
  TestClient third(port_);
  third.Send(head + std::string(900'000, 'x'));
  EXPECT_EQ(third.Read().status, 200);
}

TEST_F(HttpPartTest, BodiesThatArePassedOverTakeNoRoom) {
  options_.max_bodies_bytes = options_.max_body_bytes = 100'000;
  Start();
  const std::string body(60'000, 'x');
  TestClient first(port_), second(port_), third(port_);
  for (TestClient* client : {&first, &second, &third}) {
    EXPECT_EQ(client->Ask(Post("op=nosuch", body)).body, Error("Unrecognized operation"));
  }
  EXPECT_EQ(third.Ask(Post("op=add_csv_table_data", body)).status, 200);
}

TEST_F(HttpPartTest, AClientThatNeverEndsSendingIsCutOff) {
  options_.max_body_bytes = 1 << 20;
  Start();
  TestClient client(port_);
  client.Send("POST /request?op=add_table_data HTTP/1.1\r\nContent-Length: 1000000000000\r\n\r\n");
  EXPECT_EQ(client.Read().status, 413);
  const std::string piece(1 << 20, 'x');
  while (client.Send(piece)) continue;
}

TEST_F(HttpPartTest, UnknownTransferCodingsAreRefused) {
  Start();
  const std::string post = "POST /request?op=query HTTP/1.1\r\n";
  const std::string inner = Get("op=query&sql=select+'smuggled'");
  const std::string length = "Content-Length: " + std::to_string(inner.size()) + "\r\n";
  for (const std::string& head :
       {post + "Transfer-Encoding: gzip\r\n", post + "Transfer-Encoding: xchunked\r\n" + length,
        post + "Transfer-Encoding: chunked, identity\r\n" + length,
        post + "Transfer-Encoding:\r\n" + length, post + "Transfer-Encoding: chunked\r\n" + length,
        post + length + "Transfer-Encoding: chunked\r\n",
        std::string("POST /request?op=query HTTP/1.0\r\nConnection: keep-alive\r\n"
                    "Transfer-Encoding: chunked\r\n")}) {
    TestClient client(port_);
    client.Send(head + "\r\n" + inner);
    EXPECT_EQ(client.Read().status, 400) << head;
    client.EndSending();
    EXPECT_TRUE(client.AtEnd()) << head;
  }
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(HttpPartTest, ABodyIsAskedForBeforeItIsSent) {
  options_.max_body_bytes = 1 << 20;
  Start();
  const std::string table = kTable;
  TestClient client(port_);
  client.Send(
      "POST /request?op=add_table_data HTTP/1.1\r\nExpect: 100-continue\r\n"
      "Content-Length: " +
      std::to_string(table.size()) + "\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  EXPECT_EQ(client.Ask(table).body, kOk);
  // Refused early.
  client.Send(
      "POST /request?op=add_table_data HTTP/1.1\r\nExpect: 100-continue\r\n"
      "Content-Length: 2000000\r\n\r\n");
  EXPECT_EQ(client.Read().status, 413);
  client.EndSending();
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(HttpPartTest, ARefusedRequestsShortBodyIsPassedOver) {
  Start();
  TestClient client(port_);
  client.Send("PUT /request HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
  client.Send("12345" + Get("op=query&sql=select+'x'"));
  EXPECT_EQ(client.Read().status, 405);
  EXPECT_EQ(client.Read().body, Result("x"));
}

TEST_F(HttpPartTest, AHalfClosedConnectionIsAnswered) {
  Start();
  TestClient client(port_);
  client.Send(Get("op=query&sql=select+'1'") + Get("op=query&sql=select+'2'"));
  client.EndSending();
  EXPECT_EQ(client.Read().body, Result("1"));
  EXPECT_EQ(client.Read().body, Result("2"));
  EXPECT_TRUE(client.AtEnd());
  TestClient broken(port_);
  broken.Send("POST /request?op=query HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  broken.EndSending();
  EXPECT_TRUE(broken.AtEnd());
}

TEST_F(HttpPartTest, SlowSendersAreToldSo) {
  options_.receive_timeout = absl::Milliseconds(50);
  Start();
  TestClient head(port_);
  head.Send("GET /request?op=query HTTP/1.1\r\nHost:");
  EXPECT_EQ(head.Read().status, 408);
  head.EndSending();
  EXPECT_TRUE(head.AtEnd());
  TestClient body(port_);
  body.Send("POST /request?op=query HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(body.Read().status, 408);
}

TEST_F(HttpPartTest, IdleConnectionsAreClosed) {
  options_.idle_timeout = absl::Milliseconds(50);
  Start();
  TestClient client(port_);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'1'")).body, Result("1"));
  EXPECT_TRUE(client.AtEnd());
  EXPECT_TRUE(TestClient(port_).AtEnd());
  WaitForMetric("qasino_http_connections 0");
}

// A first part, then a wait for `go`, then more of them and the end.
client::FakeServer::QueryCall InParts(int parts, grpc::Status end) {
  return [parts, end](grpc::ServerContext*, const v1::QueryRequest*,
                      grpc::ServerWriter<v1::QueryResponse>* writer) {
    for (int i = 0; i < parts; ++i) {
      v1::QueryResponse part = Rows(std::vector<std::string>(1000, "12345678"));
      if (i == 0) AddHeader(part);
      if (i == parts - 1 && end.ok()) part.mutable_summary()->set_rows(parts * 1000);
      if (!writer->Write(part)) return grpc::Status::CANCELLED;
    }
    return end;
  };
}

TEST_F(HttpPartTest, LongResultsComeInChunks) {
  query_ = InParts(50, grpc::Status::OK);
  Start();
  TestClient client(port_);
  Reply reply = client.Ask(Get("op=query&sql=select+'1'"));
  EXPECT_EQ(reply.headers.at("transfer-encoding"), "chunked");
  EXPECT_TRUE(reply.whole);
  EXPECT_THAT(reply.body, EndsWith("\"max_widths\":{\"0\":8}}"));
  EXPECT_GT(reply.body.size(), 50u * 1000 * 12);
  const std::string plain = reply.body;

  reply = client.Ask(Get("op=query&sql=select+'1'", "Accept-Encoding: gzip\r\n"));
  EXPECT_EQ(reply.headers.at("content-encoding"), "gzip");
  EXPECT_TRUE(reply.whole);
  EXPECT_LT(reply.body.size(), plain.size() / 10);
  auto reader = GzipReader::Create(1 << 30);
  ASSERT_TRUE(reader.ok());
  std::string unpacked;
  const auto take = [&](std::string_view text) {
    unpacked += text;
    return true;
  };
  EXPECT_TRUE((*reader)->Write(reply.body, take).ok());
  EXPECT_TRUE((*reader)->Finish().ok());
  EXPECT_EQ(unpacked, plain);

  client.Send("HEAD /request?op=query&sql=select+'x' HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.Read(true).status, 200);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'1'")).body, plain);

  TestClient old(port_);
  reply = old.Ask("GET /request?op=query&sql=select+'1' HTTP/1.0\r\n\r\n");
  EXPECT_EQ(reply.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(reply.body, plain);
}

TEST_F(HttpPartTest, AFailureAfterTheFirstByteShows) {
  query_ = InParts(3, grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "too long"));
  Start();
  {
    TestClient client(port_);
    const Reply reply = client.Ask(Get("op=query&sql=select+'1'"));
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.whole);
    EXPECT_THAT(reply.body, Not(EndsWith("}")));
    EXPECT_TRUE(client.AtEnd());
  }
  {
    TestClient client(port_);
    const Reply reply = client.Ask(Get("op=query&sql=select+'1'&format=ndjson"));
    EXPECT_FALSE(reply.whole);
    EXPECT_THAT(reply.body, HasSubstr("\n{\"error\":"));
    EXPECT_TRUE(client.AtEnd());
  }
  {
    TestClient client(port_);
    const Reply reply = client.Ask(Get("op=query&sql=select+'1'&format=csv"));
    EXPECT_FALSE(reply.whole);
    EXPECT_THAT(reply.body, HasSubstr("\r\n#error,"));
  }
  // Before the first byte it is an error like others.
  query_ = [](grpc::ServerContext*, const v1::QueryRequest*, auto*) {
    return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "too long");
  };
  const Reply reply = Ask(Get("op=query&sql=select+'1'"));
  EXPECT_EQ(reply.status, 504);
  EXPECT_THAT(reply.body, StartsWith("{\"response_op\":\"error\""));
}

TEST_F(HttpPartTest, AnAnswerThatIsKnownIsNotSentAgain) {
  std::atomic<bool> same_store = true;
  std::atomic<uint64_t> views = 0;
  query_ = [&](grpc::ServerContext*, const v1::QueryRequest* request,
               grpc::ServerWriter<v1::QueryResponse>* writer) {
    v1::QueryResponse part;
    AddHeader(part);
    if (!same_store) part.mutable_header()->mutable_snapshot()->set_store_id("another");
    part.mutable_header()->mutable_snapshot()->set_views(views);
    if (request->has_unless_snapshot()) {
      EXPECT_EQ(request->unless_snapshot().generation(), 1700000010);
      EXPECT_EQ(request->unless_snapshot().revision(), 3);
      part.mutable_header()->clear_columns();
      part.mutable_summary()->set_unchanged(true);
    } else {
      *part.mutable_batch() = Rows({"x"}).batch();
      part.mutable_summary()->set_rows(1);
    }
    writer->Write(part);
    return grpc::Status::OK;
  };
  Start();
  TestClient client(port_);
  const std::string etag = client.Ask(Get("op=query&sql=select+1")).headers.at("etag");
  const std::string known = "If-None-Match: \"other\", " + etag + "\r\n";
  Reply reply = client.Ask(Get("op=query&sql=select+1", known));
  EXPECT_EQ(reply.status, 304);
  EXPECT_EQ(reply.headers.at("etag"), etag);
  EXPECT_EQ(reply.headers.at("qasino-generation"), "1700000010");
  // Another statement, another format: not what is known.
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+2", known)).status, 200);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+1&format=csv", known)).status, 200);
  views = 5;
  reply = client.Ask(Get("op=query&sql=select+1", known));
  EXPECT_EQ(reply.status, 200);
  const std::string with_views = "If-None-Match: " + reply.headers.at("etag") + "\r\n";
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+1", with_views)).status, 304);
  views = 0;
  same_store = false;
  reply = client.Ask(Get("op=query&sql=select+1", known));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, Result("x"));
}

TEST_F(HttpPartTest, AClientThatGoesStopsItsQuery) {
  absl::Notification stopped;
  query_ = [&](grpc::ServerContext* context, const v1::QueryRequest*, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    stopped.Notify();
    return grpc::Status::CANCELLED;
  };
  Start();
  TestClient client(port_);
  client.Send(Get("op=query&sql=select+1"));
  while (asked().empty()) absl::SleepFor(absl::Milliseconds(1));
  client.Reset();
  stopped.WaitForNotification();
  WaitForMetric("qasino_http_connections 0");
}

TEST_F(HttpPartTest, AClientThatHasEndedSendingIsNotWaitedForLong) {
  options_.half_closed_timeout = absl::Milliseconds(50);
  absl::Notification stopped;
  query_ = [&](grpc::ServerContext* context, const v1::QueryRequest*, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    stopped.Notify();
    return grpc::Status::CANCELLED;
  };
  Start();
  TestClient client(port_);
  client.Send(Get("op=query&sql=select+1"));
  client.EndSending();
  stopped.WaitForNotification();
  EXPECT_EQ(client.Read().status, 503);
}

TEST_F(HttpPartTest, AClientThatDoesNotReadStopsItsQuery) {
  options_.write_timeout = absl::Milliseconds(200);
  absl::Notification stopped;
  query_ = [&](grpc::ServerContext* context, const v1::QueryRequest* request,
               grpc::ServerWriter<v1::QueryResponse>* writer) {
    InParts(100'000, grpc::Status::OK)(context, request, writer);
    stopped.Notify();
    return grpc::Status::CANCELLED;
  };
  Start();
  TestClient client(port_);
  client.Send(Get("op=query&sql=select+1"));
  stopped.WaitForNotification();
  WaitForMetric("qasino_http_connections 0");
}

TEST_F(HttpPartTest, WhenTheServicesAreAwayItSaysSoAndComesBack) {
  Start();
  TestClient client(port_);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'x'")).status, 200);
  EXPECT_EQ(client.Ask(Post("op=add_table_data", kTable)).status, 200);
  fake_.Stop();
  Reply reply = client.Ask(Get("op=query&sql=select+'x'"));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  EXPECT_THAT(reply.body, StartsWith("{\"response_op\":\"error\""));
  EXPECT_EQ(client.Ask(Post("op=add_table_data", kTable)).status, 503);
  fake_.Start();
  while (client.Ask(Get("op=query&sql=select+'x'")).status != 200) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  while (client.Ask(Post("op=add_table_data", kTable)).status != 200) {
    absl::SleepFor(absl::Milliseconds(10));
  }
}

TEST_F(HttpPartTest, ConnectionsTooManyAreRefused) {
  options_.max_connections = 2;
  Start();
  TestClient one(port_);
  TestClient two(port_);
  EXPECT_EQ(one.Ask(Get("op=query&sql=select+'1'")).status, 200);
  EXPECT_EQ(two.Ask(Get("op=query&sql=select+'1'")).status, 200);
  {
    TestClient three(port_);
    EXPECT_EQ(three.Read().status, 503);
    EXPECT_TRUE(three.AtEnd());
  }
  WaitForMetric("qasino_http_refused_connections_total 1");
  one.Reset();
  WaitForMetric("qasino_http_connections 1");
  EXPECT_EQ(Ask(Get("op=query&sql=select+'1'")).status, 200);
}

TEST_F(HttpPartTest, UsersAreAskedForOverTls) {
  const server::TestCertificates certificates =
      server::MakeTestCertificates(::testing::TempDir() + "/http");
  options_.tls_cert = certificates.cert;
  options_.tls_key = certificates.key;
  options_.htpasswd_file = ::testing::TempDir() + "/htpasswd";
  // Of "secret", by `htpasswd -nbs`.
  std::ofstream(options_.htpasswd_file) << "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";
  Start();
  TestClient client(tls_port_, certificates.authority);
  ASSERT_TRUE(client.connected());
  Reply reply = client.Ask(Get("op=query&sql=select+'x'"));
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.headers.at("www-authenticate"), "Basic realm=\"qasino\", charset=\"UTF-8\"");
  EXPECT_THAT(reply.body, StartsWith("{\"response_op\":\"error\""));
  const auto as = [](const std::string& user) {
    return "Authorization: Basic " + absl::Base64Escape(user) + "\r\n";
  };
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'x'", as("ann:wrong"))).status, 401);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'x'", as("bob:secret"))).status, 401);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'x'", "Authorization: Basic !\r\n")).status, 401);
  EXPECT_EQ(client.Ask(Get("op=query&sql=select+'x'", as("ann:secret"))).body, Result("x"));
  EXPECT_EQ(client.Ask(Post("op=add_table_data", kTable, as("ann:secret"))).body, kOk);
  EXPECT_EQ(client.Ask("GET /livez HTTP/1.1\r\n\r\n").status, 200);
  client.Send(Get("op=query&sql=select+'1'", as("ann:secret")) +
              Get("op=query&sql=select+'2'", as("ann:secret") + "Connection: close\r\n"));
  EXPECT_EQ(client.Read().body, Result("1"));
  EXPECT_EQ(client.Read().body, Result("2"));
  EXPECT_TRUE(client.AtEnd());
  // The plain door asks nobody.
  EXPECT_EQ(Ask(Get("op=query&sql=select+'x'")).body, Result("x"));
  // No TLS at all, and then nothing.
  TestClient plain(tls_port_);
  plain.Send(Get("op=query&sql=select+'x'"));
  EXPECT_EQ(plain.Read().status, 0);
}

TEST_F(HttpPartTest, UsersAreAskedForWhereTheyAreRequired) {
  options_.htpasswd_file = ::testing::TempDir() + "/htpasswd";
  std::ofstream(options_.htpasswd_file) << "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n";
  options_.require_auth = true;
  Start();
  EXPECT_EQ(Ask(Get("op=query&sql=select+'x'")).status, 401);
  const std::string ann = "Authorization: Basic " + absl::Base64Escape("ann:secret") + "\r\n";
  EXPECT_EQ(Ask(Get("op=query&sql=select+'x'", ann)).body, Result("x"));
}

TEST_F(HttpPartTest, ThePartEndsWhilePasswordsAreChecked) {
  options_.htpasswd_file = ::testing::TempDir() + "/slow_htpasswd";
  // Some tenths of a second; what comes of it is nobody's password.
  std::ofstream(options_.htpasswd_file) << "ann:$6$rounds=1000000$salt$x\n";
  options_.require_auth = true;
  Start();
  std::vector<std::unique_ptr<TestClient>> clients;
  size_t bytes = 0;
  for (int i = 0; i < 3; ++i) {
    const std::string user = "ann:wrong" + std::to_string(i);
    const std::string text =
        Get("op=query&sql=select+'x'", "Authorization: Basic " + absl::Base64Escape(user) + "\r\n");
    clients.push_back(std::make_unique<TestClient>(port_));
    clients.back()->Send(text);
    bytes += text.size();
  }
  WaitForMetric("qasino_http_received_bytes_total " + std::to_string(bytes));
  part_ = nullptr;
  for (const auto& client : clients) EXPECT_TRUE(client->AtEnd());
}

TEST_F(HttpPartTest, LongTlsResults) {
  const server::TestCertificates certificates =
      server::MakeTestCertificates(::testing::TempDir() + "/http");
  options_.tls_cert = certificates.cert;
  options_.tls_key = certificates.key;
  query_ = InParts(50, grpc::Status::OK);
  Start();
  TestClient client(tls_port_, certificates.authority);
  const Reply reply = client.Ask(Get("op=query&sql=select+'1'"));
  EXPECT_TRUE(reply.whole);
  EXPECT_THAT(reply.body, EndsWith("\"max_widths\":{\"0\":8}}"));
  TestClient old(tls_port_, certificates.authority);
  EXPECT_EQ(old.Ask("GET /request?op=query&sql=select+'1' HTTP/1.0\r\n\r\n").body, reply.body);
}

TEST_F(HttpPartTest, ACertificateThatChangesIsReadAgain) {
  const std::string prefix = ::testing::TempDir() + "/changing";
  const server::TestCertificates old = server::MakeTestCertificates(prefix);
  const server::TestCertificates renewed = server::MakeTestCertificates(prefix + "2");
  options_.tls_cert = old.cert;
  options_.tls_key = old.key;
  Start();
  EXPECT_TRUE(TestClient(tls_port_, old.authority).connected());
  EXPECT_FALSE(TestClient(tls_port_, renewed.authority).connected());
  std::rename(renewed.cert.c_str(), old.cert.c_str());
  std::rename(renewed.key.c_str(), old.key.c_str());
  while (!TestClient(tls_port_, renewed.authority).connected()) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  // A file that is no good changes nothing.
  std::ofstream(old.cert) << "no certificate";
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_TRUE(TestClient(tls_port_, renewed.authority).connected());
}

TEST_F(HttpPartTest, DrainLetsWhatRunsFinish) {
  absl::Notification go;
  query_ = [&](grpc::ServerContext*, const v1::QueryRequest*,
               grpc::ServerWriter<v1::QueryResponse>* writer) {
    go.WaitForNotification();
    v1::QueryResponse part = Rows({"x"});
    AddHeader(part);
    part.mutable_summary()->set_rows(1);
    writer->Write(part);
    return grpc::Status::OK;
  };
  Start();
  TestClient idle(port_);
  EXPECT_EQ(idle.Ask("GET /livez HTTP/1.1\r\n\r\n").status, 200);
  TestClient busy(port_);
  busy.Send(Get("op=query&sql=select+1"));
  while (asked().empty()) absl::SleepFor(absl::Milliseconds(1));
  std::thread drain([&] { part_->Drain(absl::Now() + absl::Minutes(5)); });
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_FALSE(TestClient(port_).connected());
  go.Notify();
  const Reply reply = busy.Read();
  EXPECT_EQ(reply.body, Result("x"));
  // It is told so where its thread has heard of the end by then.
  if (const auto told = reply.headers.find("connection"); told != reply.headers.end()) {
    EXPECT_EQ(told->second, "close");
  }
  EXPECT_TRUE(busy.AtEnd());
  drain.join();
}

TEST_F(HttpPartTest, DrainEndsAtItsDeadline) {
  query_ = [&](grpc::ServerContext* context, const v1::QueryRequest*, auto*) {
    while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
    return grpc::Status::CANCELLED;
  };
  Start();
  TestClient busy(port_);
  busy.Send(Get("op=query&sql=select+1"));
  TestClient sending(port_);
  sending.Send("POST /request?op=query HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
  while (asked().empty()) absl::SleepFor(absl::Milliseconds(1));
  part_->Drain(absl::Now() + absl::Milliseconds(50));
  EXPECT_EQ(busy.Read().status, 503);
  EXPECT_TRUE(sending.AtEnd());
}

TEST_F(HttpPartTest, WrongOptionsAreRefused) {
  const auto refusal = [&](const std::function<void(HttpOptions&)>& change) {
    HttpOptions options = options_;
    change(options);
    prometheus::Registry registry;
    return std::string(HttpPart::Create(options, registry).status().message());
  };
  EXPECT_THAT(refusal([](HttpOptions& o) { o.tls_cert = "c"; }), HasSubstr("certificate"));
  EXPECT_THAT(refusal([](HttpOptions& o) { o.tls_cert = o.tls_key = "/nowhere"; }),
              HasSubstr("'/nowhere'"));
  EXPECT_THAT(refusal([](HttpOptions& o) { o.require_auth = true; }), HasSubstr("htpasswd"));
  EXPECT_THAT(refusal([](HttpOptions& o) { o.htpasswd_file = "/nowhere"; }), HasSubstr("/nowhere"));
  EXPECT_THAT(refusal([](HttpOptions& o) { o.listen = "everywhere"; }), HasSubstr("everywhere"));
  EXPECT_THAT(refusal([](HttpOptions& o) { o.threads = 65; }), HasSubstr("threads"));
  Start();
  EXPECT_THAT(refusal([&](HttpOptions& o) { o.port = port_; }), HasSubstr("in use"));
}

}  // namespace
}  // namespace qasino::http
