#include "clients/cpp/publish_stream.h"

#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "clients/cpp/backoff.h"
#include "clients/cpp/channel.h"
#include "clients/cpp/unreachable.h"

namespace qasino::client {
namespace {

using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::PublishStreamResponse>;

// With so many messages unanswered, small publishes are gathered until a message is full
// or an answer comes: a busy server gets few large messages, an idle one gets each
// publish at once.
constexpr size_t kMessagesBeforeGathering = 4;

// Publishes at least so long are not copied into a batch but are one of their own.
constexpr size_t kOwnBatchBytes = 64 << 10;

// With fail_when_away: how long the first publishes wait for a connection, how often it is
// looked for while the server is away, and the longest wait between streams.
constexpr absl::Duration kConnectTimeout = absl::Seconds(2);
constexpr absl::Duration kConnectLook = absl::Milliseconds(50);
constexpr absl::Duration kQuickBackoff = absl::Milliseconds(500);

// How long the server may take to end its side after everything is answered.
constexpr absl::Duration kCloseTimeout = absl::Seconds(5);

// `request` as field `publishes` of a PublishStreamRequest. Messages are made of these
// pieces by putting them behind each other, which is what the encoding of a repeated
// field is; so a publish is serialised once, by its sender, however often it is sent.
std::string Serialise(const v1::PublishRequest& request, size_t size) {
  using google::protobuf::io::CodedOutputStream;
  constexpr uint8_t kTag = v1::PublishStreamRequest::kPublishesFieldNumber << 3 | 2;
  std::string bytes(1 + CodedOutputStream::VarintSize64(size) + size, '\0');
  auto* out = reinterpret_cast<uint8_t*>(bytes.data());
  *out++ = kTag;
  out = CodedOutputStream::WriteVarint64ToArray(size, out);
  request.SerializeWithCachedSizesToArray(out);
  return bytes;
}

// The same bytes, kept alive by gRPC for as long as it needs them.
grpc::ByteBuffer Buffer(std::shared_ptr<const std::string> bytes) {
  const void* data = bytes->data();
  const size_t size = bytes->size();
  auto* owner = new std::shared_ptr<const std::string>(std::move(bytes));
  const grpc::Slice slice(
      const_cast<void*>(data), size,
      [](void* owner) { delete static_cast<std::shared_ptr<const std::string>*>(owner); }, owner);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status Validate(const PublishStreamOptions& options) {
  if (options.max_unanswered < 1 || options.max_unanswered_bytes < 1 || options.max_batch < 1 ||
      options.max_batch_bytes < 1) {
    return absl::InvalidArgumentError("the limits of a publish stream must be at least 1");
  }
  return absl::OkStatus();
}

RetryPolicy BackoffPolicy(RetryPolicy policy, const PublishStreamOptions& options) {
  if (options.fail_when_away) {
    policy.initial_backoff = std::min(policy.initial_backoff, kQuickBackoff);
    policy.max_backoff = std::min(policy.max_backoff, kQuickBackoff);
  }
  return policy;
}

absl::Status StatusOf(const v1::PublishResult& result) {
  const bool known = result.code() > 0 && result.code() <= 16;
  return absl::Status(
      known ? static_cast<absl::StatusCode>(result.code()) : absl::StatusCode::kUnknown,
      result.message());
}

// These answers are about the client or the service, not about one publish.
bool ConcernsAll(absl::StatusCode code) {
  return code == absl::StatusCode::kUnimplemented || code == absl::StatusCode::kUnauthenticated ||
         code == absl::StatusCode::kPermissionDenied;
}

// These are about a publish, when it was alone on the stream.
bool ConcernsOne(absl::StatusCode code) {
  return code == absl::StatusCode::kResourceExhausted ||
         code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kOutOfRange;
}

}  // namespace

// Accepted publishes wait in batches, each the bytes of one message. The first `sent_`
// batches have been given to the stream that is up; results answer them in order.
// The sender's thread appends and, when no write is under way, begins one; gRPC's threads
// report writes and results; a thread of its own opens streams, waits out backoffs and
// ends what is over its time limit.
class PublishStream::State : public std::enable_shared_from_this<State> {
 public:
  State(std::shared_ptr<const Channel> channel, const PublishStreamOptions& options)
      : channel_(std::move(channel)),
        options_(options),
        stub_(std::make_unique<Stub>(channel_->grpc())),
        backoff_(BackoffPolicy(channel_->options().retry, options)) {}

