#include "services/query/query_call.h"

#include <utility>

namespace qasino::query {
namespace {

// Messages filled ahead of the client. Two keep both sides busy.
constexpr size_t kMostWaiting = 2;

}  // namespace

QueryCall::QueryCall(grpc::CallbackServerContext* context, const v1::QueryRequest* request,
                     Environment environment)
    : context_(context), request_(request), environment_(std::move(environment)) {}

std::shared_ptr<QueryCall> QueryCall::Create(grpc::CallbackServerContext* context,
                                             const v1::QueryRequest* request,
                                             Environment environment) {
  std::shared_ptr<QueryCall> call(new QueryCall(context, request, std::move(environment)));
  call->self_ = call;
  return call;
}

void QueryCall::Start() {
  if (environment_.run([this] { Work(); })) return;
  Refuse(absl::ResourceExhaustedError("too many queries wait for a thread (--query-threads)"));
}

void QueryCall::Refuse(absl::Status status) {
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    working_ = false;
    ended_ = true;
    end_ = std::move(status);
    step = NextStep();
    end = EndStatus();
  }
  Do(step, std::move(end));
}

absl::Status QueryCall::Fill(v1::QueryResponse& response) {
  if (cursor_ == nullptr) {
    absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = environment_.snapshot();
    if (!snapshot.ok()) return snapshot.status();
    absl::StatusOr<Snapshot::Connection> connection = (*snapshot)->Connect();
    if (!connection.ok()) return connection.status();
    absl::StatusOr<std::unique_ptr<Cursor>> cursor =
        Cursor::Open(*std::move(connection), *request_, environment_.limits, &cancelled_);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *std::move(cursor);
  }
  return cursor_->Next(response);
}

QueryCall::Message QueryCall::Spare() {
  Message message;
  {
    absl::MutexLock lock(&mutex_);
    if (!spare_.empty()) {
      message = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  if (message == nullptr) return std::make_unique<v1::QueryResponse>();
  message->Clear();
  return message;
}

void QueryCall::Work() {
  for (;;) {
    Message message = Spare();
    const absl::Status status = Fill(*message);
    const bool last = !status.ok() || cursor_->done();
    const uint64_t rows = cursor_ == nullptr ? 0 : cursor_->rows();
    // The statement lets go of its snapshot before the client hears of the end.
    if (last) cursor_.reset();
    bool go_on;
    Step step;
    grpc::Status end;
    {
      absl::MutexLock lock(&mutex_);
      rows_ = rows;
      if (status.ok() || message->has_batch()) waiting_.push_back(std::move(message));
      if (last) {
        ended_ = true;
        end_ = status;
      }
      step = NextStep();
      go_on = !last && waiting_.size() < kMostWaiting;
      working_ = go_on;
      end = EndStatus();
    }
    Do(step, std::move(end));
    // Without going on, this object may be gone by now.
    if (!go_on) return;
  }
}

QueryCall::Step QueryCall::NextStep() {
  if (finishing_ || in_flight_ != nullptr) return Step::kNothing;
  if (!waiting_.empty()) {
    in_flight_ = std::move(waiting_.front());
    waiting_.pop_front();
    if (!ended_ || !waiting_.empty() || holds_ > 0) return Step::kWrite;
    finishing_ = true;
    return Step::kWriteAndFinish;
  }
  if (!ended_ || holds_ > 0) return Step::kNothing;
  finishing_ = true;
  return Step::kFinish;
}

grpc::Status QueryCall::EndStatus() const {
  if (end_.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(end_.code()), std::string(end_.message()));
}

void QueryCall::Do(Step step, grpc::Status status) {
  switch (step) {
    case Step::kNothing:
      return;
    case Step::kWrite: {
      v1::QueryResponse* message;
      {
        absl::MutexLock lock(&mutex_);
        message = in_flight_.get();
      }
      StartWrite(message);
      return;
    }
    case Step::kWriteAndFinish: {
      v1::QueryResponse* message;
      {
        absl::MutexLock lock(&mutex_);
        message = in_flight_.get();
      }
      StartWriteAndFinish(message, grpc::WriteOptions(), status);
      return;
    }
    case Step::kFinish:
      Finish(status);
      return;
  }
}

void QueryCall::OnWriteDone(bool ok) {
  bool resume = false;
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    if (spare_.size() < kMostWaiting) spare_.push_back(std::move(in_flight_));
    in_flight_.reset();
    if (!ok) {
      // The client is gone. A worker sees `cancelled_` and ends by itself.
      cancelled_.store(true);
      waiting_.clear();
    }
    if (!working_ && !ended_) {
      working_ = true;
      resume = true;
    }
    step = NextStep();
    end = EndStatus();
  }
  Do(step, std::move(end));
  // The call cannot end while it is marked as being worked on.
  if (resume && !environment_.run([this] { Work(); })) {
    Refuse(absl::ResourceExhaustedError("too many queries wait for a thread (--query-threads)"));
  }
}

bool QueryCall::IsStuck(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  return in_flight_ != nullptr && !working_ && !finishing_ && now > environment_.limits.deadline;
}

void QueryCall::CancelFromOutside() {
  {
    absl::MutexLock lock(&mutex_);
    if (finishing_) return;
    ++holds_;
  }
  cancelled_.store(true);
  context_->TryCancel();
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    --holds_;
    step = NextStep();
    end = EndStatus();
  }
  Do(step, std::move(end));
}

void QueryCall::OnCancel() { cancelled_.store(true); }

void QueryCall::OnDone() {
  QueryOutcome outcome;
  {
    absl::MutexLock lock(&mutex_);
    outcome.code = end_.code();
    outcome.rows = rows_;
  }
  outcome.elapsed = absl::Now() - environment_.limits.arrived;
  const std::shared_ptr<QueryCall> self = std::move(self_);
  environment_.over(this, outcome);
}

}  // namespace qasino::query
