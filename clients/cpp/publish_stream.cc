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
#include "clients/cpp/publish_batches.h"
#include "clients/cpp/unreachable.h"

namespace qasino::client {
namespace {

using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::PublishStreamResponse>;

// With fail_when_away: how long the first publishes wait for a connection, how often it is
// looked for while the server is away, and the longest wait between streams.
constexpr absl::Duration kConnectTimeout = absl::Seconds(2);
constexpr absl::Duration kConnectLook = absl::Milliseconds(50);
constexpr absl::Duration kQuickBackoff = absl::Milliseconds(500);

// How long the server may take to end its side after everything is answered.
constexpr absl::Duration kCloseTimeout = absl::Seconds(5);
// The same for an owner that does not wait for the end.
constexpr absl::Duration kStopTimeout = absl::Milliseconds(500);

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

void Append(PublishBatches::Results more, PublishBatches::Results* results) {
  for (PublishBatches::Result& result : more) results->push_back(std::move(result));
}

}  // namespace

// The sender's thread appends and, when no write is under way, begins one; gRPC's threads
// report writes and results; a thread of its own opens streams, waits out backoffs and
// ends what is over its time limit.
class PublishStream::State : public std::enable_shared_from_this<State> {
 public:
  State(std::shared_ptr<const Channel> channel, const PublishStreamOptions& options)
      : channel_(std::move(channel)),
        options_(options),
        stub_(std::make_unique<Stub>(channel_->grpc())),
        backoff_(BackoffPolicy(channel_->options().retry, options)),
        batches_(options, channel_->options().max_message_bytes,
                 channel_->options().retry.attempts) {}

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

  using Results = PublishBatches::Results;

  // What the stream reports.
  void OnWritten(Stream* stream, bool ok) ABSL_LOCKS_EXCLUDED(mu_);
  bool OnResults(Stream* stream, v1::PublishStreamResponse* response) ABSL_LOCKS_EXCLUDED(mu_);
  void OnBroken(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // The thread that keeps the stream up.
  void Keep() ABSL_LOCKS_EXCLUDED(mu_);
  void Open() ABSL_LOCKS_EXCLUDED(mu_);
  void Deliver(Results results) ABSL_LOCKS_EXCLUDED(mu_);

  // The next message, if one may be written now; the caller writes it without the lock.
  std::shared_ptr<const std::string> PickWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SignalRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (room_waiters_ > 0) room_.SignalAll();
  }
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

  PublishBatches batches_ ABSL_GUARDED_BY(mu_);
  int room_waiters_ ABSL_GUARDED_BY(mu_) = 0;

  // Callbacks that have not returned, by the number of flushes before their Send.
  uint32_t epoch_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint32_t, int64_t> pending_ ABSL_GUARDED_BY(mu_);

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
    while (!closed_ && !away_ && !batches_.HasRoom(length)) {
      if (!wait) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "too many publishes to ", channel_->peer(), " are unanswered: ", batches_.unanswered(),
            " with ", batches_.unanswered_bytes(), " bytes"));
      }
      ++room_waiters_;
      const bool late = room_.WaitWithDeadline(&mu_, deadline);
      --room_waiters_;
      if (late && !closed_ && !away_ && !batches_.HasRoom(length)) return ExpiredStatus();
    }
    if (closed_) return absl::FailedPreconditionError("the publish stream is finished");
    if (away_) return broken_status_;

    if (deadline < batches_.next_expiry()) keep_.Signal();
    batches_.Append(std::move(bytes), std::move(callback), deadline, epoch_);
    ++pending_[epoch_];
    if (stream_ == nullptr) {
      keep_.Signal();
    } else if ((write = PickWrite()) != nullptr) {
      stream = stream_;
    }
  }
  if (write != nullptr) stream->Write(std::move(write));
  return absl::OkStatus();
}

std::shared_ptr<const std::string> PublishStream::State::PickWrite() {
  if (stream_ == nullptr || broken_ || writing_) return nullptr;
  std::shared_ptr<const std::string> message = batches_.TakeMessage();
  writing_ = message != nullptr;
  return message;
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
    for (const v1::PublishResult& result : response->results()) {
      sane = batches_.Answer(result, &results);
      if (!sane) {
        absurd_ = true;
        break;
      }
      had_results_ = true;
    }
    SignalRoom();
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
  for (PublishBatches::Result& result : results) {
    std::move(result.callback)(std::move(result.response));
  }
  absl::MutexLock lock(&mu_);
  for (const PublishBatches::Result& result : results) {
    const auto pending = pending_.find(result.epoch);
    if (--pending->second == 0) pending_.erase(pending);
  }
  flushed_.SignalAll();
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
    Results results;
    if (now >= batches_.next_expiry()) {
      results = batches_.Expire(now, ExpiredStatus());
      SignalRoom();
    }
    if (stream_ != nullptr && done_) {
      const std::shared_ptr<Stream> ended = std::exchange(stream_, nullptr);
      if (std::exchange(had_results_, false)) backoff_.Reset();
      away_ = options_.fail_when_away && absl::IsUnavailable(broken_status_);
      Append(batches_.TakeBack(broken_status_), &results);
      SignalRoom();
      if (!closing) not_before = now + backoff_.Next();
      closing = false;
      close_by = connect_by_ = absl::InfiniteFuture();
    }
    if (stopping_ && stream_ == nullptr) {
      Append(batches_.GiveUpAll(
                 absl::CancelledError("the publish stream was closed before an answer")),
             &results);
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
      close_by = now + (stopping_ ? kStopTimeout : kCloseTimeout);
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

    absl::Time until = std::min({batches_.next_expiry(), close_by, connect_by_});
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
      return absl::DeadlineExceededError(absl::StrCat(
          batches_.unanswered(), " publishes have no answer yet from ", channel_->peer()));
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
