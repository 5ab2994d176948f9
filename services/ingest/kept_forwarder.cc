#include "services/ingest/kept_forwarder.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "qasino/v1/snapshot.grpc.pb.h"

namespace qasino::ingest {
namespace {

// Jobs of the same have an order.
std::string LineOf(const v1::PublishRequest& publish) {
  const std::string table = absl::AsciiStrToLower(publish.table().name());
  // Neither has a control character.
  return publish.static_() ? absl::StrCat("static\n", table)
                           : absl::StrCat(table, "\n", publish.identity());
}

absl::Status Stopping() { return absl::UnavailableError("ingest is stopping; try again"); }

// A request with a table that is another's: no copy is made of it.
template <typename Request>
class Borrowing {
 public:
  ~Borrowing() { request_.unsafe_arena_release_table(); }
  // Serializing a message changes nothing in it but sizes that it caches.
  void Borrow(const v1::Table& table) {
    request_.unsafe_arena_set_allocated_table(const_cast<v1::Table*>(&table));
  }
  Request& operator*() { return request_; }
  Request* operator->() { return &request_; }

 private:
  Request request_;
};

}  // namespace

struct KeptForwarder::Stub {
  // The channel first: it goes last, and not on a thread of gRPC's.
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::SnapshotStore::Stub> stub;
};

struct KeptForwarder::Job {
  KeptPut put;
  KeptDone done;
  std::string line;
  int64_t bytes = 0;
  absl::Time begun;
  KeptAnswer answer;

  // Of the call that runs; changed under the lock.
  std::shared_ptr<grpc::ClientContext> context;
  Borrowing<v1::PutStaticTableRequest> put_static;
  v1::PutStaticTableResponse put_static_response;
  Borrowing<v1::PutPersistentTableRequest> put_persistent;
  v1::PutPersistentTableResponse put_persistent_response;
  v1::DropPersistentTableRequest drop;
  v1::DropPersistentTableResponse drop_response;
};

KeptForwarder::KeptForwarder(const Options& options, std::shared_ptr<grpc::Channel> store,
                             Metrics& metrics)
    : options_(options), metrics_(metrics), stub_(std::make_unique<Stub>()) {
  stub_->channel = std::move(store);
  stub_->stub = v1::SnapshotStore::NewStub(stub_->channel);
}

KeptForwarder::~KeptForwarder() { Stop(); }

void KeptForwarder::Forward(const KeptPut& put, KeptDone done) {
  auto job = std::make_unique<Job>();
  job->put = put;
  job->done = std::move(done);
  job->line = LineOf(*put.publish);
  job->bytes = static_cast<int64_t>(put.publish->table().ByteSizeLong());
  job->begun = absl::Now();
  std::vector<Job*> ready;
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      auto& line = lines_[job->line];
      line.push_back(std::move(job));
      if (line.size() == 1) ready_.push_back(line.front().get());
      ready = TakeReady();
    }
  }
  if (job != nullptr) job->done({.status = Stopping()});
  for (Job* one : ready) Start(one);
}

std::vector<KeptForwarder::Job*> KeptForwarder::TakeReady() {
  std::vector<Job*> taken;
  while (!ready_.empty()) {
    Job* const job = ready_.front();
    if (!running_.empty() && (static_cast<int64_t>(running_.size()) >= options_.calls ||
                              running_bytes_ + job->bytes > options_.bytes)) {
      break;
    }
    ready_.pop_front();
    job->context = std::make_shared<grpc::ClientContext>();
    running_.insert(job);
    running_bytes_ += job->bytes;
    ++active_;
    taken.push_back(job);
  }
  return taken;
}

void KeptForwarder::Start(Job* job) {
  const v1::PublishRequest& publish = *job->put.publish;
  job->context->set_deadline(absl::ToChronoTime(job->begun + options_.timeout));
  const auto then = [this, job](const grpc::Status& status) { Put(job, status); };
  if (publish.static_()) {
    job->put_static->set_identity(publish.identity());
    job->put_static.Borrow(publish.table());
    stub_->stub->async()->PutStaticTable(job->context.get(), &*job->put_static,
                                         &job->put_static_response, then);
    return;
  }
  v1::PutPersistentTableRequest& request = *job->put_persistent;
  request.set_identity(publish.identity());
  job->put_persistent.Borrow(publish.table());
  request.set_generation(job->put.generation);
  request.set_update(publish.update());
  *request.mutable_keycols() = publish.keycols();
  stub_->stub->async()->PutPersistentTable(job->context.get(), &request,
                                           &job->put_persistent_response, then);
}

