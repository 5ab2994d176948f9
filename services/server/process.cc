#include "services/server/process.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>
#include <malloc.h>
#include <poll.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
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
#include "absl/time/time.h"
#include "services/server/listen_address.h"
#include "services/server/local_listener.h"
#include "services/server/log.h"
#include "services/server/metrics_server.h"
#include "services/server/pem_file.h"
#include "services/server/process_metrics.h"
#include "services/server/read_size.h"
#include "services/server/version.h"

namespace qasino::server {
namespace {

constexpr char kPart[] = "process";
constexpr absl::Duration kTrimInterval = absl::Seconds(2);
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
// A drained part has ended its own calls; what is left are watchers of health and
// callers of reflection, and answers on their way.
constexpr absl::Duration kCloseTime = absl::Seconds(1);
// What parts have to let go when main cannot go on.
constexpr absl::Duration kAtOnce = absl::Milliseconds(500);
// What a door has after its deadline to hang up on clients and to let go of the services.
constexpr absl::Duration kHangUpTime = absl::Seconds(1);
constexpr absl::Duration kTimeAfterGrace = absl::Seconds(2);
// Calls at a time on one connection. A client with more waits for one of its own to end.
constexpr int kMaxStreamsPerConnection = 1'000;
// Threads for reflection, gRPC's only service here that blocks a thread.
constexpr int kMaxReflectionThreads = 8;

// A whole line on standard output. That nobody listens there is no fault.
void PrintLine(std::string_view text) {
  const std::string line = fmt::format("{}\n", text);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

// Shards and images come and go by the generation, and what is large always goes back to the
// system: by default glibc learns from the first of such blocks to keep them all. Messages are
// smaller; what one took stays for the next, until Run trims it. Arenas are as many as by
// default, since a thread of low priority may hold the lock of one for long.
void SetUpMemory() {
  mallopt(M_MMAP_THRESHOLD, kMappedBlock);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

// Each connection takes a file descriptor, and the usual soft limit of 1,024 is there for programs
// that use select(). The hard limit is the operator's.
void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::string_view SignalName(int signal) { return signal == SIGINT ? "SIGINT" : "SIGTERM"; }

// A file descriptor, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// SIGTERM and SIGINT, which every thread blocks, and a wake-up call.
class EndWaiter {
 public:
  // Blocks the signals in the calling thread, and so in those it starts.
  EndWaiter() : signals_(BlockSignals()), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  bool ok() const { return signals_.get() >= 0 && event_.get() >= 0; }

  // Ends Wait; from any thread.
  void Wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(event_.get(), &one, sizeof(one));
  }

  // The signal that came, 0 after Wake (which is used up), or nothing at the deadline.
  std::optional<int> Wait(absl::Time deadline) {
    while (true) {
      pollfd files[] = {{signals_.get(), POLLIN, 0}, {event_.get(), POLLIN, 0}};
      int timeout = -1;
      if (deadline != absl::InfiniteFuture()) {
        const absl::Duration left = std::max(absl::ZeroDuration(), deadline - absl::Now());
        timeout = static_cast<int>(absl::ToInt64Milliseconds(
            std::min(absl::Ceil(left, absl::Milliseconds(1)), absl::Hours(24))));
      }
      const int ready = poll(files, 2, timeout);
      if (ready == 0) {
        if (absl::Now() >= deadline) return std::nullopt;
        continue;
      }
      signalfd_siginfo info;
      if ((files[0].revents & POLLIN) != 0 &&
          read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
        return static_cast<int>(info.ssi_signo);
      }
      uint64_t count;
      if ((files[1].revents & POLLIN) != 0 &&
          read(event_.get(), &count, sizeof(count)) == sizeof(count)) {
        return 0;
      }
    }
  }

 private:
  static int BlockSignals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  const Descriptor signals_;
  const Descriptor event_;
};

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(
    const ProcessOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) {
    if (!options.tls_client_ca.empty()) {
      return absl::InvalidArgumentError(
          "an authority for clients' certificates needs the server's certificate and key");
    }
    return grpc::InsecureServerCredentials();
  }
  absl::StatusOr<std::string> cert = ReadPemFile(options.tls_cert);
  if (!cert.ok()) return cert.status();
  absl::StatusOr<std::string> key = ReadPemFile(options.tls_key);
  if (!key.ok()) return key.status();
  grpc::SslServerCredentialsOptions tls(
      options.tls_client_ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_key_cert_pairs.push_back({*std::move(key), *std::move(cert)});
  if (!options.tls_client_ca.empty()) {
    absl::StatusOr<std::string> authority = ReadPemFile(options.tls_client_ca);
    if (!authority.ok()) return authority.status();
    tls.pem_root_certs = *std::move(authority);
  }
  return grpc::SslServerCredentials(tls);
}

// What is watched of a part that is served. The pointers are valid until the
// watching thread has ended.
struct Watched {
  Part* part;
  // Of a part that offers a service; else null.
  grpc::HealthCheckServiceInterface* health = nullptr;
  std::string service_name;
};

// Asks every part whether it is ready, tells gRPC's health services, and remembers
// the answers for /readyz.
class ReadinessWatch {
 public:
  ReadinessWatch() : thread_([this] { Loop(); }) {}
  ~ReadinessWatch() { Stop(); }

  // Thread-safe.
  void Add(const Watched& watched) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    watched_.push_back(watched);
    look_now_ = true;
  }

  // Thread-safe. From now on "ready" is printed, once, when all parts are.
  void Announce() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    announce_ = true;
    look_now_ = true;
  }

