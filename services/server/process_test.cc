#include "services/server/process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "qasino/v1/query.grpc.pb.h"
#include "services/server/channel.h"
#include "services/server/http_get.h"
#include "services/server/test_certificates.h"

namespace qasino::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// An Ingest that acknowledges everything, and whose watches last until Drain.
class FakeIngest : public ServicePart, public v1::Ingest::CallbackService {
 public:
  std::string_view name() const override { return "ingest"; }
  std::string_view service_name() const override { return "qasino.v1.Ingest"; }
  grpc::Service& service() override { return *this; }
  absl::Status Ready() const override {
    return ready ? absl::OkStatus() : absl::UnavailableError("waits for the test");
  }
  void Drain(absl::Time deadline) override {
    if (on_drain) on_drain(deadline);
    absl::MutexLock lock(&mutex_);
    if (ends_streams) {
      for (Watch* watch : watches_) watch->End();
    }
    mutex_.Await(absl::Condition(
        +[](std::vector<Watch*>* watches) { return watches->empty(); }, &watches_));
  }

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context, const v1::PublishRequest*,
                                    v1::PublishResponse* response) override {
    response->set_generation(17);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<v1::WatchGenerationsResponse>* WatchGenerations(
      grpc::CallbackServerContext*, const v1::WatchGenerationsRequest*) override {
    auto* watch = new Watch(this);
    absl::MutexLock lock(&mutex_);
    watches_.push_back(watch);
    return watch;
  }

  std::atomic<bool> ready = false;
  std::function<void(absl::Time)> on_drain;
  bool ends_streams = true;

 private:
  class Watch : public grpc::ServerWriteReactor<v1::WatchGenerationsResponse> {
   public:
    explicit Watch(FakeIngest* ingest) : ingest_(ingest) { StartWrite(&first_); }
    void End() {
      if (!ended_.exchange(true)) Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "stopping"));
    }
    void OnCancel() override { End(); }
    void OnDone() override {
      {
        absl::MutexLock lock(&ingest_->mutex_);
        std::erase(ingest_->watches_, this);
      }
      delete this;
    }

   private:
    FakeIngest* const ingest_;
    v1::WatchGenerationsResponse first_;
    std::atomic<bool> ended_ = false;
  };

  absl::Mutex mutex_;
  std::vector<Watch*> watches_ ABSL_GUARDED_BY(mutex_);
};

class FakeQuery : public ServicePart, public v1::Query::CallbackService {
 public:
  std::string_view name() const override { return "query"; }
  std::string_view service_name() const override { return "qasino.v1.Query"; }
  grpc::Service& service() override { return *this; }
  absl::Status Ready() const override { return absl::OkStatus(); }
  void Drain(absl::Time deadline) override { on_drain(deadline); }

  std::function<void(absl::Time)> on_drain = [](absl::Time) {};
};

// A part with doors of its own.
class FakeDoor : public Part {
 public:
  explicit FakeDoor(std::function<void(absl::Time)> on_drain) : on_drain_(std::move(on_drain)) {}
  std::string_view name() const override { return "door"; }
  absl::Status Ready() const override { return absl::OkStatus(); }
  void Drain(absl::Time deadline) override { on_drain_(deadline); }

 private:
  const std::function<void(absl::Time)> on_drain_;
};

ProcessOptions Options() {
  ProcessOptions options;
  options.program = "qasino-test";
  options.metrics_port = 0;
  return options;
}

// Collects what is written on standard output and error meanwhile.
class Capture {
 public:
  Capture() {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
  }
  ~Capture() { Take(); }
  void Take() {
    if (taken_) return;
    output = ::testing::internal::GetCapturedStdout();
    error = ::testing::internal::GetCapturedStderr();
    taken_ = true;
  }
  std::string output;
  std::string error;

 private:
  bool taken_ = false;
};

// A process whose metrics port is known.
struct Running {
  explicit Running(ProcessOptions options = Options()) {
    Capture capture;
    auto created = Process::Create(options);
    capture.Take();
    EXPECT_TRUE(created.ok()) << created.status();
    process = *std::move(created);
    const std::string start = "listening: metrics http 127.0.0.1:";
    EXPECT_THAT(capture.output, StartsWith(start));
    metrics_port = std::stoi(capture.output.substr(start.size()));
  }
  ~Running() {
    if (runner.joinable()) End();
  }

