#include "adapters/line/line_part.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "clients/cpp/fake_server.h"

namespace qasino::line {
namespace {

using namespace std::string_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

using Writer = grpc::ServerWriter<v1::QueryResponse>;

// How a terminal is told of the one integer that `select n;` answers.
std::string AnswerOf(std::string_view number) {
  const std::string n(number);
  return std::string(n.size() - 1, ' ') + "n\r\n" + std::string(n.size(), '=') + "\r\n" + n +
         "\r\n1 rows returned\r\n";
}

class Client {
 public:
  explicit Client(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    // Only so that a test that fails ends.
    const timeval limit = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Client() { close(socket_); }
  Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  Client& operator=(Client&&) = delete;

  // False when the server does not listen any more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  void EndInput() { shutdown(socket_, SHUT_WR); }

  // The next `size` bytes, or fewer when it ends before.
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    size_t received = 0;
    while (received < size) {
      const ssize_t n = recv(socket_, bytes.data() + received, size - received, 0);
      if (n <= 0) break;
      received += static_cast<size_t>(n);
    }
    bytes.resize(received);
    return bytes;
  }

  std::string ReceiveLine() {
    std::string line;
    while (!line.ends_with('\n')) {
      const std::string byte = Receive(1);
      if (byte.empty()) break;
      line += byte;
    }
    return line;
  }

  // All until the server hangs up; " (open)" behind it if it does not.
  std::string ReceiveAll() {
    std::string all;
    while (true) {
      char buffer[4096];
      const ssize_t n = recv(socket_, buffer, sizeof(buffer), 0);
      if (n == 0) return all;
      if (n < 0) return all + (errno == ECONNRESET ? " (reset)" : " (open)");
      all.append(buffer, static_cast<size_t>(n));
    }
  }

  // Sends a statement and takes its answer, when that is one line or `select n;`'s.
  std::string Ask(const std::string& number) {
    EXPECT_TRUE(Send("select " + number + ";\r\n"));
    return Receive(AnswerOf(number).size());
  }

  // Breaks the connection off.
  void Reset() {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(std::exchange(socket_, -1));
  }

 private:
  int socket_;
};

v1::QueryResponse Header() {
  v1::QueryResponse response;
  response.mutable_header()->add_columns()->set_name("n");
  return response;
}

void AddInteger(int64_t integer, v1::QueryResponse* response) {
  v1::Column* column = response->mutable_batch()->add_columns();
  column->set_type(v1::INTEGER);
  column->add_integers(integer);
  response->mutable_batch()->set_rows(1);
}

void AddTexts(int rows, size_t size, v1::QueryResponse* response) {
  v1::Column* column = response->mutable_batch()->add_columns();
  column->set_type(v1::TEXT);
  for (int i = 0; i < rows; ++i) column->add_texts(std::string(size, 'x'));
  response->mutable_batch()->set_rows(static_cast<uint64_t>(rows));
}

class LinePartTest : public testing::Test {
 protected:
  LinePartTest() {
    server_.query = [this](grpc::ServerContext* context, const v1::QueryRequest* request,
                           Writer* writer) { return Answer(context, request->sql(), writer); };
  }

  ~LinePartTest() override { released_ = true; }

