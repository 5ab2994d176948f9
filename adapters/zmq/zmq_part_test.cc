#include "adapters/zmq/zmq_part.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "adapters/legacy/errors.h"
#include "adapters/legacy/statement.h"
#include "adapters/zmq/envelope.h"
#include "clients/cpp/fake_server.h"

namespace qasino::zeromq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Parts = std::vector<std::string>;

constexpr char kOne[] =
    R"({"response_op":"result_table","identity":"me","table":{"column_names":["n"],)"
    R"("rows":[["1"]]},"max_widths":{"0":1}})";
constexpr char kSelect[] = R"({"op":"query","sql":"select 1 n"})";
constexpr char kPublish[] =
    R"({"op":"add_table_data","identity":"host1","table":{"tablename":"t","column_names":["a"],)"
    R"("column_types":["int"],"rows":[[1],[2]]}})";

void AddInteger(std::string_view name, int64_t value, v1::QueryResponse* response) {
  v1::ColumnInfo* info = response->mutable_header()->add_columns();
  info->set_name(std::string(name));
  v1::Column* column = response->mutable_batch()->add_columns();
  column->set_type(v1::INTEGER);
  column->add_integers(value);
}

void AddText(std::string_view name, std::string_view value, v1::QueryResponse* response) {
  v1::ColumnInfo* info = response->mutable_header()->add_columns();
  info->set_name(std::string(name));
  v1::Column* column = response->mutable_batch()->add_columns();
  column->set_type(v1::TEXT);
  column->add_texts(std::string(value));
}

void EndAfterOneRow(v1::QueryResponse* response) {
  response->mutable_batch()->set_rows(1);
  response->mutable_summary()->set_rows(1);
}

using QueryWriter = grpc::ServerWriter<v1::QueryResponse>;