  // Looks no more; /readyz says why. One thread at a time.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      stopped_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  // Thread-safe; does not block.
  Readiness Last() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (stopped_) return {false, "not ready: the process is stopping\n"};
    if (last_.text.empty()) return {false, "not ready: the process is starting\n"};
    return last_;
  }

 private:
  // The loop's own: what it last told.
  struct Told {
    std::optional<bool> ready;
    std::optional<bool> overall;
  };

  bool ShouldLook() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return look_now_ || stopped_; }

  void Loop() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<Told> told;
    bool announced = false;
    while (true) {
      std::vector<Watched> watched;
      bool announce;
      {
        absl::MutexLock lock(&mutex_);
        if (stopped_) return;
        look_now_ = false;
        watched = watched_;
        announce = announce_;
      }
      told.resize(watched.size());
      Readiness now = Look(watched, &told);
      if (now.ready && announce && !announced) {
        PrintLine("ready");
        announced = true;
      }
      absl::MutexLock lock(&mutex_);
      last_ = std::move(now);
      mutex_.AwaitWithTimeout(absl::Condition(this, &ReadinessWatch::ShouldLook), kPollInterval);
    }
  }

  static Readiness Look(const std::vector<Watched>& watched, std::vector<Told>* told) {
    Readiness now{!watched.empty(), ""};
    for (size_t i = 0; i < watched.size(); ++i) {
      const Watched& one = watched[i];
      const absl::Status status = one.part->Ready();
      now.ready = now.ready && status.ok();
      const std::string reason(status.message());
      now.text += status.ok() ? fmt::format("{}: ready\n", one.part->name())
                              : fmt::format("{}: not ready: {}\n", one.part->name(), reason);
      if ((*told)[i].ready == status.ok()) continue;
      if (status.ok()) {
        log::Info(one.part->name(), "ready");
      } else {
        log::Info(one.part->name(), "not ready", {{"reason", reason}});
      }
      if (one.health != nullptr) one.health->SetServingStatus(one.service_name, status.ok());
      (*told)[i].ready = status.ok();
    }
    for (size_t i = 0; i < watched.size(); ++i) {
      if ((*told)[i].overall == now.ready) continue;
      if (watched[i].health != nullptr) watched[i].health->SetServingStatus("", now.ready);
      (*told)[i].overall = now.ready;
    }
    return now;
  }

  mutable absl::Mutex mutex_;
  std::vector<Watched> watched_ ABSL_GUARDED_BY(mutex_);
  bool announce_ ABSL_GUARDED_BY(mutex_) = false;
  bool look_now_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  Readiness last_ ABSL_GUARDED_BY(mutex_);
  // Last, because it uses the others at once.
  std::thread thread_;
};

// Ends the process, from its own thread, at a signal or when the time is over.
class LastResort {
 public:
  LastResort(EndWaiter* waiter, absl::Time deadline)
      : waiter_(waiter), thread_([this, deadline] { Watch(deadline); }) {}
  ~LastResort() {
    done_.Notify();
    waiter_->Wake();
    thread_.join();
  }

 private:
  void Watch(absl::Time deadline) {
    // Each RequestShutdown wakes the waiter too.
    while (!done_.HasBeenNotified()) {
      const int signal = waiter_->Wait(deadline).value_or(0);
      if (signal != 0) {
        log::Warn(kPart, "second signal: ending at once", {{"signal", SignalName(signal)}});
        std::_Exit(128 + signal);
      }
      if (!done_.HasBeenNotified() && absl::Now() >= deadline) {
        log::Error(kPart, "a part does not stop: ending the process");
        std::_Exit(1);
      }
    }
  }

  EndWaiter* const waiter_;
  absl::Notification done_;
  std::thread thread_;
};

}  // namespace

struct Process::State {
  struct Served {
    Part* part;
    // Null for a part without a service.
    std::unique_ptr<grpc::Server> server;
    std::unique_ptr<LocalListener> listener;
  };

