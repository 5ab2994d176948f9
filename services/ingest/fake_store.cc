#include "services/ingest/fake_store.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "qasino/v1/snapshot.grpc.pb.h"

namespace qasino::ingest {

class FakeStore::Service final : public v1::SnapshotStore::Service {
 public:
  grpc::Status PutShard(grpc::ServerContext* context,
                        grpc::ServerReader<v1::PutShardRequest>* reader,
                        v1::PutShardResponse* response) override {
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      ++puts_;
      while (hold_ && !context->IsCancelled()) {
        changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(5));
      }
      if (context->IsCancelled()) return grpc::Status::CANCELLED;
      if (!answers_.empty()) {
        status = answers_.front();
        answers_.pop_front();
      }
    }
    if (!status.ok()) {
      return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                          std::string(status.message()));
    }
    StoredShard shard;
    v1::PutShardRequest request;
    while (reader->Read(&request)) {
      if (request.has_info()) {
        shard.info = request.info();
      } else {
        if (request.chunk().offset() != shard.bytes.size() ||
            request.chunk().data().size() > (1 << 20)) {
          return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a chunk is out of order");
        }
        shard.bytes += request.chunk().data();
      }
    }
    if (shard.bytes.size() != shard.info.size_bytes()) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bytes are missing");
    }
    absl::MutexLock lock(&mutex_);
    for (const StoredShard& held : shards_) {
      if (held.info.shard_id() == shard.info.shard_id()) {
        response->set_already_held(true);
        return grpc::Status::OK;
      }
    }
    shards_.push_back(std::move(shard));
    return grpc::Status::OK;
  }

  grpc::Status GetManifest(grpc::ServerContext*, const v1::GetManifestRequest* request,
                           v1::Manifest* manifest) override {
    absl::MutexLock lock(&mutex_);
    if (request->generation() != 0) return grpc::Status(grpc::StatusCode::NOT_FOUND, "not held");
    manifest->set_generation(newest_);
    return grpc::Status::OK;
  }

  grpc::Status PutStaticTable(grpc::ServerContext* context,
                              const v1::PutStaticTableRequest* request,
                              v1::PutStaticTableResponse* response) override {
    return Keep(context, {.put_static = *request}, [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      response->set_generation(kept_generation_);
      response->set_revision(1);
    });
  }

  grpc::Status PutPersistentTable(grpc::ServerContext* context,
                                  const v1::PutPersistentTableRequest* request,
                                  v1::PutPersistentTableResponse* response) override {
    return Keep(context, {.put_persistent = *request}, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      response->set_generation(std::max(request->generation(), kept_generation_));
      response->set_duplicate(std::exchange(kept_duplicate_, false));
    });
  }

  grpc::Status DropPersistentTable(grpc::ServerContext* context,
                                   const v1::DropPersistentTableRequest* request,
                                   v1::DropPersistentTableResponse*) override {
    return Keep(context, {.drop_persistent = *request}, [] {});
  }

  grpc::Status Keep(grpc::ServerContext* context, KeptCall call,
                    absl::FunctionRef<void()> respond) {
    absl::MutexLock lock(&mutex_);
    kept_.push_back(std::move(call));
    while (hold_kept_ && !context->IsCancelled()) {
      changed_.WaitWithTimeout(&mutex_, absl::Milliseconds(5));
    }
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    absl::Status status;
    if (!kept_answers_.empty()) {
      status = kept_answers_.front();
      kept_answers_.pop_front();
    }
    if (status.ok()) respond();
    return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                        std::string(status.message()));
  }

  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool hold_kept_ ABSL_GUARDED_BY(mutex_) = false;
  bool kept_duplicate_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t kept_generation_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<absl::Status> kept_answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptCall> kept_ ABSL_GUARDED_BY(mutex_);
  int puts_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<absl::Status> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<StoredShard> shards_ ABSL_GUARDED_BY(mutex_);
};

FakeStore::FakeStore() : service_(std::make_unique<Service>()) { Return(); }

FakeStore::~FakeStore() { Leave(); }

std::shared_ptr<grpc::Channel> FakeStore::Channel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_),
                                   grpc::InsecureChannelCredentials(), arguments);
}

void FakeStore::Leave() {
  Hold(false);
  server_->Shutdown(std::chrono::system_clock::now());
  // What was held to keep has ended without an answer.
  HoldKept(false);
  server_.reset();
}

void FakeStore::Return() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(service_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
}

void FakeStore::AnswerNext(absl::Status status) {
  absl::MutexLock lock(&service_->mutex_);
  service_->answers_.push_back(std::move(status));
}

void FakeStore::Hold(bool hold) {
  absl::MutexLock lock(&service_->mutex_);
  service_->hold_ = hold;
  service_->changed_.SignalAll();
}

void FakeStore::AnswerNextKept(absl::Status status) {
  absl::MutexLock lock(&service_->mutex_);
  service_->kept_answers_.push_back(std::move(status));
}

void FakeStore::HoldKept(bool hold) {
  absl::MutexLock lock(&service_->mutex_);
  service_->hold_kept_ = hold;
  service_->changed_.SignalAll();
}

void FakeStore::SetKeptGeneration(int64_t generation) {
  absl::MutexLock lock(&service_->mutex_);
  service_->kept_generation_ = generation;
}

void FakeStore::AnswerNextKeptAsDuplicate() {
  absl::MutexLock lock(&service_->mutex_);
  service_->kept_duplicate_ = true;
}

std::vector<KeptCall> FakeStore::AwaitKept(size_t count) {
  Service& service = *service_;
  absl::MutexLock lock(&service.mutex_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(service.mutex_) {
    return service.kept_.size() >= count;
  };
  service.mutex_.Await(absl::Condition(&enough));
  return service.kept_;
}

void FakeStore::SetNewest(int64_t generation) {
  absl::MutexLock lock(&service_->mutex_);
  service_->newest_ = generation;
}

std::vector<StoredShard> FakeStore::Await(size_t count) {
  Service& service = *service_;
  absl::MutexLock lock(&service.mutex_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(service.mutex_) {
    return service.shards_.size() >= count;
  };
  service.mutex_.Await(absl::Condition(&enough));
  return service.shards_;
}

std::vector<StoredShard> FakeStore::AwaitLast() {
  Service& service = *service_;
  absl::MutexLock lock(&service.mutex_);
  const auto last = [&]() ABSL_SHARED_LOCKS_REQUIRED(service.mutex_) {
    return !service.shards_.empty() && service.shards_.back().info.last();
  };
  service.mutex_.Await(absl::Condition(&last));
  return service.shards_;
}

void FakeStore::AwaitPuts(int count) {
  Service& service = *service_;
  absl::MutexLock lock(&service.mutex_);
  const auto enough = [&]() ABSL_SHARED_LOCKS_REQUIRED(service.mutex_) {
    return service.puts_ >= count;
  };
  service.mutex_.Await(absl::Condition(&enough));
}

}  // namespace qasino::ingest