  void Start() {
    keeper_ = std::thread([this] { Keep(); });
  }

  absl::Status Accept(const v1::PublishRequest& request, Callback callback, const CallOptions& call,
                      bool wait) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Flush(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Finish(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);
  void Stop() ABSL_LOCKS_EXCLUDED(mu_, stop_mu_);

  // After Stop, and last. A thread of gRPC may be the last to let go of this object, but
  // gRPC must not lose its last channel on a thread of its own.
  void Disconnect() {
    stub_ = nullptr;
    channel_ = nullptr;
  }

 private:
  class Stream;

  struct Entry {
    Callback callback;  // none: its time limit ended, and it was told so
    absl::Time deadline;
    uint32_t epoch;
    uint32_t end;  // where in the batch's bytes the next one begins
  };

  struct Batch {
    std::shared_ptr<std::string> bytes = std::make_shared<std::string>();
    std::vector<Entry> entries;
    size_t answered = 0;

    size_t begin(size_t entry) const { return entry == 0 ? 0 : entries[entry - 1].end; }
  };

  // A callback and what to tell it.
  struct Result {
    Callback callback;
    absl::StatusOr<v1::PublishResponse> response;
    uint32_t epoch;
  };
  using Results = std::vector<Result>;

  // What the stream reports.
  void OnWritten(Stream* stream, bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  bool OnResults(Stream* stream, v1::PublishStreamResponse* response) ABSL_LOCKS_EXCLUDED(mu_);
  void OnBroken(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // The thread that keeps the stream up.
  void Keep() ABSL_LOCKS_EXCLUDED(mu_);
  void Open() ABSL_LOCKS_EXCLUDED(mu_);
  Results TakeBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Results Expire(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Results GiveUp(size_t batches, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Deliver(Results results) ABSL_LOCKS_EXCLUDED(mu_);

  bool HasRoom(int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return unanswered_ < options_.max_unanswered &&
           (unanswered_bytes_ + bytes <= options_.max_unanswered_bytes || unanswered_ == 0);
  }
  void Append(std::string bytes, Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The next message, if one may be written now; the caller writes it without the lock.
  std::shared_ptr<const std::string> PickWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Release(int64_t publishes, int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Drops what needs no sending any more.
  void Shrink(Batch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool Flushed(uint32_t epoch) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return pending_.empty() || pending_.begin()->first > epoch;
  }
  absl::Status ExpiredStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether the caller must now release the stream's hold.
  bool TakeHold() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !writing_ && std::exchange(hold_, false);
  }

  // Constant until Disconnect.
  std::shared_ptr<const Channel> channel_;
  const PublishStreamOptions options_;

  // Used by the keeper alone.
  std::unique_ptr<Stub> stub_;
  Backoff backoff_;

  absl::Mutex stop_mu_ ABSL_ACQUIRED_BEFORE(mu_);
  std::thread keeper_;

  absl::Mutex mu_;
  absl::CondVar room_;     // there may be room, or no more is taken
  absl::CondVar flushed_;  // callbacks have returned
  absl::CondVar keep_;     // the keeper has something to do

  std::deque<Batch> batches_ ABSL_GUARDED_BY(mu_);
  size_t sent_ ABSL_GUARDED_BY(mu_) = 0;
  // The first so many batches are single publishes that are sent one by one, to find the
  // one at which the stream breaks.
  size_t single_ ABSL_GUARDED_BY(mu_) = 0;
  // How often in a row the stream broke at a single publish, which is then given up.
  int broken_at_single_ ABSL_GUARDED_BY(mu_) = 0;

  // Publishes in batches_ without a result, and their bytes.
  int64_t unanswered_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t unanswered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  int room_waiters_ ABSL_GUARDED_BY(mu_) = 0;

  // Callbacks that have not returned, by the number of flushes before their Send.
  uint32_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint32_t, int64_t> pending_ ABSL_GUARDED_BY(mu_);

  // No time limit ends before.
  absl::Time next_expiry_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();

  bool closed_ ABSL_GUARDED_BY(mu_) = false;    // Finish was called
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;  // give up what is left

  std::shared_ptr<Stream> stream_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;  // write no more
  bool hold_ ABSL_GUARDED_BY(mu_) = false;    // writes may begin outside of reactions
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  bool had_results_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status broken_status_ ABSL_GUARDED_BY(mu_);  // why the last stream ended
  bool absurd_ ABSL_GUARDED_BY(mu_) = false;         // it sent more results than publishes

  // With fail_when_away: the last stream ended because the server is away, and no connection
  // has come since.
  bool away_ ABSL_GUARDED_BY(mu_) = false;
  // With fail_when_away: when a stream is given up if there is no connection for it.
  absl::Time connect_by_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  bool no_connection_ ABSL_GUARDED_BY(mu_) = false;  // it was given up for that
};

// One call of the RPC. It lives until gRPC has called OnDone.
class PublishStream::State::Stream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, v1::PublishStreamResponse> {
 public:
  Stream(std::shared_ptr<State> owner, Stub* stub) : owner_(std::move(owner)) {
    static const std::string* const kMethod = new std::string("/qasino.v1.Ingest/PublishStream");
    stub->PrepareBidiStreamingCall(&context_, *kMethod, grpc::StubOptions(), this);
    // Writes begin on the senders' threads, so the call may not end between them.
    AddHold();
    StartRead(&response_);
  }

  void Write(std::shared_ptr<const std::string> bytes) {
    buffer_ = Buffer(std::move(bytes));
    StartWrite(&buffer_);
  }

  void Cancel() { context_.TryCancel(); }

  void OnWriteDone(bool ok) override { owner_->OnWritten(this, ok); }

  void OnReadDone(bool ok) override {
    if (!ok) return owner_->OnBroken(this);
    if (!owner_->OnResults(this, &response_)) Cancel();
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
  grpc::ByteBuffer buffer_;
  v1::PublishStreamResponse response_;
};

absl::Status PublishStream::State::Accept(const v1::PublishRequest& request, Callback callback,
                                          const CallOptions& call, bool wait) {
  const size_t size = request.ByteSizeLong();
  constexpr size_t kOverhead = 16;
  if (size + kOverhead > static_cast<size_t>(channel_->options().max_message_bytes)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the publish of table '", request.table().name(), "' has ", size,
                     " bytes, over the limit of ", channel_->options().max_message_bytes));
  }
  const absl::Time deadline = channel_->Deadline(call);
  std::string bytes = Serialise(request, size);
  const int64_t length = static_cast<int64_t>(bytes.size());

  std::shared_ptr<const std::string> write;
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mu_);
    while (!closed_ && !away_ && !HasRoom(length)) {
      if (!wait) {
        return absl::ResourceExhaustedError(absl::StrCat("too many publishes to ", channel_->peer(),
                                                         " are unanswered: ", unanswered_, " with ",
                                                         unanswered_bytes_, " bytes"));
      }
      ++room_waiters_;
      const bool late = room_.WaitWithDeadline(&mu_, deadline);
      --room_waiters_;
      if (late && !closed_ && !away_ && !HasRoom(length)) return ExpiredStatus();
    }
    if (closed_) return absl::FailedPreconditionError("the publish stream is finished");
    if (away_) return broken_status_;

    Append(std::move(bytes), {std::move(callback), deadline, epoch_, 0});
    if (deadline < next_expiry_) {
      next_expiry_ = deadline;
      keep_.Signal();
    }
    if (stream_ == nullptr) {
      keep_.Signal();
    } else if ((write = PickWrite()) != nullptr) {
      stream = stream_;
    }
  }
  if (write != nullptr) stream->Write(std::move(write));
  return absl::OkStatus();
}

void PublishStream::State::Append(std::string bytes, Entry entry) {
  ++unanswered_;
  unanswered_bytes_ += static_cast<int64_t>(bytes.size());
  ++pending_[entry.epoch];
  const size_t most = static_cast<size_t>(
      std::min(options_.max_batch_bytes, channel_->options().max_message_bytes));
  const bool joins = batches_.size() > std::max(sent_, single_) &&
                     batches_.back().entries.size() < static_cast<size_t>(options_.max_batch) &&
                     batches_.back().bytes->size() + bytes.size() <= most;
  if (!joins) batches_.emplace_back();
  Batch& batch = batches_.back();
  if (batch.entries.empty() && bytes.size() >= kOwnBatchBytes) {
    *batch.bytes = std::move(bytes);
  } else {
    batch.bytes->append(bytes);
  }
  entry.end = static_cast<uint32_t>(batch.bytes->size());
  batch.entries.push_back(std::move(entry));
}

std::shared_ptr<const std::string> PublishStream::State::PickWrite() {
  if (stream_ == nullptr || broken_ || writing_ || sent_ == batches_.size()) return nullptr;
  if (single_ > 0 && sent_ > 0) return nullptr;
  const Batch& batch = batches_[sent_];
  const bool full = sent_ + 1 < batches_.size() ||
                    batch.entries.size() >= static_cast<size_t>(options_.max_batch) ||
                    batch.bytes->size() >= static_cast<size_t>(options_.max_batch_bytes);
  if (sent_ >= kMessagesBeforeGathering && !full) return nullptr;
  ++sent_;
  writing_ = true;
  return batch.bytes;
}

void PublishStream::State::OnWritten(Stream* stream, bool ok) {
  std::shared_ptr<const std::string> write;
  bool release = false;
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!ok) broken_ = true;
    if (broken_) {
      release = TakeHold();
    } else if ((write = PickWrite()) == nullptr && closed_) {
      keep_.Signal();
    }
  }
  if (write != nullptr) stream->Write(std::move(write));
  if (release) stream->RemoveHold();
}

void PublishStream::State::OnBroken(Stream* stream) {
  bool release;
  {
    absl::MutexLock lock(&mu_);
    broken_ = true;
    release = TakeHold();
  }
  if (release) stream->RemoveHold();
}

bool PublishStream::State::OnResults(Stream* stream, v1::PublishStreamResponse* response) {
  Results results;
  results.reserve(std::min<size_t>(response->results_size(), options_.max_unanswered));
  std::shared_ptr<const std::string> write;
  bool sane = true;
  {
    absl::MutexLock lock(&mu_);
    int64_t publishes = 0, bytes = 0;
    for (const v1::PublishResult& result : response->results()) {
      if (sent_ == 0) {
        sane = false;
        absurd_ = true;
        break;
      }
      Batch& batch = batches_.front();
      Entry& entry = batch.entries[batch.answered];
      ++publishes;
      bytes += static_cast<int64_t>(entry.end - batch.begin(batch.answered));
      if (entry.callback) {
        Result& told = results.emplace_back(
            Result{std::move(entry.callback), absl::UnknownError(""), entry.epoch});
        if (result.code() == 0) {
          v1::PublishResponse stored;
          stored.set_generation(result.generation());
          stored.set_duplicate(result.duplicate());
          told.response = std::move(stored);
        } else {
          told.response = StatusOf(result);
        }
      }
      if (++batch.answered == batch.entries.size()) {
        batches_.pop_front();
        --sent_;
        if (single_ > 0) --single_;
      }
    }
    if (publishes > 0) {
      had_results_ = true;
      broken_at_single_ = 0;
      Release(publishes, bytes);
    }
    write = PickWrite();
    if (closed_ && batches_.empty()) keep_.Signal();
  }
  if (write != nullptr) stream->Write(std::move(write));
  Deliver(std::move(results));
  return sane;
}

void PublishStream::State::OnDone(const grpc::Status& status) {
  absl::Status why = channel_->ToStatus(status);
  absl::MutexLock lock(&mu_);
  done_ = true;
  if (no_connection_) {
    broken_status_ = UnreachableError(
        absl::StrCat("cannot reach ", channel_->peer(), ": no connection within 2 s"));
  } else if (absurd_) {
    broken_status_ = absl::InternalError(
        absl::StrCat(channel_->peer(), " sent more results than it was sent publishes"));
  } else if (why.ok()) {
    broken_status_ = absl::UnknownError(
        absl::StrCat(channel_->peer(), " ended the stream without answering every publish"));
  } else {
    broken_status_ = std::move(why);
  }
  keep_.Signal();
}

void PublishStream::State::Deliver(Results results) {
  if (results.empty()) return;
  for (Result& result : results) std::move(result.callback)(std::move(result.response));
  absl::MutexLock lock(&mu_);
  for (const Result& result : results) {
    const auto pending = pending_.find(result.epoch);
    if (--pending->second == 0) pending_.erase(pending);
  }
  flushed_.SignalAll();
}

void PublishStream::State::Release(int64_t publishes, int64_t bytes) {
  unanswered_ -= publishes;
  unanswered_bytes_ -= bytes;
  if (room_waiters_ > 0) room_.SignalAll();
}

void PublishStream::State::Shrink(Batch* batch) {
  size_t gone = batch->answered;
  for (size_t i = batch->answered; i < batch->entries.size(); ++i) {
    if (!batch->entries[i].callback) ++gone;
  }
  if (gone == 0) return;
  auto bytes = std::make_shared<std::string>();
  std::vector<Entry> entries;
  int64_t expired = 0, expired_bytes = 0;
  for (size_t i = batch->answered; i < batch->entries.size(); ++i) {
    Entry& entry = batch->entries[i];
    const size_t begin = batch->begin(i);
    if (!entry.callback) {
      ++expired;
      expired_bytes += static_cast<int64_t>(entry.end - begin);
      continue;
    }
    bytes->append(*batch->bytes, begin, entry.end - begin);
    entries.push_back({std::move(entry.callback), entry.deadline, entry.epoch,
                       static_cast<uint32_t>(bytes->size())});
  }
  Release(expired, expired_bytes);
  batch->bytes = std::move(bytes);
  batch->entries = std::move(entries);
  batch->answered = 0;
}

absl::Status PublishStream::State::ExpiredStatus() const {
  if (!broken_status_.ok() && !had_results_) {
    const std::string message =
        absl::StrCat("not published within the time limit; last: ", broken_status_.message());
    return IsUnreachable(broken_status_) ? UnreachableError(message)
                                         : absl::UnavailableError(message);
  }
  return absl::DeadlineExceededError(
      absl::StrCat("no answer from ", channel_->peer(), " within the time limit"));
}

PublishStream::State::Results PublishStream::State::Expire(absl::Time now) {
  Results results;
  if (now < next_expiry_) return results;
  next_expiry_ = absl::InfiniteFuture();
  size_t kept = 0;
  const size_t singles = single_;
  for (size_t i = 0; i < batches_.size(); ++i) {
    Batch& batch = batches_[i];
    bool expired = false;
    for (size_t j = batch.answered; j < batch.entries.size(); ++j) {
      Entry& entry = batch.entries[j];
      if (!entry.callback) continue;
      if (entry.deadline <= now) {
        results.push_back({std::exchange(entry.callback, nullptr), ExpiredStatus(), entry.epoch});
        expired = true;
      } else {
        next_expiry_ = std::min(next_expiry_, entry.deadline);
      }
    }
    // What was sent keeps its place, for the answer that may still come.
    if (expired && i >= sent_) Shrink(&batch);
    if (batch.entries.empty()) {
      if (i < singles) --single_;
      continue;
    }
    if (kept != i) batches_[kept] = std::move(batch);
    ++kept;
  }
  batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(kept), batches_.end());
  return results;
}

// Fails the callbacks of the first batches and drops these.
PublishStream::State::Results PublishStream::State::GiveUp(size_t batches,
                                                           const absl::Status& why) {
  Results results;
  for (; batches > 0; --batches) {
    Batch& batch = batches_.front();
    int64_t publishes = 0;
    const size_t begin = batch.begin(batch.answered);
    for (size_t i = batch.answered; i < batch.entries.size(); ++i, ++publishes) {
      Entry& entry = batch.entries[i];
      if (entry.callback) results.push_back({std::move(entry.callback), why, entry.epoch});
    }
    Release(publishes, static_cast<int64_t>(batch.bytes->size() - begin));
    batches_.pop_front();
    if (single_ > 0) --single_;
  }
  return results;
}

// After the stream has ended: what it did not answer waits again.
PublishStream::State::Results PublishStream::State::TakeBack() {
  if (options_.fail_when_away && broken_status_.code() == absl::StatusCode::kUnavailable) {
    away_ = true;
    room_.SignalAll();
    sent_ = 0;
    return GiveUp(batches_.size(), broken_status_);
  }
  const size_t was_sent = std::exchange(sent_, 0);
  const absl::StatusCode code = broken_status_.code();
  // With no batch sent, or the server away, no publish is to blame.
  const bool blame = was_sent > 0 && code != absl::StatusCode::kUnavailable;

  std::deque<Batch> back;
  size_t singles = 0;
  for (size_t i = 0; i < was_sent; ++i) {
    Batch batch = std::move(batches_.front());
    batches_.pop_front();
    const bool was_single = single_ > 0;
    if (was_single) --single_;
    Shrink(&batch);
    if (batch.entries.empty()) continue;
    if (!blame || batch.entries.size() == 1) {
      if (blame || was_single) ++singles;
      back.push_back(std::move(batch));
      continue;
    }
    for (size_t j = 0; j < batch.entries.size(); ++j) {
      Batch& one = back.emplace_back();
      one.bytes->assign(*batch.bytes, batch.begin(j), batch.entries[j].end - batch.begin(j));
      one.entries.push_back(std::move(batch.entries[j]));
      one.entries.front().end = static_cast<uint32_t>(one.bytes->size());
      ++singles;
    }
  }
  const size_t returned = back.size();
  single_ += singles;
  for (; !back.empty(); back.pop_back()) batches_.push_front(std::move(back.back()));

  if (!blame || returned == 0) return {};
  if (ConcernsAll(code)) {
    return GiveUp(returned, broken_status_);
  }
  if (returned > 1) return {};
  if (!ConcernsOne(code) && ++broken_at_single_ < channel_->options().retry.attempts) return {};
  broken_at_single_ = 0;
  Results results = GiveUp(1, broken_status_);
  // Found it; the rest may travel together again.
  single_ = 0;
  return results;
}

void PublishStream::State::Open() {
  auto stream = std::make_shared<Stream>(shared_from_this(), stub_.get());
  std::shared_ptr<const std::string> write;
  const bool connected =
      !options_.fail_when_away || channel_->State(/*connect=*/true) == GRPC_CHANNEL_READY;
  {
    absl::MutexLock lock(&mu_);
    no_connection_ = false;
    connect_by_ = connected ? absl::InfiniteFuture() : absl::Now() + kConnectTimeout;
    stream_ = stream;
    writing_ = broken_ = done_ = had_results_ = absurd_ = false;
    hold_ = true;
    write = PickWrite();
  }
  if (write != nullptr) stream->Write(std::move(write));
  stream->StartCall();
}

void PublishStream::State::Keep() {
  absl::Time not_before = absl::InfinitePast();
  bool closing = false;  // our side of the stream that is up is closed, or it is cancelled
  absl::Time close_by = absl::InfiniteFuture();
  mu_.Lock();
  while (true) {
    const absl::Time now = absl::Now();
    Results results = Expire(now);
    if (stream_ != nullptr && done_) {
      const std::shared_ptr<Stream> ended = std::exchange(stream_, nullptr);
      if (std::exchange(had_results_, false)) backoff_.Reset();
      for (Result& result : TakeBack()) results.push_back(std::move(result));
      if (!closing) not_before = now + backoff_.Next();
      closing = false;
      close_by = connect_by_ = absl::InfiniteFuture();
    }
    if (stopping_ && stream_ == nullptr) {
      Results rest = GiveUp(batches_.size(),
                            absl::CancelledError("the publish stream was closed before an answer"));
      for (Result& result : rest) results.push_back(std::move(result));
    }
    if (!results.empty()) {
      mu_.Unlock();
      Deliver(std::move(results));
      mu_.Lock();
      continue;
    }

    if (stream_ == nullptr) {
      if (stopping_ || (closed_ && batches_.empty())) {
        if (stopping_) break;
      } else if (away_ && now >= not_before) {
        mu_.Unlock();
        const bool connected = channel_->State(/*connect=*/true) == GRPC_CHANNEL_READY;
        mu_.Lock();
        away_ = !connected;
        not_before = absl::Now() + (connected ? absl::ZeroDuration() : kConnectLook);
        continue;
      } else if (!batches_.empty() && now >= not_before) {
        mu_.Unlock();
        Open();
        mu_.Lock();
        continue;
      }
    } else if (!closing && closed_ && batches_.empty() && !writing_ && hold_ && !broken_) {
      // Everything is answered: close our side, and the server ends the stream.
      closing = broken_ = true;
      hold_ = false;
      close_by = now + kCloseTimeout;
      const std::shared_ptr<Stream> stream = stream_;
      mu_.Unlock();
      stream->StartWritesDone();
      stream->RemoveHold();
      mu_.Lock();
      continue;
    } else if ((stopping_ && !closing) || now >= close_by) {
      closing = true;
      close_by = absl::InfiniteFuture();
      broken_ = true;
      const bool release = TakeHold();
      const std::shared_ptr<Stream> stream = stream_;
      mu_.Unlock();
      stream->Cancel();
      if (release) stream->RemoveHold();
      mu_.Lock();
      continue;
    } else if (now >= connect_by_) {
      connect_by_ = absl::InfiniteFuture();
      mu_.Unlock();
      const bool connected = channel_->State(/*connect=*/true) == GRPC_CHANNEL_READY;
      mu_.Lock();
      if (connected || had_results_ || done_) continue;
      no_connection_ = broken_ = true;
      const bool release = TakeHold();
      const std::shared_ptr<Stream> stream = stream_;
      mu_.Unlock();
      stream->Cancel();
      if (release) stream->RemoveHold();
      mu_.Lock();
      continue;
    }

    absl::Time until = std::min({next_expiry_, close_by, connect_by_});
    if (stream_ == nullptr && (!batches_.empty() || (away_ && !closed_))) {
      until = std::min(until, not_before);
    }
    if (closed_ && stream_ == nullptr && batches_.empty()) flushed_.SignalAll();
    keep_.WaitWithDeadline(&mu_, until);
  }
  mu_.Unlock();
}

absl::Status PublishStream::State::Flush(absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  const uint32_t epoch = epoch_++;
  while (!Flushed(epoch)) {
    if (flushed_.WaitWithDeadline(&mu_, deadline) && !Flushed(epoch)) {
      return absl::DeadlineExceededError(
          absl::StrCat(unanswered_, " publishes have no answer yet from ", channel_->peer()));
    }
  }
  return absl::OkStatus();
}

absl::Status PublishStream::State::Finish(absl::Time deadline) {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    room_.SignalAll();
    keep_.Signal();
  }
  absl::Status status = Flush(deadline);
  if (status.ok()) {
    const absl::Time close_by = std::min(deadline, absl::Now() + kCloseTimeout);
    absl::MutexLock lock(&mu_);
    // What is answered is stored, so a server that does not end the stream is no error.
    while (stream_ != nullptr && !flushed_.WaitWithDeadline(&mu_, close_by)) {
    }
  }
  Stop();
  return status;
}

void PublishStream::State::Stop() {
  absl::MutexLock stop_lock(&stop_mu_);
  {
    absl::MutexLock lock(&mu_);
    closed_ = stopping_ = true;
    room_.SignalAll();
    keep_.Signal();
  }
  if (keeper_.joinable()) keeper_.join();
  absl::MutexLock lock(&mu_);
  while (!pending_.empty()) flushed_.Wait(&mu_);
}

absl::StatusOr<std::unique_ptr<PublishStream>> PublishStream::Create(
    const ConnectOptions& options, const PublishStreamOptions& stream_options) {
  if (absl::Status status = Validate(stream_options); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<const Channel>> channel = Channel::Create(
      options, "qasino-ingest", stream_options.fail_when_away ? kQuickReconnect : kUsualReconnect);
  if (!channel.ok()) return channel.status();
  auto state = std::make_shared<State>(*std::move(channel), stream_options);
  state->Start();
  return std::unique_ptr<PublishStream>(new PublishStream(std::move(state)));
}

PublishStream::PublishStream(std::shared_ptr<State> state) : state_(std::move(state)) {}

PublishStream::~PublishStream() {
  state_->Stop();
  state_->Disconnect();
}

absl::Status PublishStream::Send(const v1::PublishRequest& request, Callback callback,
                                 const CallOptions& call) {
  return state_->Accept(request, std::move(callback), call, /*wait=*/true);
}

absl::Status PublishStream::TrySend(const v1::PublishRequest& request, Callback callback,
                                    const CallOptions& call) {
  return state_->Accept(request, std::move(callback), call, /*wait=*/false);
}

absl::Status PublishStream::Flush(absl::Time deadline) { return state_->Flush(deadline); }

absl::Status PublishStream::Finish(absl::Time deadline) { return state_->Finish(deadline); }

}  // namespace qasino::client