  int Serve(ServicePart& part) {
    Capture capture;
    auto port = process->Serve(part, 0);
    capture.Take();
    EXPECT_TRUE(port.ok()) << port.status();
    EXPECT_EQ(capture.output, fmt::format("listening: {} grpc 127.0.0.1:{}\n", part.name(), *port));
    return *port;
  }

  void Run() {
    runner = std::thread([this] { code = process->Run(); });
  }
  int End() {
    process->RequestShutdown();
    runner.join();
    return code;
  }

  std::unique_ptr<Process> process;
  int metrics_port = 0;
  std::thread runner;
  int code = -1;
};

std::shared_ptr<grpc::Channel> ChannelTo(int port) {
  auto channel = MakeChannel({.target = fmt::format("127.0.0.1:{}", port)});
  EXPECT_TRUE(channel.ok()) << channel.status();
  return *std::move(channel);
}

// grpc.health.v1.Health/Check; its messages have one field each, as the wrappers
// have. 1 is SERVING, 2 NOT_SERVING, -5 that the service is not known.
int Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value> stub(
      channel);
  grpc::ClientContext context;
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::Int32Value response;
  absl::Notification done;
  grpc::Status status;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](grpc::Status result) {
                   status = std::move(result);
                   done.Notify();
                 });
  done.WaitForNotification();
  return status.ok() ? response.value() : -static_cast<int>(status.error_code());
}

// Waits until `condition` holds; the test's own time limit ends it otherwise.
void Await(const std::function<bool()>& condition) {
  while (!condition()) absl::SleepFor(absl::Milliseconds(5));
}

grpc::Status Publish(const std::shared_ptr<grpc::Channel>& channel, int64_t* generation) {
  grpc::ClientContext context;
  v1::PublishResponse response;
  const grpc::Status status =
      v1::Ingest::NewStub(channel)->Publish(&context, v1::PublishRequest(), &response);
  *generation = response.generation();
  return status;
}

TEST(ProcessTest, ServesAPartOnAPortAndInProcess) {
  Running running;
  FakeIngest ingest;
  const int port = running.Serve(ingest);
  int64_t generation = 0;
  EXPECT_TRUE(Publish(ChannelTo(port), &generation).ok());
  EXPECT_EQ(generation, 17);
  const auto in_process = running.process->LocalChannel(ingest);
  ASSERT_NE(in_process, nullptr);
  generation = 0;
  EXPECT_TRUE(Publish(in_process, &generation).ok());
  EXPECT_EQ(generation, 17);
  FakeQuery other;
  EXPECT_EQ(running.process->LocalChannel(other), nullptr);
  running.process.reset();
}

TEST(ProcessTest, HealthFollowsReadiness) {
  Running running;
  FakeIngest ingest;
  FakeQuery query;
  const auto to_ingest = ChannelTo(running.Serve(ingest));
  const auto to_query = ChannelTo(running.Serve(query));
  Await([&] { return Health(to_query, "qasino.v1.Query") == 1; });
  EXPECT_EQ(Health(to_ingest, "qasino.v1.Ingest"), 2);
  EXPECT_EQ(Health(to_ingest, ""), 2);
  EXPECT_EQ(Health(to_query, ""), 2);
  EXPECT_EQ(Health(to_query, "qasino.v1.Ingest"), -grpc::StatusCode::NOT_FOUND);

  ingest.ready = true;
  Await([&] { return Health(to_ingest, "qasino.v1.Ingest") == 1; });
  Await([&] { return Health(to_ingest, "") == 1 && Health(to_query, "") == 1; });

  ingest.ready = false;
  Await([&] { return Health(to_ingest, "qasino.v1.Ingest") == 2; });
  Await([&] { return Health(to_query, "") == 2; });
  EXPECT_EQ(Health(to_query, "qasino.v1.Query"), 1);
  running.process.reset();
}

