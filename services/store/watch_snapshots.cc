#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <prometheus/gauge.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "services/store/calls.h"
#include "services/store/grpc_status.h"
#include "services/store/messages.h"

namespace qasino::store {
namespace {

using Response = v1::WatchSnapshotsResponse;
using SnapshotName = std::pair<int64_t, int64_t>;  // generation and revision

// One watcher. Nothing is queued for it: when it can take a message it is sent the
// newest snapshot, if it has not been sent that one.
//
// gRPC's operations are begun with the lock held, so that none follows Finish; they
// only begin something and call nothing back.
class WatchSnapshots : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public Stream {
 public:
  WatchSnapshots(Calls* calls, grpc::CallbackServerContext* context)
      : calls_(calls), context_(context) {}
  ~WatchSnapshots() override { calls_->watches.Remove(this); }

  void Start(std::shared_ptr<WatchSnapshots> self, const grpc::ByteBuffer& message) {
    self_ = self;
    v1::WatchSnapshotsRequest request;
    absl::Status status = ParseSmallMessage(message, request);
    if (status.ok()) status = calls_->watches.Add(self);
    absl::MutexLock lock(&mutex_);
    started_ = true;
    from_ = {request.from_generation(), request.from_revision()};
    if (!status.ok()) {
      end_ = ToGrpc(status);
      ending_ = true;
    } else {
      calls_->metrics->watchers->Increment();
      counted_ = true;
      // The first answer comes at once, even if there is no snapshot to tell of.
      progress_due_ = true;
    }
    Continue();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = nullptr;
    if (!ok && !ending_) {
      end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the watcher is gone");
      ending_ = true;
    }
    Continue();
  }

  void OnCancel() override {
    EndWith(grpc::Status(grpc::StatusCode::CANCELLED, "the watcher is gone"));
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
    }
    if (counted_) calls_->metrics->watchers->Decrement();
    const std::shared_ptr<WatchSnapshots> last = std::move(self_);
  }

  void NewestChanged() override {
    absl::MutexLock lock(&mutex_);
    Continue();
  }

  void Tick(absl::Time now) override {
    absl::MutexLock lock(&mutex_);
    if (done_) return;
    if (writing_ == nullptr) {
      progress_due_ = true;
      Continue();
    } else if (now - writing_since_ > calls_->idle_limit) {
      context_->TryCancel();
    }
  }

  void End() override {
    EndWith(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the store is stopping"));
  }

  void Abort() override {
    absl::MutexLock lock(&mutex_);
    if (!done_) context_->TryCancel();
  }

 private:
  void EndWith(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (ending_) return;
    end_ = status;
    ending_ = true;
    Continue();
  }

  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!started_ || writing_ != nullptr || finished_) return;
    if (ending_) {
      finished_ = true;
      Finish(end_);
      return;
    }
    SnapshotKeeper::NewestPtr newest = calls_->keeper->newest();
    const SnapshotName name(newest->manifest().generation(), newest->manifest().revision());
    if (name >= from_) {
      from_ = {name.first, name.second + 1};
    } else if (progress_due_) {
      auto progress = std::make_shared<Response>();
      progress->set_oldest_generation(newest->oldest_generation());
      newest = std::move(progress);
    } else {
      return;
    }
    progress_due_ = false;
    writing_ = std::make_unique<grpc::ByteBuffer>();
    if (grpc::Status written = WriteMessage(*newest, writing_.get()); !written.ok()) {
      finished_ = true;
      Finish(std::move(written));
      return;
    }
    writing_since_ = calls_->steady_clock();
    StartWrite(writing_.get());
  }

  Calls* const calls_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<WatchSnapshots> self_;  // until gRPC is done with it
  bool counted_ = false;                  // set before, read after every other call

  absl::Mutex mutex_;
  SnapshotName from_ ABSL_GUARDED_BY(mutex_);  // the least that it is to be sent
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool progress_due_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<grpc::ByteBuffer> writing_ ABSL_GUARDED_BY(mutex_);
  absl::Time writing_since_ ABSL_GUARDED_BY(mutex_);
  grpc::Status end_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;  // the context is no more
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartWatchSnapshots(
    Calls* calls, grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto watch = std::make_shared<WatchSnapshots>(calls, context);
  watch->Start(watch, *request);
  return watch.get();
}

}  // namespace qasino::store