// A query service that answers every statement with one row, some in a way of their own.
grpc::Status AnswerQuery(const v1::QueryRequest& request, QueryWriter* writer) {
  v1::QueryResponse response;
  const std::string& sql = request.sql();
  if (sql == legacy::kTableListSql) {
    AddText("tablename", "t", &response);
    AddInteger("nr_updates", 2, &response);
    AddInteger("nr_rows", 3, &response);
    response.mutable_header()->add_columns()->set_name("last_update_epoch");
    v1::Column* epoch = response.mutable_batch()->add_columns();
    epoch->set_type(v1::REAL);
    epoch->add_reals(1.5);
  } else if (sql.starts_with("select long")) {
    AddText("n", std::string(100'000, 'x'), &response);
  } else if (sql.starts_with("select bad")) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no such column: bad");
  } else {
    AddInteger("n", request.running() ? 2 : 1, &response);
  }
  EndAfterOneRow(&response);
  writer->Write(response);
  return grpc::Status::OK;
}

class ZmqPartTest : public testing::Test {
 protected:
  ZmqPartTest() {
    server_.query = [this](grpc::ServerContext*, const v1::QueryRequest* request,
                           QueryWriter* writer) {
      if (request->sql().starts_with("select wait")) {
        ++waiting_;
        release_.WaitForNotification();
      }
      return AnswerQuery(*request, writer);
    };
    server_.publish_stream = [this](grpc::ServerContext*, auto* stream) {
      v1::PublishStreamRequest request;
      while (stream->Read(&request)) {
        v1::PublishStreamResponse response;
        for (const v1::PublishRequest& publish : request.publishes()) {
          v1::PublishResult* result = response.add_results();
          if (publish.table().name() == "refused") {
            result->set_code(grpc::StatusCode::INVALID_ARGUMENT);
            result->set_message("table 'refused': no");
          } else {
            result->set_generation(30);
            rows_ += publish.table().columns(0).integers_size();
          }
        }
        stream->Write(response);
      }
      return grpc::Status::OK;
    };
    server_.watch = [](grpc::ServerContext* context, auto*) {
      while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      return grpc::Status::CANCELLED;
    };
    server_.SetServing("qasino.v1.Ingest", true);
    server_.SetServing("qasino.v1.Query", true);
    server_.Start();
    options_.port = options_.pubsub_port = 0;
    options_.identity = "me";
  }

  ~ZmqPartTest() override {
    if (!release_.HasBeenNotified()) release_.Notify();
  }

  void StartPart() {
    options_.upstream.ingest = options_.upstream.query = server_.options();
    auto part = ZmqPart::Create(options_, registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
    while (!part_->Ready().ok()) absl::SleepFor(absl::Milliseconds(1));
  }

  std::string Endpoint(std::string_view name) const {
    for (const server::Process::Door& door : part_->doors()) {
      if (door.name == name) return "tcp://" + door.address + ":" + std::to_string(door.port);
    }
    return "";
  }

  ::zmq::socket_t Socket(::zmq::socket_type type) {
    ::zmq::socket_t socket(context_, type);
    socket.set(::zmq::sockopt::linger, 0);
    socket.set(::zmq::sockopt::rcvtimeo, 30'000);
    return socket;
  }
  ::zmq::socket_t Client(::zmq::socket_type type) {
    ::zmq::socket_t socket = Socket(type);
    socket.connect(Endpoint("zmq"));
    return socket;
  }

  static void Send(::zmq::socket_t& socket, const Parts& parts) {
    for (size_t i = 0; i < parts.size(); ++i) {
      socket.send(::zmq::buffer(parts[i]),
                  i + 1 < parts.size() ? ::zmq::send_flags::sndmore : ::zmq::send_flags::none);
    }
  }
  // Empty when nothing comes.
  static Parts Receive(::zmq::socket_t& socket) {
    Parts parts;
    ::zmq::message_t part;
    do {
      if (!socket.recv(part)) return {};
      parts.push_back(part.to_string());
    } while (part.more());
    return parts;
  }
  static Parts Ask(::zmq::socket_t& socket, std::string_view json) {
    Send(socket, {std::string(json)});
    return Receive(socket);
  }

  std::string Error(std::string_view message) { return legacy::ErrorBody("me", message); }

  double Counted(const std::string& name, const std::map<std::string, std::string>& labels) {
    double sum = 0;
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        size_t same = 0;
        for (const auto& label : metric.label) {
          const auto wanted = labels.find(label.name);
          if (wanted != labels.end() && wanted->second == label.value) ++same;
        }
        if (same == labels.size()) sum += metric.counter.value;
      }
    }
    return sum;
  }

  std::atomic<int64_t> rows_ = 0;
  std::atomic<int> waiting_ = 0;
  absl::Notification release_;
  client::FakeServer server_;
  ZmqOptions options_;
  prometheus::Registry registry_;
  ::zmq::context_t context_;
  std::unique_ptr<ZmqPart> part_;
};

TEST_F(ZmqPartTest, AnswersQueries) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
  EXPECT_THAT(Ask(req, R"({"op":"query","sql":"select 1 n;","use_write_db":1})"),
              ElementsAre(HasSubstr(R"("rows":[["2"]])")));
  EXPECT_THAT(Ask(req, R"({"op":"query","sql":"select bad"})"),
              ElementsAre(HasSubstr("no such column: bad")));
  EXPECT_THAT(Ask(req, R"({"op":"query","sql":"quit;"})"), ElementsAre(R"({"identity":"me"})"));
  EXPECT_EQ(Counted("qasino_zmq_requests_total", {{"op", "query"}, {"code", "OK"}}), 3);
  EXPECT_EQ(Counted("qasino_zmq_requests_total", {{"op", "query"}, {"code", "INVALID_ARGUMENT"}}),
            1);
}

TEST_F(ZmqPartTest, Publishes) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, kPublish), ElementsAre(legacy::OkBody("me")));
  EXPECT_EQ(rows_, 2);
  EXPECT_THAT(
      Ask(req, R"({"op":"add_table_data","identity":"host1","table":{"tablename":"refused",)"
               R"("column_names":["a"],"column_types":["int"],"rows":[]}})"),
      ElementsAre(HasSubstr("table 'refused': no")));
}

