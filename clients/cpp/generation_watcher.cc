#include "clients/cpp/generation_watcher.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"
#include "qasino/v1/ingest.grpc.pb.h"

namespace qasino::client {

class GenerationWatcher::State {
 public:
  State(std::shared_ptr<const Channel> channel, Callback callback)
      : channel_(std::move(channel)),
        stub_(v1::Ingest::NewStub(channel_->grpc())),
        callback_(std::move(callback)),
        thread_([this] { Watch(); }) {}

  ~State() {
    std::shared_ptr<grpc::ClientContext> context;
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
      stop_.Signal();
      context = context_;
    }
    if (context != nullptr) context->TryCancel();
    thread_.join();
  }

  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return status_;
  }

 private:
  void Watch() ABSL_LOCKS_EXCLUDED(mu_) {
    Backoff backoff(channel_->options().retry);
    while (true) {
      auto context = std::make_shared<grpc::ClientContext>();
      {
        absl::MutexLock lock(&mu_);
        if (stopping_) return;
        context_ = context;
      }
      const std::unique_ptr<grpc::ClientReader<v1::WatchGenerationsResponse>> reader =
          stub_->WatchGenerations(context.get(), v1::WatchGenerationsRequest());
      v1::WatchGenerationsResponse generation;
      while (reader->Read(&generation)) {
        backoff.Reset();
        {
          absl::MutexLock lock(&mu_);
          if (stopping_) break;  // the destructor cancels the call
          status_ = absl::OkStatus();
        }
        if (std::exchange(last_, generation.generation()) != generation.generation()) {
          callback_(generation);
        }
      }
      absl::Status status = channel_->ToStatus(reader->Finish());
      if (status.ok()) {
        status = absl::UnavailableError(
            absl::StrCat(channel_->peer(), " ended the watch of generations"));
      }
      const absl::Time again = absl::Now() + backoff.Next();
      absl::MutexLock lock(&mu_);
      status_ = std::move(status);
      context_ = nullptr;
      while (!stopping_ && !stop_.WaitWithDeadline(&mu_, again)) {
      }
      if (stopping_) return;
    }
  }

  // Constant.
  const std::shared_ptr<const Channel> channel_;
  const std::unique_ptr<v1::Ingest::Stub> stub_;

  // Used by the thread alone.
  Callback callback_;
  std::optional<int64_t> last_;

  mutable absl::Mutex mu_;
  absl::CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_) =
      absl::UnavailableError("no generation has been announced yet");
  std::shared_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;  // last: it uses everything above
};

absl::StatusOr<std::unique_ptr<GenerationWatcher>> GenerationWatcher::Create(
    const ConnectOptions& options, Callback callback) {
  absl::StatusOr<std::shared_ptr<const Channel>> channel =
      Channel::Create(options, "qasino-ingest");
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<GenerationWatcher>(
      new GenerationWatcher(std::make_unique<State>(*std::move(channel), std::move(callback))));
}

GenerationWatcher::GenerationWatcher(std::unique_ptr<State> state) : state_(std::move(state)) {}
GenerationWatcher::~GenerationWatcher() = default;

absl::Status GenerationWatcher::status() const { return state_->status(); }

}  // namespace qasino::client