  explicit State(const ProcessOptions& options) : options(options) {}
  ~State() { Close(absl::InfinitePast()); }

  // A Drain, on a thread of its own.
  struct Draining {
    Part* part;
    std::shared_ptr<absl::Notification> done;
    std::thread thread;
  };

  // Ends all serving. Parts are drained when the deadline leaves them time to.
  void Close(absl::Time deadline);
  // Drains the last parts that have no service, at the same time.
  void DrainDoors(absl::Time deadline);
  void Drain(Part& part, absl::Time deadline) {
    EndDrain(BeginDrain(part, deadline), deadline, absl::ZeroDuration());
  }
  static Draining BeginDrain(Part& part, absl::Time deadline);
  // Waits for its end, until so long after the deadline.
  void EndDrain(Draining draining, absl::Time deadline, absl::Duration more);

  const ProcessOptions options;
  EndWaiter end;
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  ProcessMetrics process_metrics;
  std::unique_ptr<ReadinessWatch> watch;
  std::unique_ptr<MetricsServer> metrics_server;
  std::vector<Served> served;
  // Kept, for a part that overruns its drain may still call at their addresses.
  std::vector<std::unique_ptr<LocalListener>> stopped;
  // Drains that overran.
  std::vector<std::thread> overrunning;
};

Process::State::Draining Process::State::BeginDrain(Part& part, absl::Time deadline) {
  auto done = std::make_shared<absl::Notification>();
  std::thread thread([&part, deadline, done] {
    part.Drain(deadline);
    done->Notify();
  });
  return {&part, std::move(done), std::move(thread)};
}

void Process::State::EndDrain(Draining draining, absl::Time deadline, absl::Duration more) {
  if (!draining.done->WaitForNotificationWithDeadline(deadline)) {
    log::Warn(kPart, "grace is over: cancelling what runs", {{"part", draining.part->name()}});
    if (!draining.done->WaitForNotificationWithDeadline(deadline + more)) {
      overrunning.push_back(std::move(draining.thread));
      return;
    }
  }
  draining.thread.join();
}

void Process::State::DrainDoors(absl::Time deadline) {
  const absl::Time now = absl::Now();
  const bool serves = std::any_of(served.begin(), served.end(),
                                  [](const Served& one) { return one.server != nullptr; });
  // A client that does not read its answer keeps a door open to the end, and the services
  // behind still have to hand on what they hold.
  if (serves && deadline > now) deadline = now + (deadline - now) / 2;
  std::vector<Draining> doors;
  for (; !served.empty() && served.back().server == nullptr; served.pop_back()) {
    doors.push_back(BeginDrain(*served.back().part, deadline));
  }
  // A Drain returns after the door has hung up on the clients that were left at the deadline.
  for (Draining& door : doors) EndDrain(std::move(door), deadline, kHangUpTime);
}

void Process::State::Close(absl::Time deadline) {
  // At once is still in order: a part may use another one of this process.
  if (deadline == absl::InfinitePast()) deadline = absl::Now() + kAtOnce;
  if (watch != nullptr) watch->Stop();
  for (Served& one : served) {
    if (one.server != nullptr) one.server->GetHealthCheckService()->Shutdown();
  }
  while (!served.empty()) {
    Served& last = served.back();
    if (last.server == nullptr) {
      DrainDoors(deadline);
      continue;
    }
    Drain(*last.part, deadline);
    last.listener->Stop();
    stopped.push_back(std::move(last.listener));
    const absl::Time now = absl::Now();
    last.server->Shutdown(absl::ToChronoTime(std::min(std::max(deadline, now), now + kCloseTime)));
    last.server->Wait();
    served.pop_back();
  }
  for (std::thread& thread : overrunning) thread.join();
  overrunning.clear();
}

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::~Process() = default;

