#include "services/query/query_call.h"

#include <fmt/format.h>
#include <grpc/grpc.h>

#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "services/query/wire.h"

namespace qasino::query {
namespace {

// Messages filled ahead of the client. Two keep both sides busy.
constexpr size_t kMostWaiting = 2;

// A larger message is sent before the status, not with it: a client that does not read it can be
// ended from outside only until the status is on its way. Smaller ones go out without being read.
constexpr size_t kMostWithStatus = 32 << 10;

// Of a status's message, which SQLite may make of a name as long as a statement. gRPC clients
// take 8 KiB of headers, where a byte may become three; past that they would report another
// error.
constexpr size_t kMostMessageBytes = 2000;

std::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// Without copying what is long.
grpc::Slice ToSlice(std::string bytes) {
  constexpr size_t kLong = 4096;
  if (bytes.size() < kLong) return grpc::Slice(bytes);
  auto* const owned = new std::string(std::move(bytes));
  return grpc::Slice(
      owned->data(), owned->size(), [](void* string) { delete static_cast<std::string*>(string); },
      owned);
}

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

QueryCall::QueryCall(grpc::CallbackServerContext* context, Host* host, CursorOptions limits)
    : context_(context), host_(host), limits_(std::move(limits)) {}

std::shared_ptr<QueryCall> QueryCall::Create(grpc::CallbackServerContext* context, Host* host,
                                             CursorOptions limits) {
  std::shared_ptr<QueryCall> call(new QueryCall(context, host, std::move(limits)));
  call->self_ = call;
  return call;
}

void QueryCall::Start(const grpc::ByteBuffer& request) {
  if (!request.TrySingleSlice(&request_bytes_).ok() &&
      !request.DumpToSingleSlice(&request_bytes_).ok()) {
    Refuse(absl::InternalError("the request cannot be read"));
    return;
  }
  if (ResultCache* const cache = host_->Cache(); cache != nullptr) {
    // Kept under the newest snapshot is only what is asked of that one, so that the request
    // need not be understood first.
    const absl::StatusOr<std::shared_ptr<const Snapshot>> newest = host_->Newest();
    if (newest.ok()) {
      if (auto answer = cache->Find((*newest)->id(), View(request_bytes_)); answer != nullptr) {
        Send(std::move(answer), AnswerFrom::kCache);
        return;
      }
    }
  }
  if (request_bytes_.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !request_.emplace().ParseFromArray(request_bytes_.begin(),
                                         static_cast<int>(request_bytes_.size()))) {
    Refuse(absl::InvalidArgumentError(
        "the message is not a QueryRequest (texts must be valid UTF-8)"));
    return;
  }
  StartWait();
  const auto found =
      [self = shared_from_this()](absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) {
        self->Found(std::move(snapshot));
      };
  if (!host_->Find(*request_, found) && EndWait()) Begin();
}

void QueryCall::StartWait() {
  absl::MutexLock lock(&mutex_);
  in_wait_ = true;
}

bool QueryCall::EndWait() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(in_wait_, false);
}

void QueryCall::Found(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) {
  if (!EndWait()) return;
  if (!snapshot.ok()) {
    Refuse(snapshot.status());
    return;
  }
  snapshot_ = *std::move(snapshot);
  Begin();
}

void QueryCall::Begin() {
  if (snapshot_ == nullptr) {
    absl::StatusOr<std::shared_ptr<const Snapshot>> newest = host_->Newest();
    if (!newest.ok()) {
      Refuse(newest.status());
      return;
    }
    snapshot_ = *std::move(newest);
  }
  if (request_->has_unless_snapshot() && !request_->running()) {
    if (IsUnchanged()) {
      SendUnchanged();
      return;
    }
    // What the client has seen is no part of the question.
    request_->clear_unless_snapshot();
    request_bytes_ = ToSlice(request_->SerializeAsString());
  }
  ResultCache* const cache = host_->Cache();
  // A copy of the running generation is never asked twice.
  if (cache == nullptr || request_->running()) {
    Take({}, AnswerFrom::kRun);
    return;
  }
  StartWait();
  ResultCache::Advice advice = cache->Ask(snapshot_->id(), snapshot_, View(request_bytes_),
                                          limits_.deadline, shared_from_this());
  if (advice.flight == nullptr) {
    if (EndWait()) Take(std::move(advice), AnswerFrom::kCache);
    return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (in_wait_) {
      flight_ = std::move(advice.flight);
      return;
    }
  }
  // It has been told meanwhile, or its client has gone away.
  cache->Leave(advice.flight, this);
}

void QueryCall::Told(ResultCache::Advice advice) {
  if (EndWait()) Take(std::move(advice), AnswerFrom::kOthersRun);
}

void QueryCall::Take(ResultCache::Advice advice, AnswerFrom from) {
  if (advice.answer != nullptr) {
    Send(std::move(advice.answer), from);
    return;
  }
  recording_ = std::move(advice.recording);
  if (host_->Run([this] { Work(); })) return;
  recording_.reset();
  Refuse(TooManyWait());
}

void QueryCall::Send(std::shared_ptr<const ResultCache::Answer> answer, AnswerFrom from) {
  snapshot_.reset();
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    working_ = false;
    ended_ = true;
    rows_ = answer->rows();
    from_ = from;
    answer_ = std::move(answer);
    step = NextStep();
    end = EndStatus();
  }
  Do(step, std::move(end));
}