void KeptForwarder::StartDrop(Job* job) {
  const v1::PublishRequest& publish = *job->put.publish;
  job->context->set_deadline(absl::ToChronoTime(job->begun + options_.timeout));
  job->drop.set_identity(publish.identity());
  job->drop.set_table_name(publish.table().name());
  job->drop.set_generation(job->put.generation + 1);
  stub_->stub->async()->DropPersistentTable(
      job->context.get(), &job->drop, &job->drop_response, [this, job](const grpc::Status& status) {
        // What is not carried needs no dropping.
        const bool dropped = status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND;
        Finish(job, dropped ? grpc::Status::OK : status);
      });
}

void KeptForwarder::Put(Job* job, const grpc::Status& status) {
  if (status.ok()) {
    if (job->put.publish->static_()) {
      job->answer.generation = job->put_static_response.generation();
    } else {
      job->answer.generation = job->put_persistent_response.generation();
      job->answer.duplicate = job->put_persistent_response.duplicate();
    }
    if (job->put.then_drop) {
      std::shared_ptr<grpc::ClientContext> over;  // outlives the lock
      bool go_on = false;
      {
        absl::MutexLock lock(&mutex_);
        over = std::move(job->context);
        job->context = std::make_shared<grpc::ClientContext>();
        go_on = !stopping_;
      }
      if (go_on) {
        StartDrop(job);
      } else {
        Finish(job, grpc::Status::CANCELLED);
      }
      return;
    }
  }
  Finish(job, status);
}

void KeptForwarder::Finish(Job* job, const grpc::Status& status) {
  job->answer.status = StatusOf(*job, status);
  metrics_.forward_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - job->begun));
  std::unique_ptr<Job> finished;
  std::vector<Job*> ready;
  {
    absl::MutexLock lock(&mutex_);
    running_.erase(job);
    running_bytes_ -= job->bytes;
    const auto line = lines_.find(job->line);
    finished = std::move(line->second.front());
    line->second.pop_front();
    if (line->second.empty()) {
      lines_.erase(line);
    } else {
      ready_.push_back(line->second.front().get());
    }
    ready = TakeReady();
  }
  for (Job* one : ready) Start(one);
  // The table is borrowed from who is answered.
  const KeptDone done = std::move(finished->done);
  KeptAnswer answer = std::move(finished->answer);
  finished.reset();
  done(std::move(answer));
  absl::MutexLock lock(&mutex_);
  --active_;
}

absl::Status KeptForwarder::StatusOf(const Job& job, const grpc::Status& status) const {
  const auto away = [&](const std::string& why) {
    return absl::UnavailableError(absl::StrCat("table '", job.put.publish->table().name(),
                                               "': the store is away: ", why, "; try again"));
  };
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::CANCELLED: {
      absl::MutexLock lock(&mutex_);
      return stopping_ ? Stopping() : away(status.error_message());
    }
    case grpc::StatusCode::UNAVAILABLE:
      return away(status.error_message());
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return away(absl::StrCat("no answer in ", absl::FormatDuration(options_.timeout)));
    default:
      return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                          status.error_message());
  }
}

void KeptForwarder::Stop() {
  std::vector<std::unique_ptr<Job>> waiting;
  std::vector<std::shared_ptr<grpc::ClientContext>> running;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    ready_.clear();
    for (auto it = lines_.begin(); it != lines_.end();) {
      std::deque<std::unique_ptr<Job>>& line = it->second;
      const size_t kept = running_.contains(line.front().get()) ? 1 : 0;
      while (line.size() > kept) {
        waiting.push_back(std::move(line.back()));
        line.pop_back();
      }
      const auto here = it++;
      if (kept == 0) lines_.erase(here);
    }
    for (const Job* job : running_) running.push_back(job->context);
  }
  // Without the lock: gRPC may go on with what follows in this thread.
  for (const auto& context : running) context->TryCancel();
  running.clear();
  for (const auto& job : waiting) job->done({.status = Stopping()});
  {
    absl::MutexLock lock(&mutex_);
    const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return active_ == 0; };
    mutex_.Await(absl::Condition(&none));
  }
  stub_.reset();
}

}  // namespace qasino::ingest