TEST(ProcessTest, ReadinessOverHttpAndReadyOnStandardOutput) {
  Running running;
  EXPECT_THAT(HttpGet(running.metrics_port, "/readyz"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("the process is starting")));
  FakeIngest ingest;
  running.Serve(ingest);
  Await([&] {
    return HttpGet(running.metrics_port, "/readyz")
               .find(
                   "\r\n\r\ningest: not ready: waits for the "
                   "test\n") != std::string::npos;
  });
  EXPECT_THAT(HttpGet(running.metrics_port, "/livez"), StartsWith("HTTP/1.1 200 "));

  Capture capture;
  running.Run();
  ingest.ready = true;
  Await([&] { return HttpGet(running.metrics_port, "/readyz").starts_with("HTTP/1.1 200 "); });
  // It is told once, however often readiness changes.
  ingest.ready = false;
  Await([&] { return HttpGet(running.metrics_port, "/readyz").starts_with("HTTP/1.1 503 "); });
  ingest.ready = true;
  Await([&] { return HttpGet(running.metrics_port, "/readyz").starts_with("HTTP/1.1 200 "); });
  EXPECT_EQ(running.End(), 0);
  capture.Take();
  EXPECT_EQ(capture.output, "ready\n");
  EXPECT_THAT(capture.error, AllOf(HasSubstr(" info ingest: ready\n"),
                                   HasSubstr(" info ingest: not ready reason=\"waits for the "
                                             "test\"\n"),
                                   HasSubstr(" info process: stopping by=request "),
                                   HasSubstr(" info process: stopped\n")));
  EXPECT_EQ(HttpGet(running.metrics_port, "/livez"), "");
}

TEST(ProcessTest, Metrics) {
  Running running;
  prometheus::BuildCounter()
      .Name("qasino_test_total")
      .Help("Of the test.")
      .Register(running.process->metrics())
      .Add({})
      .Increment();
  EXPECT_THAT(
      HttpGet(running.metrics_port, "/metrics"),
      AllOf(HasSubstr("\nqasino_build_info{program=\"qasino-test\",version=\"0.1.0\"} 1\n"),
            HasSubstr("\nqasino_test_total 1\n"), HasSubstr("\nprocess_resident_memory_bytes "),
            HasSubstr("\nprocess_start_time_seconds ")));
}

TEST(ProcessTest, ReflectionListsTheService) {
  Running running;
  FakeIngest ingest;
  const auto channel = ChannelTo(running.Serve(ingest));

  // ServerReflectionRequest{list_services: "*"}.
  class Reactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
   public:
    void OnReadDone(bool ok) override {
      grpc::Slice slice;
      if (ok && response.DumpToSingleSlice(&slice).ok()) {
        text.assign(reinterpret_cast<const char*>(slice.begin()), slice.size());
      }
    }
    void OnDone(const grpc::Status& result) override {
      status = result;
      done.Notify();
    }
    grpc::ByteBuffer response;
    std::string text;
    grpc::Status status;
    absl::Notification done;
  } reactor;
  grpc::ClientContext context;
  grpc::GenericStub stub(channel);
  stub.PrepareBidiStreamingCall(&context,
                                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                grpc::StubOptions(), &reactor);
  const grpc::Slice slice("\x3a\x01*");
  const grpc::ByteBuffer request(&slice, 1);
  reactor.StartWriteLast(&request, grpc::WriteOptions());
  reactor.StartRead(&reactor.response);
  reactor.StartCall();
  reactor.done.WaitForNotification();
  EXPECT_TRUE(reactor.status.ok()) << reactor.status.error_message();
  EXPECT_THAT(reactor.text, AllOf(HasSubstr("qasino.v1.Ingest"), HasSubstr("grpc.health.v1")));
  running.process.reset();
}

TEST(ProcessTest, ATakenPortIsNamed) {
  Running first;
  FakeIngest ingest;
  const int port = first.Serve(ingest);
  Running second;
  FakeQuery query;
  const auto status = second.process->Serve(query, port).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()),
              StartsWith(fmt::format("query: cannot listen on 127.0.0.1:{}: address already in use",
                                     port)));
  ProcessOptions options = Options();
  options.metrics_port = port;
  EXPECT_THAT(std::string(Process::Create(options).status().message()),
              StartsWith(fmt::format("metrics: cannot listen on 127.0.0.1:{}: ", port)));
  first.process.reset();
}