bool QueryCall::IsUnchanged() const {
  const v1::KnownSnapshot& known = request_->unless_snapshot();
  const v1::SnapshotInfo& now = snapshot_->info();
  return known.generation() == now.generation() && known.revision() == now.revision() &&
         (known.store_id().empty() || known.store_id() == now.store_id()) &&
         (!known.has_views() || known.views() == now.views());
}

void QueryCall::SendUnchanged() {
  v1::QueryResponse response;
  *response.mutable_header()->mutable_snapshot() = snapshot_->info();
  snapshot_.reset();
  response.mutable_summary()->set_unchanged(true);
  const grpc::Slice slice = ToSlice(response.SerializeAsString());
  Step step;
  grpc::Status end;
  {
    absl::MutexLock lock(&mutex_);
    working_ = false;
    ended_ = true;
    from_ = AnswerFrom::kUnchanged;
    waiting_.emplace_back(&slice, 1);
    step = NextStep();
    end = EndStatus();
  }
  Do(step, std::move(end));
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

absl::Status QueryCall::Fill(std::string& message) {
  if (cursor_ == nullptr) {
    absl::StatusOr<Snapshot::Connection> connection = snapshot_->Connect();
    snapshot_.reset();
    if (!connection.ok()) return connection.status();
    absl::StatusOr<std::unique_ptr<Cursor>> cursor =
        Cursor::Open(*std::move(connection), *request_, limits_, &cancellation_);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *std::move(cursor);
    // Those who wait need not wait for the first row.
    if (recording_ != nullptr && !cursor_->repeatable()) {
      recording_->GiveUp();
      recording_.reset();
    }
  }
  return cursor_->Next(message);
}

void QueryCall::Record(const absl::Status& status, const grpc::ByteBuffer& message) {
  if (!status.ok()) {
    recording_->Fail(status);
  } else if (!cursor_->repeatable()) {
    recording_->GiveUp();
  } else if (std::shared_ptr<const void> room = recording_->Add(message); room != nullptr) {
    const bool whole = cursor_->done();
    if (whole) recording_->Complete(cursor_->rows(), cursor_->truncated());
    absl::MutexLock lock(&mutex_);
    room_ = std::move(room);
    if (!whole) return;
    from_ = AnswerFrom::kRunAndKept;
  }
  recording_.reset();
}

void QueryCall::Work() {
  for (;;) {
    std::string message;
    const absl::Status status = Fill(message);
    const bool last = !status.ok() || cursor_->done();
    const uint64_t rows = cursor_ == nullptr ? 0 : cursor_->rows();
    const bool send = status.ok() || !message.empty();
    grpc::ByteBuffer bytes;
    if (send) {
      const grpc::Slice slice = ToSlice(std::move(message));
      bytes = grpc::ByteBuffer(&slice, 1);
      if (recording_ != nullptr) Record(status, bytes);
      if (last && status.ok()) {
        bytes = WithSummary(absl::MakeConstSpan(&slice, 1), rows, cursor_->truncated());
      }
    } else if (recording_ != nullptr) {
      Record(status, bytes);
    }
    // The statement lets go of its snapshot before the client hears of the end.
    if (last) cursor_.reset();
    bool go_on;
    Step step;
    grpc::Status end;
    {
      absl::MutexLock lock(&mutex_);
      rows_ = rows;
      if (send) waiting_.push_back(std::move(bytes));
      if (last) {
        ended_ = true;
        end_ = status;
      }
      step = NextStep();
      go_on = !last && (waiting_.size() < kMostWaiting || recording_ != nullptr);
      working_ = go_on;
      end = EndStatus();
    }
    Do(step, std::move(end));
    // Without going on, this object may be gone by now.
    if (!go_on) return;
  }
}

grpc::ByteBuffer QueryCall::WithSummary(absl::Span<const grpc::Slice> message, uint64_t rows,
                                        bool truncated) const {
  char summary[wire::kMostSummary];
  const char* const end = wire::PutSummary(rows, truncated, absl::Now() - limits_.arrived, summary);
  // A message is its fields one after the other.
  absl::InlinedVector<grpc::Slice, 4> slices(message.begin(), message.end());
  slices.emplace_back(summary, end - summary);
  return grpc::ByteBuffer(slices.data(), slices.size());
}

QueryCall::Step QueryCall::NextStep() {
  if (finishing_ || writing_) return Step::kNothing;
  if (HasMessage()) {
    if (answer_ == nullptr) {
      outgoing_ = std::move(waiting_.front());
      waiting_.pop_front();
    } else if (++sent_ < answer_->messages().size()) {
      outgoing_ = answer_->messages()[sent_ - 1];
    } else {
      outgoing_ = WithSummary(answer_->last_message(), answer_->rows(), answer_->truncated());
    }
    writing_ = true;
    if (!ended_ || HasMessage() || holds_ > 0 || outgoing_.Length() > kMostWithStatus) {
      return Step::kWrite;
    }
    finishing_ = true;
    return Step::kWriteAndFinish;
  }
  if (!ended_ || holds_ > 0) return Step::kNothing;
  finishing_ = true;
  return Step::kFinish;
}

bool QueryCall::HasMessage() const {
  return answer_ == nullptr ? !waiting_.empty() : sent_ < answer_->messages().size();
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
  std::shared_ptr<const void> room;
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
      if (answer_ != nullptr && HasMessage()) {
        sent_ = answer_->messages().size();
        end_ = absl::CancelledError("the query was cancelled");
      }
    }
    step = NextStep();
    if (!working_ && waiting_.size() < kMostWaiting) {
      room = std::move(room_);
      resume = !ended_;
      working_ = resume;
    }
    end = EndStatus();
  }
  Do(step, std::move(end));
  // The call cannot end while it is marked as being worked on.
  if (resume && !host_->Run([this] { Work(); })) {
    Refuse(TooManyWait());
  }
}