TEST_F(ZmqPartTest, TellsTheTablesInTwoParts) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, R"({"op":"get_table_list"})"),
              ElementsAre(R"({"response_op":"tables_list","identity":"me"})",
                          R"({"t":{"updates":2,"nr_rows":3,"last_update_epoch":1.5}})"));
}

TEST_F(ZmqPartTest, AnswersEveryBadRequest) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"null", "Unrecognized request"},
      {"{}", "Unrecognized request"},
      {R"({"op":null})", "Unrecognized request"},
      {R"({"op":"x"})", "Unrecognized op 'x'"},
      {R"({"op":"generation_signal"})", "Unrecognized op 'generation_signal'"},
      {R"({"op":"query"})", "Must specify sql"},
      {R"({"op":"query","sql":"select '"})", "Incomplete sql statement"},
  };
  for (const auto& [request, message] : cases) {
    EXPECT_THAT(Ask(req, request), ElementsAre(Error(message))) << request;
  }
  for (size_t size = 0; size + 1 < sizeof(kSelect); ++size) {
    EXPECT_THAT(Ask(req, std::string_view(kSelect).substr(0, size)),
                ElementsAre(HasSubstr("Failed to parse JSON message: ")));
  }
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, TellsWrongNumbersOfParts) {
  StartPart();
  ::zmq::socket_t dealer = Client(::zmq::socket_type::dealer);
  const auto wrong = HasSubstr("Wrong number of message parts");
  Send(dealer, {"", kSelect, kSelect});
  EXPECT_THAT(Receive(dealer), ElementsAre("", wrong));
  Send(dealer, {"hop", "", "a", "b"});
  EXPECT_THAT(Receive(dealer), ElementsAre("hop", "", wrong));
  Send(dealer, {"a", "b"});
  EXPECT_THAT(Receive(dealer), ElementsAre(wrong));
  Parts many(kMaxParts * 10, "x");
  many[0] = "";
  Send(dealer, many);
  EXPECT_THAT(Receive(dealer), ElementsAre("", wrong));
  Send(dealer, {""});
  EXPECT_THAT(Receive(dealer), ElementsAre(HasSubstr("Failed to parse JSON message: ")));
  Send(dealer, {"hop", "", kSelect});
  EXPECT_THAT(Receive(dealer), ElementsAre("hop", "", kOne));
  Send(dealer, {kSelect});
  EXPECT_THAT(Receive(dealer), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, ADealerHasManyRequestsUnderWay) {
  StartPart();
  ::zmq::socket_t dealer = Client(::zmq::socket_type::dealer);
  constexpr int kCount = 2000;
  for (int i = 0; i < kCount; ++i) {
    Send(dealer, {std::to_string(i), "", i % 2 == 0 ? kSelect : kPublish});
  }
  std::set<std::string> answered;
  for (int i = 0; i < kCount; ++i) {
    const Parts parts = Receive(dealer);
    ASSERT_EQ(parts.size(), 3u);
    EXPECT_EQ(parts[2], std::stoi(parts[0]) % 2 == 0 ? kOne : legacy::OkBody("me"));
    EXPECT_TRUE(answered.insert(parts[0]).second) << parts[0];
  }
  EXPECT_EQ(rows_, kCount);
}

TEST_F(ZmqPartTest, LaterRequestsDoNotWaitForEarlierOnes) {
  StartPart();
  ::zmq::socket_t dealer = Client(::zmq::socket_type::dealer);
  Send(dealer, {"slow", "", R"({"op":"query","sql":"select wait"})"});
  Send(dealer, {"quick", "", kSelect});
  EXPECT_THAT(Receive(dealer), ElementsAre("quick", "", kOne));
  release_.Notify();
  EXPECT_THAT(Receive(dealer), ElementsAre("slow", "", kOne));
}

TEST_F(ZmqPartTest, ReadsLongMessagesBesides) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  std::string rows = "[1]";
  constexpr int kRows = 100'000;
  for (int i = 1; i < kRows; ++i) rows += ",[1]";
  EXPECT_THAT(Ask(req, R"({"op":"add_table_data","identity":"host1","table":{"tablename":"t",)"
                       R"("column_names":["a"],"column_types":["int"],"rows":[)" +
                           rows + "]}}"),
              ElementsAre(legacy::OkBody("me")));
  EXPECT_EQ(rows_, kRows);
}