absl::StatusOr<std::unique_ptr<Process>> Process::Create(const ProcessOptions& options) {
  log::Configure(options.log_format, options.log_level);
  std::signal(SIGPIPE, SIG_IGN);
  auto state = std::make_unique<State>(options);
  if (!state->end.ok()) {
    return absl::InternalError(fmt::format("cannot wait for signals: {}", std::strerror(errno)));
  }
  static std::once_flag once;
  std::call_once(once, [] {
    SetUpMemory();
    RaiseFileLimit();
#ifdef NDEBUG
    // Debian's Abseil looks for cycles at every lock, which tests keep.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });

  prometheus::BuildGauge()
      .Name("qasino_build_info")
      .Help("Always 1; the labels say what runs.")
      .Register(*state->registry)
      .Add({{"version", std::string(kVersion)}, {"program", options.program}})
      .Set(1);
  state->watch = std::make_unique<ReadinessWatch>();
  if (options.metrics_port >= 0) {
    auto server = MetricsServer::Create(
        {.address = options.listen,
         .port = options.metrics_port,
         .collectables = {state->registry.get(), &state->process_metrics},
         .readiness = [watch = state->watch.get()] { return watch->Last(); }});
    if (!server.ok()) {
      return absl::Status(server.status().code(),
                          fmt::format("metrics: {}", std::string(server.status().message())));
    }
    state->metrics_server = *std::move(server);
    PrintLine(fmt::format("listening: metrics http {}",
                          JoinHostPort(options.listen, state->metrics_server->port())));
  }
  return std::unique_ptr<Process>(new Process(std::move(state)));
}

prometheus::Registry& Process::metrics() { return *state_->registry; }

absl::StatusOr<int> Process::Serve(ServicePart& part, int port) {
  const ProcessOptions& options = state_->options;
  const auto fail = [&](const absl::Status& status) {
    state_->Drain(part, absl::Now() + kAtOnce);
    state_->Close(absl::InfinitePast());
    return absl::Status(status.code(),
                        fmt::format("{}: {}", part.name(), std::string(status.message())));
  };
  const std::string address = JoinHostPort(options.listen, port);
  if (absl::Status status = CheckCanListen(options.listen, port); !status.ok()) {
    return fail(status);
  }
  auto credentials = Credentials(options);
  if (!credentials.ok()) return fail(credentials.status());

  int bound = 0;
  grpc::ResourceQuota quota(std::string(part.name()));
  quota.SetMaxThreads(kMaxReflectionThreads);
  // The quota has no size, on purpose. Past it gRPC ends connections without a call and then
  // cancels calls picked at random, whoever took the memory; so one greedy client would end
  // honest clients' streams. Each part bounds what it holds, and refuses who asks for more.
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, *credentials, &bound);
  builder.RegisterService(&part.service());
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(static_cast<int>(
      std::min<int64_t>(options.max_message_bytes, std::numeric_limits<int>::max())));
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  // Clients ping every 10 s, also while they have no call; and this side, too,
  // notices a peer that is gone.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kMostReadAtOnce);
  auto listener = LocalListener::Create(builder);
  if (!listener.ok()) return fail(listener.status());
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    (*listener)->Stop();
    if (server != nullptr) server->Shutdown(absl::ToChronoTime(absl::Now()));
    return fail(absl::UnavailableError(
        options.tls_cert.empty()
            ? fmt::format("cannot listen on {}: the log says why", address)
            : fmt::format("cannot listen on {} with the certificate '{}' and the key '{}': the "
                          "log says why",
                          address, options.tls_cert, options.tls_key)));
  }
  // gRPC begins with SERVING for the empty name.
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  health->SetServingStatus("", false);
  health->SetServingStatus(std::string(part.service_name()), false);
  state_->served.push_back({&part, std::move(server), *std::move(listener)});
  state_->watch->Add({&part, health, std::string(part.service_name())});
  PrintLine(fmt::format("listening: {} grpc {}", part.name(), JoinHostPort(options.listen, bound)));
  return bound;
}

void Process::Add(Part& part, const std::vector<Door>& doors) {
  state_->served.push_back({&part, nullptr, nullptr});
  state_->watch->Add({&part});
  for (const Door& door : doors) {
    PrintLine(fmt::format("listening: {} {} {}", door.name, door.protocol,
                          JoinHostPort(door.address, door.port)));
  }
}

std::shared_ptr<grpc::Channel> Process::LocalChannel(const ServicePart& part) {
  for (const State::Served& one : state_->served) {
    if (one.part == &part && one.listener != nullptr) return one.listener->NewChannel();
  }
  return nullptr;
}

int Process::Run() {
  state_->watch->Announce();
  std::optional<int> signal;
  while (!signal.has_value()) {
    signal = state_->end.Wait(absl::Now() + kTrimInterval);
    // What small blocks leave free between them goes back to the system as well.
    malloc_trim(0);
  }
  const absl::Duration grace = state_->options.shutdown_grace;
  const absl::Time deadline = absl::Now() + grace;
  log::Info(kPart, "stopping",
            {{"by", *signal == 0 ? "request" : SignalName(*signal)}, {"grace_seconds", grace}});
  {
    LastResort last_resort(&state_->end, deadline + kTimeAfterGrace);
    state_->Close(deadline);
  }
  state_->metrics_server.reset();
  log::Info(kPart, "stopped");
  return 0;
}

void Process::RequestShutdown() { state_->end.Wake(); }

void Process::Close() { state_->Close(absl::InfinitePast()); }

}  // namespace qasino::server