void QueryCall::InterruptOverdue(absl::Time now) {
  if (now > limits_.deadline) cancellation_.Interrupt();
}

void QueryCall::EndOverdueWrite(absl::Time now) {
  {
    absl::MutexLock lock(&mutex_);
    if (!writing_ || working_ || finishing_ || now <= limits_.deadline) return;
    overdue_ = true;
    ++holds_;
  }
  cancellation_.Cancel();
  // As TryCancel, which has no words of ours: a status goes out past the write that waits.
  const std::string why =
      fmt::format("the answer was not read whole within {}", limits_.deadline_words);
  grpc_call_cancel_with_status(context_->c_call(), GRPC_STATUS_DEADLINE_EXCEEDED, why.c_str(),
                               nullptr);
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

void QueryCall::EndOverdueWait(absl::Time now) {
  if (now <= limits_.deadline) return;
  std::shared_ptr<ResultCache::Flight> flight;
  {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(in_wait_, false)) return;
    flight = std::move(flight_);
  }
  if (flight == nullptr) {
    Refuse(absl::DeadlineExceededError(
        fmt::format("the snapshot was not there within {}", limits_.deadline_words)));
    return;
  }
  host_->Cache()->Leave(flight, this);
  Refuse(absl::DeadlineExceededError(
      fmt::format("the query ran longer than {}", limits_.deadline_words)));
}

void QueryCall::OnCancel() {
  cancellation_.Cancel();
  std::shared_ptr<ResultCache::Flight> flight;
  {
    absl::MutexLock lock(&mutex_);
    if (!std::exchange(in_wait_, false)) return;
    flight = std::move(flight_);
  }
  if (flight != nullptr) host_->Cache()->Leave(flight, this);
  Refuse(absl::CancelledError("the query was cancelled"));
}

void QueryCall::OnDone() {
  QueryOutcome outcome;
  {
    absl::MutexLock lock(&mutex_);
    outcome.code = overdue_ ? absl::StatusCode::kDeadlineExceeded : end_.code();
    outcome.rows = rows_;
    outcome.from = from_;
  }
  outcome.elapsed = absl::Now() - limits_.arrived;
  const std::shared_ptr<QueryCall> self = std::move(self_);
  host_->Over(this, outcome);
}

}  // namespace qasino::query