TEST(ProcessTest, MessagesOverTheLimitAreRefused) {
  ProcessOptions options = Options();
  options.max_message_bytes = 1000;
  Running running(options);
  FakeIngest ingest;
  const auto channel = ChannelTo(running.Serve(ingest));
  grpc::ClientContext context;
  v1::PublishRequest request;
  request.set_identity(std::string(2000, 'x'));
  v1::PublishResponse response;
  EXPECT_EQ(v1::Ingest::NewStub(channel)->Publish(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  int64_t generation = 0;
  EXPECT_TRUE(Publish(channel, &generation).ok());
  running.process.reset();
}

// Each watch holds a stream; the first answer says that the server has it.
TEST(ProcessTest, OneConnectionHasAThousandStreamsAtATime) {
  Running running;
  FakeIngest ingest;
  const auto stub = v1::Ingest::NewStub(ChannelTo(running.Serve(ingest)));
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchGenerationsResponse>> reader;
  };
  std::vector<std::unique_ptr<Call>> calls;
  v1::WatchGenerationsResponse response;
  for (int i = 0; i < 1000; ++i) {
    auto& call = *calls.emplace_back(std::make_unique<Call>());
    call.reader = stub->WatchGenerations(&call.context, {});
    ASSERT_TRUE(call.reader->Read(&response)) << i;
  }
  {
    Call over;
    over.context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
    over.reader = stub->WatchGenerations(&over.context, {});
    EXPECT_FALSE(over.reader->Read(&response));
    EXPECT_EQ(over.reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  // It only waits: when one ends, the next begins.
  calls.front()->context.TryCancel();
  calls.front()->reader->Finish();
  Call next;
  next.reader = stub->WatchGenerations(&next.context, {});
  EXPECT_TRUE(next.reader->Read(&response));
  next.context.TryCancel();
  next.reader->Finish();
  for (size_t i = 1; i < calls.size(); ++i) {
    calls[i]->context.TryCancel();
    calls[i]->reader->Finish();
  }
  running.process.reset();
}

TEST(ProcessTest, ShutdownDrainsTheLastServedFirst) {
  Running running;
  FakeIngest ingest;
  FakeQuery query;
  std::vector<std::string> order;
  std::vector<int> health;
  const auto to_ingest = ChannelTo(running.Serve(ingest));
  running.Serve(query);
  ingest.ready = true;
  running.Run();
  Await([&] { return Health(to_ingest, "") == 1; });
  ingest.on_drain = [&](absl::Time deadline) {
    EXPECT_GT(deadline, absl::Now());
    order.push_back("ingest");
  };
  query.on_drain = [&](absl::Time) {
    order.push_back("query");
    // What is served earlier is there still, but says that it is going.
    health = {Health(to_ingest, ""), Health(to_ingest, "qasino.v1.Ingest")};
    int64_t generation = 0;
    EXPECT_TRUE(Publish(to_ingest, &generation).ok());
  };
  EXPECT_EQ(running.End(), 0);
  EXPECT_THAT(order, ElementsAre("query", "ingest"));
  EXPECT_THAT(health, ElementsAre(2, 2));
  int64_t generation = 0;
  EXPECT_EQ(Publish(to_ingest, &generation).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(ProcessTest, DoorsThatAreHeldOpenLeaveTimeToTheServicesBehindThem) {
  ProcessOptions options = Options();
  options.shutdown_grace = absl::Seconds(2);
  Running running(options);
  FakeIngest ingest;
  running.Serve(ingest);
  const auto channel = running.process->LocalChannel(ingest);
  absl::Notification first_began, second_began;
  std::atomic<int> ended = 0;
  const auto held_open = [&](absl::Time deadline, absl::Notification& mine,
                             absl::Notification& other) {
    mine.Notify();
    EXPECT_TRUE(other.WaitForNotificationWithDeadline(deadline));
    absl::SleepFor(deadline - absl::Now());
    int64_t generation = 0;
    EXPECT_TRUE(Publish(channel, &generation).ok());
    ++ended;
  };
  FakeDoor first([&](absl::Time deadline) { held_open(deadline, first_began, second_began); });
  FakeDoor second([&](absl::Time deadline) { held_open(deadline, second_began, first_began); });
  running.process->Add(first, {});
  running.process->Add(second, {});
  ingest.on_drain = [&](absl::Time deadline) {
    EXPECT_EQ(ended, 2);
    EXPECT_GT(deadline, absl::Now());
  };
  running.Run();
  EXPECT_EQ(running.End(), 0);
}

TEST(ProcessTest, DoorsAloneHaveTheWholeGrace) {
  ProcessOptions options = Options();
  options.shutdown_grace = absl::Hours(1);
  Running running(options);
  FakeDoor door([](absl::Time deadline) { EXPECT_GT(deadline, absl::Now() + absl::Minutes(40)); });
  running.process->Add(door, {});
  running.Run();
  EXPECT_EQ(running.End(), 0);
}

TEST(ProcessTest, DrainEndsStreams) {
  Running running;
  FakeIngest ingest;
  const auto channel = ChannelTo(running.Serve(ingest));
  grpc::ClientContext context;
  v1::WatchGenerationsResponse response;
  const auto watch =
      v1::Ingest::NewStub(channel)->WatchGenerations(&context, v1::WatchGenerationsRequest());
  ASSERT_TRUE(watch->Read(&response));
  running.Run();
  EXPECT_EQ(running.End(), 0);
  EXPECT_FALSE(watch->Read(&response));
  const grpc::Status status = watch->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "stopping");
}

TEST(ProcessTest, ADrainThatOverrunsIsCutByTheDeadline) {
  ProcessOptions options = Options();
  options.shutdown_grace = absl::Milliseconds(50);
  Running running(options);
  FakeIngest ingest;
  ingest.ends_streams = false;
  const auto channel = ChannelTo(running.Serve(ingest));
  grpc::ClientContext context;
  v1::WatchGenerationsResponse response;
  const auto watch =
      v1::Ingest::NewStub(channel)->WatchGenerations(&context, v1::WatchGenerationsRequest());
  ASSERT_TRUE(watch->Read(&response));
  Capture capture;
  running.Run();
  EXPECT_EQ(running.End(), 0);
  capture.Take();
  EXPECT_THAT(capture.error,
              HasSubstr(" warn process: grace is over: cancelling what runs part=ingest\n"));
  EXPECT_FALSE(watch->Read(&response));
}

TEST(ProcessTest, AShutdownAskedForBeforeRunCounts) {
  Running running;
  FakeIngest ingest;
  running.Serve(ingest);
  running.process->RequestShutdown();
  EXPECT_EQ(running.process->Run(), 0);
}

TEST(ProcessTest, AChannelComesBackWhenItsPeerDoes) {
  FakeIngest ingest;
  auto first = std::make_unique<Running>();
  const int port = first->Serve(ingest);
  const auto channel = ChannelTo(port);
  int64_t generation = 0;
  ASSERT_TRUE(Publish(channel, &generation).ok());
  first.reset();
  EXPECT_EQ(Publish(channel, &generation).error_code(), grpc::StatusCode::UNAVAILABLE);
  Running second;
  ASSERT_EQ(second.process->Serve(ingest, port).value_or(0), port);
  Await([&] { return Publish(channel, &generation).ok(); });
  second.process.reset();
}

TEST(ProcessTest, Tls) {
  const TestCertificates mine = MakeTestCertificates(::testing::TempDir() + "/mine_");
  const TestCertificates other = MakeTestCertificates(::testing::TempDir() + "/other_");
  ProcessOptions options = Options();
  options.tls_cert = mine.cert;
  options.tls_key = mine.key;
  Running running(options);
  FakeIngest ingest;
  const int port = running.Serve(ingest);
  options.tls_client_ca = mine.authority;
  Running strict(options);
  const int strict_port = strict.Serve(ingest);

  const auto publish = [](ChannelOptions to, int port) {
    to.target = fmt::format("127.0.0.1:{}", port);
    auto channel = MakeChannel(to);
    EXPECT_TRUE(channel.ok()) << channel.status();
    int64_t generation = 0;
    return Publish(*channel, &generation).error_code();
  };
  EXPECT_EQ(publish({.tls_ca = mine.authority}, port), grpc::StatusCode::OK);
  EXPECT_EQ(publish({}, port), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(publish({.tls_ca = other.authority}, port), grpc::StatusCode::UNAVAILABLE);

  EXPECT_EQ(
      publish({.tls_ca = mine.authority, .tls_cert = mine.cert, .tls_key = mine.key}, strict_port),
      grpc::StatusCode::OK);
  EXPECT_EQ(publish({.tls_ca = mine.authority}, strict_port), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(publish({.tls_ca = mine.authority, .tls_cert = other.cert, .tls_key = other.key},
                    strict_port),
            grpc::StatusCode::UNAVAILABLE);
  strict.process.reset();
  running.process.reset();
}

TEST(ProcessTest, ACertificateWithoutItsKeyIsNamed) {
  const TestCertificates mine = MakeTestCertificates(::testing::TempDir() + "/mine_");
  const TestCertificates other = MakeTestCertificates(::testing::TempDir() + "/other_");
  FakeIngest ingest;
  for (const std::string& key : {std::string("/nowhere/key.pem"), other.key}) {
    ProcessOptions options = Options();
    options.tls_cert = mine.cert;
    options.tls_key = key;
    Running running(options);
    Capture capture;
    const auto status = running.process->Serve(ingest, 0).status();
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith("ingest: "), HasSubstr(key)));
  }
}

class ProcessDeathTest : public ::testing::Test {
 protected:
  ProcessDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  // Serves a part in this (a child's) process, ends it by SIGTERM and exits.
  [[noreturn]] static void RunAndTerminate(absl::Duration grace,
                                           std::function<void(absl::Time)> on_drain) {
    ProcessOptions options = Options();
    options.shutdown_grace = grace;
    auto process = Process::Create(options);
    FakeIngest ingest;
    ingest.ready = true;
    ingest.on_drain = std::move(on_drain);
    if (!process.ok() || !(*process)->Serve(ingest, 0).ok()) std::_Exit(99);
    kill(getpid(), SIGTERM);
    const int code = (*process)->Run();
    process->reset();
    std::exit(code);
  }
};

TEST_F(ProcessDeathTest, SigtermDrainsAndExitsWithZero) {
  EXPECT_EXIT(RunAndTerminate(absl::Seconds(60), [](absl::Time) {}), ::testing::ExitedWithCode(0),
              "stopping by=SIGTERM grace_seconds=60\n(.*\n)*.*process: stopped");
}

TEST_F(ProcessDeathTest, ASecondSignalEndsAtOnce) {
  EXPECT_EXIT(RunAndTerminate(absl::Seconds(60),
                              [](absl::Time) {
                                kill(getpid(), SIGINT);
                                absl::SleepFor(absl::InfiniteDuration());
                              }),
              ::testing::ExitedWithCode(130), "second signal: ending at once signal=SIGINT");
}

TEST_F(ProcessDeathTest, APartThatNeverStopsEndsWithTheProcess) {
  EXPECT_EXIT(RunAndTerminate(absl::ZeroDuration(),
                              [](absl::Time) { absl::SleepFor(absl::InfiniteDuration()); }),
              ::testing::ExitedWithCode(1), "a part does not stop: ending the process");
}

TEST_F(ProcessDeathTest, AClosedStandardOutputIsNoFault) {
  EXPECT_EXIT(
      {
        int ends[2];
        if (pipe(ends) != 0) std::_Exit(99);
        close(ends[0]);
        dup2(ends[1], STDOUT_FILENO);
        RunAndTerminate(absl::Seconds(60), [](absl::Time) {});
      },
      ::testing::ExitedWithCode(0), "stopped");
}

}  // namespace
}  // namespace qasino::server
