#include "services/query/query_call.h"

#include <fmt/format.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <string>
#include <string_view>
#include <utility>

namespace qasino::query {
namespace {

// Messages filled ahead of the client. Two keep both sides busy.
constexpr size_t kMostWaiting = 2;

// Of a status's message, which SQLite may make of a name as long as a statement. gRPC clients
// take 8 KiB of headers, where a byte may become three; past that they would report another
// error.
constexpr size_t kMostMessageBytes = 2000;

std::string Shortened(std::string_view message) {
  if (message.size() <= kMostMessageBytes) return std::string(message);
  size_t end = kMostMessageBytes;
  // Not within a character.
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xc0) == 0x80) --end;
  return fmt::format("{} ...", message.substr(0, end));
}

absl::Status TooManyWait() {
  return absl::ResourceExhaustedError(
      "too many queries wait to run (--max-queries, --query-threads); try again");
}

}  // namespace

QueryCall::QueryCall(grpc::CallbackServerContext* context, Environment environment)
    : context_(context), environment_(std::move(environment)) {}

std::shared_ptr<QueryCall> QueryCall::Create(grpc::CallbackServerContext* context,
                                             Environment environment) {
  std::shared_ptr<QueryCall> call(new QueryCall(context, std::move(environment)));
  call->self_ = call;
  return call;
}

void QueryCall::Start(const grpc::ByteBuffer& request) {
  grpc::ByteBuffer bytes(request);
  grpc::ProtoBufferReader reader(&bytes);
  if (!reader.status().ok() || !request_.ParseFromZeroCopyStream(&reader)) {
    Refuse(absl::InvalidArgumentError(
        "the message is not a QueryRequest (texts must be valid UTF-8)"));
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    finding_ = true;
  }
  const auto found =
      [self = shared_from_this()](absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) {
        self->Found(std::move(snapshot));
      };
  if (!environment_.find(request_, found) && EndFind()) Begin();
}

void QueryCall::Found(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) {
  if (!EndFind()) return;
  if (!snapshot.ok()) {
    Refuse(snapshot.status());
    return;
  }
  snapshot_ = *std::move(snapshot);
  Begin();
}

bool QueryCall::EndFind() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(finding_, false);
}

void QueryCall::Begin() {
  if (environment_.run([this] { Work(); })) return;
  Refuse(TooManyWait());
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
    absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot = std::move(snapshot_);
    if (*snapshot == nullptr) snapshot = environment_.snapshot();
    if (!snapshot.ok()) return snapshot.status();
    absl::StatusOr<Snapshot::Connection> connection = (*snapshot)->Connect();
    if (!connection.ok()) return connection.status();
    absl::StatusOr<std::unique_ptr<Cursor>> cursor =
        Cursor::Open(*std::move(connection), request_, environment_.limits, &cancellation_);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *std::move(cursor);
  }
  return cursor_->Next(response);
}

void QueryCall::Work() {
  for (;;) {
    message_.Clear();
    absl::Status status = Fill(message_);
    bool last = !status.ok() || cursor_->done();
    const uint64_t rows = cursor_ == nullptr ? 0 : cursor_->rows();
    grpc::ByteBuffer bytes;
    const bool send = status.ok() || message_.has_batch();
    if (send) {
      bool own_buffer;
      const grpc::Status made =
          grpc::SerializationTraits<v1::QueryResponse>::Serialize(message_, &bytes, &own_buffer);
      if (!made.ok()) {
        status = absl::InternalError("the answer cannot be serialized: " + made.error_message());
        last = true;
      }
    }
    // The statement lets go of its snapshot before the client hears of the end.
    if (last) cursor_.reset();
    bool go_on;
    Step step;
    grpc::Status end;
    {
      absl::MutexLock lock(&mutex_);
      rows_ = rows;
      if (send && bytes.Valid()) waiting_.push_back(std::move(bytes));
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
  if (finishing_ || writing_) return Step::kNothing;
  if (!waiting_.empty()) {
    outgoing_ = std::move(waiting_.front());
    waiting_.pop_front();
    writing_ = true;
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
  const absl::string_view message = end_.message();
  return grpc::Status(static_cast<grpc::StatusCode>(end_.code()),
                      Shortened({message.data(), message.size()}));
}

void QueryCall::Do(Step step, grpc::Status status) {
  switch (step) {
    case Step::kNothing:
      return;
    case Step::kWrite:
      StartWrite(&outgoing_);
      return;
    case Step::kWriteAndFinish:
      StartWriteAndFinish(&outgoing_, grpc::WriteOptions(), status);
      return;
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
    writing_ = false;
    outgoing_.Clear();
    if (!ok) {
      // The client is gone. A worker is stopped and ends by itself.
      cancellation_.Cancel();
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
    Refuse(TooManyWait());
  }
}

bool QueryCall::IsStuck(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  return writing_ && !working_ && !finishing_ && now > environment_.limits.deadline;
}

void QueryCall::InterruptOverdue(absl::Time now) {
  if (now > environment_.limits.deadline) cancellation_.Interrupt();
}

void QueryCall::CancelFromOutside() {
  {
    absl::MutexLock lock(&mutex_);
    if (finishing_) return;
    ++holds_;
  }
  cancellation_.Cancel();
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

void QueryCall::EndOverdueFind(absl::Time now) {
  if (now <= environment_.limits.deadline || !EndFind()) return;
  Refuse(absl::DeadlineExceededError(
      fmt::format("the snapshot was not there within {}", environment_.limits.deadline_words)));
}

void QueryCall::OnCancel() {
  cancellation_.Cancel();
  if (EndFind()) Refuse(absl::CancelledError("the query was cancelled"));
}

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