  void Start(LineOptions options = {}) {
    server_.Start();
    options.port = 0;
    options.upstream.query = server_.options();
    auto part = LinePart::Create(options, registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
  }

  int port() const { return part_->doors().at(0).port; }
  Client Connect() const { return Client(port()); }

  grpc::Status Answer(grpc::ServerContext* context, const std::string& sql, Writer* writer) {
    v1::QueryResponse response = Header();
    uint64_t rows = 1;
    if (sql.starts_with("select wait")) {
      ++waiting_;
      while (!released_ && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      if (context->IsCancelled()) ++cancelled_;
      AddInteger(1, &response);
    } else if (sql.starts_with("select endless")) {
      AddTexts(100, 10'000, &response);
      while (!context->IsCancelled() && writer->Write(response)) {
        ++batches_;
        response.clear_header();
      }
      ++cancelled_;
      return grpc::Status::CANCELLED;
    } else if (sql.starts_with("select broken")) {
      AddInteger(7, &response);
      writer->Write(response);
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "over the limit of rows");
    } else if (sql.starts_with("select large")) {
      rows = 1'000;
      for (int i = 0; i < 10; ++i) {
        AddTexts(100, 10'000, &response);
        writer->Write(response);
        response.Clear();
      }
    } else if (int64_t number = 0;
               sql.size() > 8 && absl::SimpleAtoi(sql.substr(7, sql.size() - 8), &number)) {
      AddInteger(number, &response);
    } else {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such thing: " + sql);
    }
    response.mutable_summary()->set_rows(rows);
    writer->Write(response);
    return grpc::Status::OK;
  }

  // Until the condition holds.
  template <typename Condition>
  void Await(Condition condition) {
    while (!condition()) absl::SleepFor(absl::Milliseconds(1));
  }

  std::string Metrics() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  bool HasMetric(const std::string& line) {
    return Metrics().find("\n" + line + "\n") != std::string::npos;
  }

  std::atomic<int> waiting_ = 0;
  std::atomic<int> cancelled_ = 0;
  std::atomic<int> batches_ = 0;
  std::atomic<bool> released_ = false;
  prometheus::Registry registry_;
  client::FakeServer server_;
  std::unique_ptr<LinePart> part_;
};

TEST_F(LinePartTest, AnswersAsText) {
  Start();
  Client client = Connect();
  EXPECT_EQ(client.Ask("1"), "n\r\n=\r\n1\r\n1 rows returned\r\n");
  EXPECT_EQ(client.Ask("12345"), "    n\r\n=====\r\n12345\r\n1 rows returned\r\n");
  ASSERT_TRUE(client.Send("select\r\n2"));
  ASSERT_TRUE(client.Send("\r\n3;\r\nselect 4;\r\n"));
  // An error is one line, whatever it repeats.
  EXPECT_EQ(client.ReceiveLine(), "SQL error: no such thing: select\\n2\\n3;\r\n");
  EXPECT_EQ(client.Receive(AnswerOf("4").size()), AnswerOf("4"));
}

TEST_F(LinePartTest, AnswersInOrderHoweverManyComeAtOnce) {
  Start();
  Client client = Connect();
  std::string statements;
  std::string answers;
  for (int i = 0; i < 1'000; ++i) {
    const std::string number = std::to_string(i * 37 % 1'000);
    statements += "select " + number + ";" + (i % 3 == 0 ? "\r\n" : " ");
    answers += AnswerOf(number);
  }
  std::thread sender([&] { EXPECT_TRUE(client.Send(statements)); });
  EXPECT_EQ(client.Receive(answers.size()), answers);
  sender.join();
}

TEST_F(LinePartTest, WhatWasSentBeforeTheEndOfInputIsAnswered) {
  Start();
  Client client = Connect();
  ASSERT_TRUE(client.Send("select 1; select 2;select 3"));
  client.EndInput();
  EXPECT_EQ(client.ReceiveAll(), AnswerOf("1") + AnswerOf("2"));
}

TEST_F(LinePartTest, SaysByeBeforeItHangsUp) {
  Start();
  for (const std::string& last : {"quit;\r\n"s, "Exit;"s, "logout ;\n"s, "\x03\r\n"s, "\x04\r\n"s,
                                  "select\r\n \x04 \r\n"s, "quit; select 2; \r\n select 3;"s}) {
    Client client = Connect();
    ASSERT_TRUE(client.Send("select 1;\r\n" + last));
    EXPECT_EQ(client.ReceiveAll(), AnswerOf("1") + "Bye!\r\n") << last;
  }
}

TEST_F(LinePartTest, TelnetsCtrlCIsAnsweredSoThatTelnetShowsTheBye) {
  Start();
  Client client = Connect();
  ASSERT_TRUE(client.Send("\xff\xf4\xff\xfd\x06"));
  EXPECT_EQ(client.ReceiveAll(),
            "\xff\xfb\x06"
            "Bye!\r\n");
  Client negotiates = Connect();
  ASSERT_TRUE(negotiates.Send("\xff\xfd\x03\xff\xfb\x18\xff\xfa\x18\x00vt\xff\xf0select 1;\r\n"s));
  EXPECT_EQ(negotiates.Receive(AnswerOf("1").size()), AnswerOf("1"));
}

TEST_F(LinePartTest, AnErrorEndsItsStatementAlone) {
  Start({.max_statement_bytes = 100});
  Client client = Connect();
  ASSERT_TRUE(client.Send("select x;\r\n"));
  EXPECT_EQ(client.ReceiveLine(), "SQL error: no such thing: select x;\r\n");
  EXPECT_EQ(client.Ask("2"), AnswerOf("2"));
  ASSERT_TRUE(client.Send("select '\xe9';\r\n"));
  EXPECT_EQ(client.ReceiveLine(), "SQL error: the statement is not UTF-8\r\n");
  EXPECT_EQ(client.Ask("3"), AnswerOf("3"));
  ASSERT_TRUE(client.Send("select '" + std::string(100, 'a') + "';\r\n"));
  EXPECT_THAT(client.ReceiveLine(),
              MatchesRegex("SQL error: the statement is longer than 100 bytes.*\r\n"));
  EXPECT_EQ(client.Ask("4"), AnswerOf("4"));
  Await([&] { return HasMetric("qasino_line_statements_total{code=\"OK\"} 3"); });
  Await([&] { return HasMetric("qasino_line_statements_total{code=\"INVALID_ARGUMENT\"} 2"); });
  Await([&] { return HasMetric("qasino_line_statements_total{code=\"RESOURCE_EXHAUSTED\"} 1"); });
}

TEST_F(LinePartTest, AnErrorAfterRowsIsToldBehindThem) {
  Start();
  Client client = Connect();
  ASSERT_TRUE(client.Send("select broken; quit;"));
  const std::string answer = client.ReceiveAll();
  EXPECT_THAT(answer, StartsWith("n\r\n=\r\n7\r\n"));
  EXPECT_THAT(answer, HasSubstr("over the limit of rows\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\nBye!\r\n"));
  EXPECT_EQ(answer.find("rows returned"), std::string::npos);
}

TEST_F(LinePartTest, ALargeAnswerArrivesWhole) {
  Start();
  Client client = Connect();
  ASSERT_TRUE(client.Send("select large; quit;"));
  const std::string answer = client.ReceiveAll();
  EXPECT_THAT(answer, StartsWith(std::string(9'999, ' ') + "n\r\n===="));
  EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 2 + 1'000 + 1 + 1);
  EXPECT_EQ(answer.find("\r\r"), std::string::npos);
  EXPECT_THAT(answer, EndsWith("1000 rows returned\r\nBye!\r\n"));
}

TEST_F(LinePartTest, ALineWithoutEndIsAnErrorAndCostsNoMemory) {
  // Held bytes of all clients are bounded; the line would be over that too.
  Start({.max_buffered_bytes = 1 << 20});
  Client client = Connect();
  const std::string piece(1 << 20, 'a');
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.Send(piece));
  EXPECT_THAT(client.ReceiveLine(), StartsWith("SQL error: the statement is longer than 131072"));
  ASSERT_TRUE(client.Send("\r\n"));
  EXPECT_EQ(client.Ask("5"), AnswerOf("5"));
}

TEST_F(LinePartTest, UnfinishedStatementsOfAllTogetherAreBounded) {
  Start({.max_buffered_bytes = 10'000});
  Client client = Connect();
  ASSERT_TRUE(client.Send("select '" + std::string(10'000, 'a')));
  EXPECT_THAT(client.ReceiveAll(), StartsWith("SQL error: too many statements are unfinished"));
  // What it held is free again.
  Await([&] { return HasMetric("qasino_line_connections 0"); });
  Client other = Connect();
  ASSERT_TRUE(other.Send(std::string(4'000, ' ') + "/*" + std::string(4'000, 'a') + "*/"));
  EXPECT_EQ(other.Ask("5"), AnswerOf("5"));
}

TEST_F(LinePartTest, UnreadAnswersOfAllTogetherAreBounded) {
  Start({.max_buffered_bytes = 10'000});
  Client client = Connect();
  ASSERT_TRUE(client.Send("select large;"));
  EXPECT_THAT(client.ReceiveLine(), HasSubstr("too many answers are unread"));
}

TEST_F(LinePartTest, WhileTheServiceIsAwayAnErrorIsTheAnswer) {
  Start();
  server_.Stop();
  Client client = Connect();
  ASSERT_TRUE(client.Send("select 1;\r\nselect 2;\r\n"));
  EXPECT_THAT(client.ReceiveLine(), StartsWith("SQL error: "));
  EXPECT_THAT(client.ReceiveLine(), StartsWith("SQL error: "));
  server_.Start();
  std::string answer;
  do {
    ASSERT_TRUE(client.Send("select 1;\r\n"));
    answer = client.ReceiveLine();
  } while (answer.starts_with("SQL error: "));
  EXPECT_EQ(answer, "n\r\n");
}

TEST_F(LinePartTest, AResetStopsTheStatement) {
  Start();
  Client client = Connect();
  ASSERT_TRUE(client.Send("select wait;\r\n"));
  Await([&] { return waiting_ == 1; });
  client.Reset();
  Await([&] { return cancelled_ == 1; });
  Await([&] { return HasMetric("qasino_line_connections 0"); });
  EXPECT_TRUE(HasMetric("qasino_line_statements_total{code=\"CANCELLED\"} 1"));
}

TEST_F(LinePartTest, AClientThatIsGoneStopsAnAnswerOnItsWay) {
  Start();
  {
    Client client = Connect();
    ASSERT_TRUE(client.Send("select endless;\r\n"));
    client.Receive(10'000'000);
  }
  Await([&] { return cancelled_ == 1; });
  Await([&] { return HasMetric("qasino_line_connections 0"); });
}

TEST_F(LinePartTest, AClientThatDoesNotReadHoldsItsAnswerUpAndIsHungUpOn) {
  Start({.write_timeout = absl::Milliseconds(300)});
  Client client = Connect();
  ASSERT_TRUE(client.Send("select endless;\r\n"));
  Await([&] { return cancelled_ == 1; });
  // A batch is 1 MB. What lies in between are sockets and windows, not the adapter.
  EXPECT_LT(batches_, 100);
  Await([&] { return HasMetric("qasino_line_connections 0"); });
}

TEST_F(LinePartTest, ASilentClientIsHungUpOn) {
  Start({.idle_timeout = absl::Milliseconds(50)});
  Client client = Connect();
  EXPECT_EQ(client.ReceiveAll(), "");
  Client unfinished = Connect();
  ASSERT_TRUE(unfinished.Send("select"));
  EXPECT_EQ(unfinished.ReceiveAll(), "");
}

TEST_F(LinePartTest, TimeThatAStatementTakesIsNotSilence) {
  Start({.idle_timeout = absl::Milliseconds(50)});
  Client waits = Connect();
  ASSERT_TRUE(waits.Send("select wait;\r\nselect 2;\r\n"));
  Await([&] { return waiting_ == 1; });
  // Another, begun later, has been hung up on.
  EXPECT_EQ(Connect().ReceiveAll(), "");
  released_ = true;
  EXPECT_EQ(waits.ReceiveAll(), AnswerOf("1") + AnswerOf("2"));
}

TEST_F(LinePartTest, TooManyClientsAreToldSo) {
  Start({.max_connections = 2});
  Client first = Connect();
  EXPECT_EQ(first.Ask("1"), AnswerOf("1"));
  {
    Client second = Connect();
    EXPECT_EQ(second.Ask("2"), AnswerOf("2"));
    Client third = Connect();
    third.Send("select 3;\r\n");
    EXPECT_EQ(third.ReceiveAll(), "SQL error: too many connections\r\n");
    EXPECT_TRUE(HasMetric("qasino_line_refused_connections_total 1"));
    EXPECT_EQ(first.Ask("1"), AnswerOf("1"));
  }
  Await([&] { return HasMetric("qasino_line_connections 1"); });
  EXPECT_EQ(Connect().Ask("4"), AnswerOf("4"));
}

TEST_F(LinePartTest, ManyIdleClientsAreInNobodysWay) {
  Start();
  std::vector<Client> idle;
  for (int i = 0; i < 500; ++i) idle.push_back(Connect());
  EXPECT_EQ(Connect().Ask("1"), AnswerOf("1"));
  for (Client& client : idle) EXPECT_TRUE(client.Send("select 2;\r\n"));
  for (Client& client : idle) {
    EXPECT_EQ(client.Receive(AnswerOf("2").size()), AnswerOf("2"));
  }
}

TEST_F(LinePartTest, ManyClientsAskAtOnce) {
  Start();
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([this, i] {
      for (int connection = 0; connection < 5; ++connection) {
        Client client = Connect();
        for (int j = 0; j < 20; ++j) {
          const std::string number = std::to_string(100 * i + j);
          ASSERT_EQ(client.Ask(number), AnswerOf(number));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(LinePartTest, WhateverIsSentTheNextClientIsServed) {
  Start({.max_statement_bytes = 200});
  constexpr std::string_view kPieces[] = {"select",   "1",
                                          ";",        "\r\n",
                                          "\n",       "\r",
                                          "'",        "\"",
                                          "/*",       "*/",
                                          "--",       "[",
                                          "\xff",     "\xff\xfa",
                                          "\xff\xf0", "\xff\xfd",
                                          "\xc3",     "\xa9",
                                          "trigger",  "create ",
                                          "begin",    "end",
                                          "\x03",     "\x04",
                                          "\x1b[A",   "aaaaaaaaaaaaaaaaaaaaaaaaa"};
  std::minstd_rand random(7);
  for (int i = 0; i < 300; ++i) {
    std::string input;
    for (size_t pieces = random() % 40; pieces > 0; --pieces) {
      input += kPieces[random() % std::size(kPieces)];
      if (random() % 8 == 0) input += static_cast<char>(random());
    }
    Client client = Connect();
    client.Send(input);
    if (i % 3 == 0) {
      client.Reset();
      continue;
    }
    client.EndInput();
    const std::string output = client.ReceiveAll();
    EXPECT_FALSE(output.ends_with("(open)")) << input;
  }
  EXPECT_EQ(Connect().Ask("1"), AnswerOf("1"));
  Await([&] { return HasMetric("qasino_line_connections 0"); });
}

TEST_F(LinePartTest, DrainingHangsUpOnTheIdleAndFinishesWhatRuns) {
  Start();
  Client idle = Connect();
  EXPECT_EQ(idle.Ask("1"), AnswerOf("1"));
  Client busy = Connect();
  // More than is read at once.
  std::string statements = "select wait;\r\n";
  for (int i = 0; i < 5'000; ++i) statements += "select 2;\r\n";
  ASSERT_TRUE(busy.Send(statements));
  Await([&] { return waiting_ == 1; });
  std::atomic<bool> drained = false;
  std::thread drain([&] {
    part_->Drain(absl::InfiniteFuture());
    drained = true;
  });
  EXPECT_EQ(idle.ReceiveAll(), "");
  EXPECT_FALSE(drained);
  EXPECT_EQ(part_->Ready().code(), absl::StatusCode::kUnavailable);
  released_ = true;
  // What has not begun is not begun any more, and takes nothing of the answer back.
  EXPECT_EQ(busy.ReceiveAll(), AnswerOf("1"));
  drain.join();
  EXPECT_TRUE(HasMetric("qasino_line_connections 0"));
}

TEST_F(LinePartTest, AtTheDeadlineWhatRunsIsStopped) {
  Start({.write_timeout = absl::Hours(1)});
  Client waits = Connect();
  ASSERT_TRUE(waits.Send("select wait;\r\n"));
  Client does_not_read = Connect();
  ASSERT_TRUE(does_not_read.Send("select endless;\r\n"));
  Await([&] { return waiting_ == 1 && batches_ > 0; });
  part_->Drain(absl::Now() + absl::Milliseconds(50));
  EXPECT_TRUE(HasMetric("qasino_line_connections 0"));
  Await([&] { return cancelled_ == 2; });
  part_.reset();
}

TEST_F(LinePartTest, GoesAwayWithClientsConnected) {
  Start();
  Client idle = Connect();
  Client busy = Connect();
  ASSERT_TRUE(busy.Send("select wait;\r\n"));
  Await([&] { return waiting_ == 1; });
  part_.reset();
  EXPECT_EQ(idle.ReceiveAll(), "");
}

TEST_F(LinePartTest, APortThatIsTakenIsNamed) {
  Start();
  LineOptions options;
  options.port = port();
  const auto other = LinePart::Create(options, registry_);
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(other.status().message()),
              HasSubstr("127.0.0.1:" + std::to_string(port())));
}

TEST_F(LinePartTest, WrongOptionsAreRefused) {
  const auto create = [this](const LineOptions& options) {
    return LinePart::Create(options, registry_).status().code();
  };
  EXPECT_EQ(create({.port = -1}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({.listen = "nowhere", .port = 0}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({.port = 0, .idle_timeout = absl::ZeroDuration()}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(create({.port = 0, .max_statement_bytes = 0}), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qasino::line
