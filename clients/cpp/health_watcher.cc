#include "clients/cpp/health_watcher.h"

#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"

namespace qasino::client {
namespace {

// grpc.health.v1's messages have one field each, number 1: a string in the request, an
// enum in the response. So have the wrappers, which are the same on the wire.
using Request = google::protobuf::StringValue;
using Response = google::protobuf::Int32Value;
using Stub = grpc::TemplatedGenericStub<Request, Response>;

constexpr int32_t kServing = 1;
constexpr int32_t kNotServing = 2;

constexpr RetryPolicy kRetry = {.initial_backoff = absl::Milliseconds(100),
                                .max_backoff = kQuickReconnect};

}  // namespace

class HealthWatcher::State : public std::enable_shared_from_this<State> {
 public:
  State(std::shared_ptr<const Channel> channel, std::string_view service)
      : channel_(std::move(channel)),
        service_(service),
        stub_(std::make_unique<Stub>(channel_->grpc())),
        status_(absl::UnavailableError(
            absl::StrCat(channel_->peer(), " has not said yet whether it is ready"))) {}

  void Start() {
    keeper_ = std::thread([this] { Keep(); });
  }

  void Stop() ABSL_LOCKS_EXCLUDED(mu_) {
    std::shared_ptr<Call> call;
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
      keep_.Signal();
      call = call_;
    }
    if (call != nullptr) Cancel(*call);
    call = nullptr;
    keeper_.join();
    // A thread of gRPC may be the last to let go of this object, but gRPC must not lose its
    // last channel on a thread of its own.
    stub_ = nullptr;
    channel_ = nullptr;
  }

  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return status_;
  }

 private:
  class Call;

  static void Cancel(Call& call);
  void Keep() ABSL_LOCKS_EXCLUDED(mu_);
  void OnHealth(int32_t health) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant until the end of Stop.
  std::shared_ptr<const Channel> channel_;
  const std::string service_;
  std::unique_ptr<Stub> stub_;

  mutable absl::Mutex mu_;
  absl::CondVar keep_;  // the keeper has something to do
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mu_);
  bool done_ ABSL_GUARDED_BY(mu_) = false;      // the call has ended
  bool answered_ ABSL_GUARDED_BY(mu_) = false;  // it had an answer
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  std::thread keeper_;  // calls again and again
};

// One call of Watch. The keeper holds it until OnDone.
class HealthWatcher::State::Call final : public grpc::ClientBidiReactor<Request, Response> {
 public:
  Call(std::shared_ptr<State> owner, Stub* stub) : owner_(std::move(owner)) {
    static const std::string* const kMethod = new std::string("/grpc.health.v1.Health/Watch");
    request_.set_value(owner_->service_);
    stub->PrepareBidiStreamingCall(&context_, *kMethod, grpc::StubOptions(), this);
    StartWriteLast(&request_, grpc::WriteOptions());
    StartRead(&response_);
  }

  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    owner_->OnHealth(response_.value());
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    // The keeper may destroy this object as soon as it knows.
    const std::shared_ptr<State> owner = std::move(owner_);
    owner->OnDone(status);
  }

 private:
  std::shared_ptr<State> owner_;
  grpc::ClientContext context_;
  Request request_;
  Response response_;
};

void HealthWatcher::State::Cancel(Call& call) { call.Cancel(); }

void HealthWatcher::State::Keep() {
  Backoff backoff(kRetry);
  mu_.Lock();
  while (!stopping_) {
    done_ = answered_ = false;
    mu_.Unlock();
    auto call = std::make_shared<Call>(shared_from_this(), stub_.get());
    call->StartCall();
    mu_.Lock();
    call_ = call;
    if (stopping_) {
      mu_.Unlock();
      call->Cancel();
      mu_.Lock();
    }
    while (!done_) keep_.Wait(&mu_);
    call_ = nullptr;
    if (answered_) backoff.Reset();
    mu_.Unlock();
    call = nullptr;
    mu_.Lock();
    const absl::Time again = absl::Now() + backoff.Next();
    while (!stopping_ && !keep_.WaitWithDeadline(&mu_, again)) {
    }
  }
  mu_.Unlock();
}

void HealthWatcher::State::OnHealth(int32_t health) {
  absl::Status status;
  if (health == kNotServing) {
    status = absl::UnavailableError(absl::StrCat(channel_->peer(), " is not ready"));
  } else if (health != kServing) {
    status = absl::UnavailableError(absl::StrCat(channel_->peer(), " does not serve ", service_));
  }
  absl::MutexLock lock(&mu_);
  answered_ = true;
  status_ = std::move(status);
}

void HealthWatcher::State::OnDone(const grpc::Status& ended) {
  absl::Status status = channel_->ToStatus(ended);
  if (status.code() != absl::StatusCode::kUnavailable) {
    status =
        absl::UnavailableError(absl::StrCat(channel_->peer(), " does not say whether it is ready: ",
                                            status.ok() ? "it ended the watch" : status.message()));
  }
  absl::MutexLock lock(&mu_);
  done_ = true;
  status_ = std::move(status);
  keep_.Signal();
}

absl::StatusOr<std::unique_ptr<HealthWatcher>> HealthWatcher::Create(const ConnectOptions& options,
                                                                     std::string_view service,
                                                                     std::string_view server) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel =
      Channel::Create(options, server, kQuickReconnect);
  if (!channel.ok()) return channel.status();
  auto state = std::make_shared<State>(*std::move(channel), service);
  state->Start();
  return std::unique_ptr<HealthWatcher>(new HealthWatcher(std::move(state)));
}

HealthWatcher::HealthWatcher(std::shared_ptr<State> state) : state_(std::move(state)) {}

HealthWatcher::~HealthWatcher() { state_->Stop(); }

absl::Status HealthWatcher::status() const { return state_->status(); }

}  // namespace qasino::client