TEST_F(ZmqPartTest, RefusesRequestsBeyondTheLimit) {
  options_.max_requests = 4;
  StartPart();
  constexpr char kWait[] = R"({"op":"query","sql":"select wait"})";
  ::zmq::socket_t one = Client(::zmq::socket_type::dealer);
  for (int i = 0; i < 2; ++i) Send(one, {"waits", "", kWait});
  while (waiting_ < 2) absl::SleepFor(absl::Milliseconds(1));
  Send(one, {"refused", "", kSelect});
  EXPECT_THAT(Receive(one), ElementsAre("refused", "", HasSubstr("of this client are under way")));
  // Others have room.
  ::zmq::socket_t other = Client(::zmq::socket_type::dealer);
  for (int i = 0; i < 2; ++i) Send(other, {"waits", "", kWait});
  while (waiting_ < 4) absl::SleepFor(absl::Milliseconds(1));
  ::zmq::socket_t third = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(third, kSelect), ElementsAre(HasSubstr("4 requests are under way already")));
  release_.Notify();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Receive(one), ElementsAre("waits", "", kOne));
    EXPECT_THAT(Receive(other), ElementsAre("waits", "", kOne));
  }
  // There is room again as soon as the answers have left.
  while (Ask(third, kSelect) != Parts{kOne}) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(ZmqPartTest, RefusesAnswersBeyondTheLimit) {
  options_.max_answer_bytes = 50'000;
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, R"({"op":"query","sql":"select long"})"),
              ElementsAre(HasSubstr("the answer is longer than 50000 bytes")));
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, DisconnectsWhoSendsTooLongAMessage) {
  options_.max_message_bytes = 10'000;
  StartPart();
  ::zmq::socket_t dealer = Socket(::zmq::socket_type::dealer);
  const std::string events = "inproc://events";
  ASSERT_EQ(zmq_socket_monitor(dealer.handle(), events.c_str(), ZMQ_EVENT_DISCONNECTED), 0);
  ::zmq::socket_t monitor = Socket(::zmq::socket_type::pair);
  monitor.connect(events);
  dealer.connect(Endpoint("zmq"));
  Send(dealer, {"", std::string(10'001, ' ')});
  EXPECT_EQ(Receive(monitor).size(), 2u) << "disconnected";
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, SaysAtOnceThatAServiceIsAway) {
  StartPart();
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
  EXPECT_THAT(Ask(req, kPublish), ElementsAre(legacy::OkBody("me")));
  server_.Stop();
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(HasSubstr("error_message")));
  EXPECT_THAT(Ask(req, kPublish), ElementsAre(HasSubstr("error_message")));
  EXPECT_GE(Counted("qasino_zmq_requests_total", {{"code", "UNAVAILABLE"}}), 1);
  while (part_->Ready().ok()) absl::SleepFor(absl::Milliseconds(1));
  server_.Start();
  while (Ask(req, kSelect) != Parts{kOne}) absl::SleepFor(absl::Milliseconds(5));
  while (Ask(req, kPublish) != Parts{legacy::OkBody("me")}) absl::SleepFor(absl::Milliseconds(5));
}

TEST_F(ZmqPartTest, SignalsTheStartOfEveryGeneration) {
  server_.watch = [&](grpc::ServerContext* context, auto* writer) {
    v1::WatchGenerationsResponse response;
    response.mutable_duration()->set_seconds(30);
    response.mutable_sent_at()->set_seconds(35);
    // The first runs already and is not signalled.
    for (int64_t number = 30; !context->IsCancelled(); number += 30) {
      response.set_generation(number);
      writer->Write(response);
      absl::SleepFor(absl::Milliseconds(5));
    }
    return grpc::Status::CANCELLED;
  };
  server_.Stop();
  server_.Start();
  StartPart();
  ::zmq::socket_t sub = Socket(::zmq::socket_type::sub);
  sub.set(::zmq::sockopt::subscribe, "OTHER");
  sub.set(::zmq::sockopt::subscribe, std::string(1000, 'G'));
  sub.set(::zmq::sockopt::subscribe, "GENSIG");
  sub.connect(Endpoint("pubsub"));
  const std::string start = std::string("GENSIG") + '\0';
  int64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    const Parts parts = Receive(sub);
    ASSERT_EQ(parts.size(), 1u);
    const std::string begin =
        start + R"({"op":"generation_signal","identity":"me","generation_number":)";
    ASSERT_THAT(parts[0], StartsWith(begin));
    const int64_t number = std::stoll(parts[0].substr(begin.size()));
    EXPECT_EQ(parts[0], begin + std::to_string(number) + R"(,"generation_duration_s":30})");
    EXPECT_GT(number, std::max<int64_t>(last, 30));
    last = number;
  }
  EXPECT_GE(Counted("qasino_zmq_signals_total", {}), 10);
  // Unsubscribed, and a second subscriber to everything.
  sub.set(::zmq::sockopt::unsubscribe, "GENSIG");
  ::zmq::socket_t all = Socket(::zmq::socket_type::sub);
  all.set(::zmq::sockopt::subscribe, "");
  all.connect(Endpoint("pubsub"));
  EXPECT_THAT(Receive(all), ElementsAre(StartsWith(start)));
}

struct KeyPair {
  KeyPair() { zmq_curve_keypair(public_key, secret_key); }
  char public_key[41];
  char secret_key[41];
};

std::string WriteFile(const std::string& name, std::string_view text) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST_F(ZmqPartTest, CurveLetsInTheClientsListed) {
  const KeyPair server, friendly, stranger;
  options_.curve_secret_key_file = WriteFile("secret", server.secret_key);
  options_.curve_clients_file =
      WriteFile("clients", std::string("# friends\n") + friendly.public_key + "\n");
  StartPart();
  const auto client = [&](const KeyPair& keys) {
    ::zmq::socket_t socket = Socket(::zmq::socket_type::req);
    socket.set(::zmq::sockopt::curve_serverkey, server.public_key);
    socket.set(::zmq::sockopt::curve_publickey, keys.public_key);
    socket.set(::zmq::sockopt::curve_secretkey, keys.secret_key);
    return socket;
  };
  ::zmq::socket_t good = client(friendly);
  good.connect(Endpoint("zmq"));
  EXPECT_THAT(Ask(good, kSelect), ElementsAre(kOne));

  ::zmq::socket_t plain = Socket(::zmq::socket_type::req);
  ::zmq::socket_t bad = client(stranger);
  int number = 0;
  for (::zmq::socket_t* socket : {&plain, &bad}) {
    const std::string events = "inproc://events" + std::to_string(++number);
    ASSERT_EQ(zmq_socket_monitor(socket->handle(), events.c_str(),
                                 ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                                     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED),
              0);
    ::zmq::socket_t monitor = Socket(::zmq::socket_type::pair);
    monitor.connect(events);
    socket->connect(Endpoint("zmq"));
    const Parts event = Receive(monitor);
    ASSERT_EQ(event.size(), 2u);
    uint16_t kind;
    std::memcpy(&kind, event[0].data(), sizeof(kind));
    EXPECT_NE(kind, ZMQ_EVENT_HANDSHAKE_SUCCEEDED) << number;
    zmq_socket_monitor(socket->handle(), nullptr, 0);
  }
  EXPECT_THAT(Ask(good, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, CurveWithoutAListLetsInWhoKnowsTheServersKey) {
  const KeyPair server, anybody;
  options_.curve_secret_key_file = WriteFile("secret", server.secret_key);
  StartPart();
  ::zmq::socket_t req = Socket(::zmq::socket_type::req);
  req.set(::zmq::sockopt::curve_serverkey, server.public_key);
  req.set(::zmq::sockopt::curve_publickey, anybody.public_key);
  req.set(::zmq::sockopt::curve_secretkey, anybody.secret_key);
  req.connect(Endpoint("zmq"));
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, DrainAnswersWhatRunsAndRefusesTheRest) {
  StartPart();
  ::zmq::socket_t dealer = Client(::zmq::socket_type::dealer);
  Send(dealer, {"running", "", R"({"op":"query","sql":"select wait"})"});
  while (waiting_ < 1) absl::SleepFor(absl::Milliseconds(1));
  std::thread drain([this] { part_->Drain(absl::InfiniteFuture()); });
  // Requests are refused from some moment on.
  Parts refused;
  do {
    Send(dealer, {"new", "", kSelect});
    refused = Receive(dealer);
    ASSERT_EQ(refused.size(), 3u);
    EXPECT_EQ(refused[0], "new");
  } while (refused[2] == kOne);
  EXPECT_THAT(refused[2], HasSubstr("the server is stopping"));
  release_.Notify();
  EXPECT_THAT(Receive(dealer), ElementsAre("running", "", kOne));
  drain.join();
  // The ports are free again.
  ::zmq::socket_t socket = Socket(::zmq::socket_type::router);
  socket.bind(Endpoint("zmq"));
}

TEST_F(ZmqPartTest, DrainGivesUpWhatRunsAtTheDeadline) {
  StartPart();
  ::zmq::socket_t dealer = Client(::zmq::socket_type::dealer);
  Send(dealer, {"running", "", R"({"op":"query","sql":"select wait"})"});
  while (waiting_ < 1) absl::SleepFor(absl::Milliseconds(1));
  part_->Drain(absl::InfinitePast());
  part_->Drain(absl::InfinitePast());
}

TEST_F(ZmqPartTest, EitherDoorMayBeOff) {
  options_.pubsub_port = -1;
  StartPart();
  ASSERT_EQ(part_->doors().size(), 1u);
  EXPECT_EQ(part_->doors()[0].name, "zmq");
  EXPECT_EQ(part_->doors()[0].protocol, "zmtp");
  ::zmq::socket_t req = Client(::zmq::socket_type::req);
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
  part_ = nullptr;
  options_.pubsub_port = 0;
  options_.port = -1;
  StartPart();
  ASSERT_EQ(part_->doors().size(), 1u);
  EXPECT_EQ(part_->doors()[0].name, "pubsub");
}

TEST_F(ZmqPartTest, ListensOnIpv6) {
  options_.listen = "::1";
  StartPart();
  ::zmq::socket_t req = Socket(::zmq::socket_type::req);
  req.set(::zmq::sockopt::ipv6, true);
  req.connect("tcp://[::1]:" + std::to_string(part_->doors()[0].port));
  EXPECT_THAT(Ask(req, kSelect), ElementsAre(kOne));
}

TEST_F(ZmqPartTest, RefusesBadOptions) {
  options_.upstream.ingest = options_.upstream.query = server_.options();
  const auto code = [&](const ZmqOptions& options) {
    return ZmqPart::Create(options, registry_).status().code();
  };
  ZmqOptions options = options_;
  options.port = options.pubsub_port = -1;
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = options_;
  options.curve_clients_file = "/nowhere";
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options.curve_secret_key_file = "/nowhere";
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = options_;
  options.max_message_bytes = 0;
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  options = options_;
  options.listen = "nowhere";
  EXPECT_EQ(code(options), absl::StatusCode::kInvalidArgument);
  StartPart();
  options = options_;
  options.port = part_->doors()[0].port;
  EXPECT_EQ(code(options), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace qasino::zeromq
