#include "services/ingest/ingest_service.h"

#include <google/protobuf/arena.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/timestamp.h"
#include "services/ingest/validate.h"
#include "services/ingest/wire_scan.h"

namespace qasino::ingest {
namespace {

// Messages of one stream that may be under way, so that one is read while another is
// applied.
constexpr int kMostMessages = 32;
// Of one message with results. gRPC clients take 4 MiB unless told otherwise.
constexpr int64_t kMostResponseBytes = 1 << 20;
// What a result without a message takes.
constexpr int64_t kResultBytes = 16;
constexpr size_t kChunkBytes = 1 << 20;
// Copies of the running shard in memory at a time.
constexpr int kMostCopies = 2;

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

grpc::Status Stopping() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "ingest is stopping");
}

absl::Status NoPublishRequest() {
  return absl::InvalidArgumentError(
      "the message is not a PublishRequest (texts must be valid UTF-8)");
}

absl::Status NoPublishStreamRequest() {
  return absl::InvalidArgumentError(
      "the message is not a PublishStreamRequest (texts must be valid UTF-8)");
}

// What the message takes in memory, when that is within the limits. It is not parsed for it.
absl::StatusOr<WireSize> ScanPublish(grpc::ByteBuffer* message, const Limits& limits) {
  grpc::ProtoBufferReader reader(message);
  if (!reader.status().ok()) return NoPublishRequest();
  const auto size = ScanPublishRequest(reader, static_cast<int64_t>(message->Length()));
  if (!size.has_value()) return NoPublishRequest();
  const absl::Status status = CheckPublish(*size, limits);
  if (!status.ok()) return status;
  return *size;
}

absl::StatusOr<WireSize> ScanMessage(grpc::ByteBuffer* message, const Limits& limits) {
  grpc::ProtoBufferReader reader(message);
  if (!reader.status().ok()) return NoPublishStreamRequest();
  const auto size = ScanPublishStreamRequest(reader, static_cast<int64_t>(message->Length()));
  if (!size.has_value()) return NoPublishStreamRequest();
  const absl::Status status = CheckMessage(*size, limits);
  if (!status.ok()) return status;
  return *size;
}

// Runs `call` soon, on a thread of gRPC's.
void RunSoon(std::function<void()> call) {
  struct Soon {
    grpc::Alarm alarm;
    std::function<void()> call;
  };
  auto* const soon = new Soon{.alarm = {}, .call = std::move(call)};
  soon->alarm.Set(gpr_now(GPR_CLOCK_MONOTONIC), [soon](bool) {
    const std::unique_ptr<Soon> owned(soon);
    owned->call();
  });
}

// What a service can end from outside.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void Stop() = 0;
  virtual void Tell(int64_t /*generation*/) {}
};

// The streams that are open.
class Streams {
 public:
  // False when the service stops.
  bool Add(std::shared_ptr<Stream> stream) {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return false;
    streams_.insert(std::move(stream));
    return true;
  }

  void Remove(const std::shared_ptr<Stream>& stream) {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }

  bool stopping() const {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  }

  void Tell(int64_t generation) {
    for (const std::shared_ptr<Stream>& stream : All()) stream->Tell(generation);
  }

  void Stop() {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (const std::shared_ptr<Stream>& stream : All()) stream->Stop();
  }

  bool AwaitEnd(absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return streams_.empty(); };
    return mutex_.AwaitWithDeadline(absl::Condition(&none), deadline);
  }

 private:
  std::vector<std::shared_ptr<Stream>> All() const {
    absl::MutexLock lock(&mutex_);
    return {streams_.begin(), streams_.end()};
  }

  mutable absl::Mutex mutex_;
  absl::flat_hash_set<std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// What every call needs; outlives them all.
struct Shared {
  IngestService::Options options;
  Collector& collector;
  Clock& clock;
  Metrics& metrics;
  Streams streams;
  std::atomic<int> copies{0};
  std::atomic<int64_t> publish_streams{0};
};

class UnaryBatch : public PublishBatch {
 public:
  UnaryBatch(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response)
      : reactor_(reactor), response_(response) {}

  // Reads the message, for which room was reserved, and validates the publish.
  absl::Status Parse(grpc::ByteBuffer* message, const WireSize& size, Shared& shared) {
    bytes = size.memory;
    publishes = size.publishes;
    const auto length = static_cast<int64_t>(message->Length());
    auto* request = google::protobuf::Arena::CreateMessage<v1::PublishRequest>(&arena_);
    grpc::ProtoBufferReader reader(message);
    if (!reader.status().ok() || !request->ParseFromZeroCopyStream(&reader)) {
      return NoPublishRequest();
    }
    shared.metrics.bytes.Increment(static_cast<double>(length));
    shared.collector.CountReceived(request->update());
    items.resize(1);
    items[0].publish = request;
    return ValidatePublish(*request, length, shared.options.limits);
  }

  void Answer() override {
    const PublishItem& item = items[0];
    if (!item.status.ok()) {
      reactor_->Finish(ToGrpc(item.status));
      return;
    }
    v1::PublishResponse response;
    response.set_generation(item.generation);
    response.set_duplicate(item.duplicate);
    bool own_buffer = false;
    reactor_->Finish(grpc::SerializationTraits<v1::PublishResponse>::Serialize(response, response_,
                                                                               &own_buffer));
  }

 private:
  grpc::ServerUnaryReactor* reactor_;
  grpc::ByteBuffer* response_;
  google::protobuf::Arena arena_;
};

// One PublishStream. gRPC's operations are started under the lock, which keeps them in order
// and is safe: they do not wait, and gRPC runs what follows them on threads of its own.
class PublishStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public Stream,
                            public std::enable_shared_from_this<PublishStream> {
 public:
  explicit PublishStream(Shared& shared) : shared_(shared) {}

  void Begin() {
    self_ = shared_from_this();
    const int64_t limit = shared_.options.limits.streams;
    const bool within = shared_.publish_streams.fetch_add(1) < limit;
    const bool open = shared_.streams.Add(self_);
    absl::MutexLock lock(&mutex_);
    if (!open) {
      end_ = Stopping();
    } else if (!within) {
      // Not RESOURCE_EXHAUSTED, which would say that a publish is at fault.
      shared_.metrics.CountRefused(absl::StatusCode::kUnavailable);
      end_ = grpc::Status(
          grpc::StatusCode::UNAVAILABLE,
          absl::StrCat(limit, " PublishStreams are open, which is the limit; try again"));
    }
    Step();
  }

  void Stop() override {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = Stopping();
    Step();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Handled(grpc::Status::OK);
      return;
    }
    const absl::StatusOr<WireSize> size = ScanMessage(&incoming_, shared_.options.limits);
    if (!size.ok()) {
      shared_.metrics.CountRefused(size.status().code());
      Handled(ToGrpc(size.status()));
      return;
    }
    if (size->publishes == 0) {
      Handled(std::nullopt);
      return;
    }
    {
      absl::MutexLock lock(&mutex_);
      if (end_.has_value()) {
        // The stream has ended meanwhile, and must not wait for room any more.
        incoming_.Clear();
        reading_ = false;
        Step();
        return;
      }
      size_ = *size;
      taking_ = true;
      held_ = true;
    }
    // Not on the thread that gives the room: it has others to serve.
    if (shared_.collector.ReserveOr(size->memory, size->publishes, [self = shared_from_this()] {
          RunSoon([self] { self->TakeHeld(); });
        })) {
      TakeHeld();
    }
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    unsent_ -= writing_results_;
    if (!ok) Break();
    Step();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    Break();
    Step();
  }

  void OnDone() override {
    shared_.publish_streams.fetch_sub(1);
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  class Batch : public PublishBatch {
   public:
    explicit Batch(std::shared_ptr<PublishStream> stream) : stream_(std::move(stream)) {}

    // Reads the message, for which room was reserved, and validates its publishes.
    absl::Status Parse(grpc::ByteBuffer* message, const WireSize& size, Shared& shared) {
      const Limits& limits = shared.options.limits;
      bytes = size.memory;
      publishes = size.publishes;
      const auto length = static_cast<int64_t>(message->Length());
      google::protobuf::ArenaOptions arena;
      arena.start_block_size = std::clamp<int64_t>(size.memory, 1 << 10, 1 << 18);
      arena.max_block_size = 1 << 18;
      arena_.emplace(arena);
      auto* request = google::protobuf::Arena::CreateMessage<v1::PublishStreamRequest>(&*arena_);
      grpc::ProtoBufferReader reader(message);
      if (!reader.status().ok() || !request->ParseFromZeroCopyStream(&reader)) {
        return NoPublishStreamRequest();
      }
      shared.metrics.bytes.Increment(static_cast<double>(length));
      items.resize(request->publishes_size());
      int64_t updates = 0;
      for (int i = 0; i < request->publishes_size(); ++i) {
        const v1::PublishRequest& publish = request->publishes(i);
        // Where the message is within the limit of a publish, so are its parts.
        const bool small = length <= limits.bytes_per_publish;
        items[i].publish = &publish;
        items[i].status = ValidatePublish(
            publish, small ? 0 : static_cast<int64_t>(publish.ByteSizeLong()), limits);
        if (publish.update()) ++updates;
      }
      shared.collector.CountReceived(true, updates);
      shared.collector.CountReceived(false, request->publishes_size() - updates);
      return absl::OkStatus();
    }

    void Answer() override { stream_->Answer(*this); }

   private:
    std::shared_ptr<PublishStream> stream_;
    std::optional<google::protobuf::Arena> arena_;
  };

  struct Response {
    v1::PublishStreamResponse message;
    int64_t bytes = 0;
  };

  // Hands the held message to the collector, now that there is room for it.
  void TakeHeld() {
    WireSize size;
    bool ended = false;
    {
      absl::MutexLock lock(&mutex_);
      held_ = false;
      size = size_;
      ended = end_.has_value();
    }
    if (ended) {
      shared_.collector.Release(size.memory, size.publishes);
      Handled(std::nullopt);
      return;
    }
    auto batch = std::make_unique<Batch>(shared_from_this());
    absl::Status status = batch->Parse(&incoming_, size, shared_);
    incoming_.Clear();
    if (!status.ok()) {
      batch.reset();
      shared_.collector.Release(size.memory, size.publishes);
      shared_.metrics.CountRefused(status.code());
      Handled(ToGrpc(status));
      return;
    }
    {
      // Before the answer can come.
      absl::MutexLock lock(&mutex_);
      ++messages_;
      unanswered_ += size.publishes;
    }
    status = shared_.collector.Submit(std::move(batch));
    if (!status.ok()) {
      shared_.metrics.CountRefused(status.code(), static_cast<double>(size.publishes));
      absl::MutexLock lock(&mutex_);
      --messages_;
      unanswered_ -= size.publishes;
    }
    Handled(status.ok() ? std::nullopt : std::optional(ToGrpc(status)));
  }

  // The message that was read is dealt with; the stream ends with `end`, if there is one.
  void Handled(const std::optional<grpc::Status>& end) {
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    taking_ = false;
    if (end.has_value() && !end_.has_value()) end_ = end;
    Step();
  }

  // The results of a batch, on the collector's thread.
  void Answer(const Batch& batch) {
    absl::MutexLock lock(&mutex_);
    const auto publishes = static_cast<int64_t>(batch.items.size());
    --messages_;
    unanswered_ -= publishes;
    if (!broken_) {
      unsent_ += publishes;
      for (const PublishItem& item : batch.items) {
        if (responses_.empty() || responses_.back().bytes >= kMostResponseBytes) {
          responses_.emplace_back();
        }
        Response& response = responses_.back();
        v1::PublishResult& result = *response.message.add_results();
        response.bytes += kResultBytes;
        if (item.status.ok()) {
          result.set_generation(item.generation);
          result.set_duplicate(item.duplicate);
        } else {
          result.set_code(static_cast<int>(item.status.code()));
          result.set_message(std::string(item.status.message()));
          response.bytes += static_cast<int64_t>(item.status.message().size());
        }
      }
    }
    Step();
  }

  // The client is gone.
  void Break() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    broken_ = true;
    responses_.clear();
    end_ = grpc::Status::CANCELLED;
  }

  // Starts whatever can be started.
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // Nobody waits for it any more.
    if (held_ && end_.has_value()) incoming_.Clear();
    if (finished_) return;
    if (!writing_ && !responses_.empty()) {
      bool own_buffer = false;
      outgoing_.Clear();
      const v1::PublishStreamResponse& message = responses_.front().message;
      const grpc::Status status = grpc::SerializationTraits<v1::PublishStreamResponse>::Serialize(
          message, &outgoing_, &own_buffer);
      writing_results_ = message.results_size();
      responses_.pop_front();
      if (status.ok()) {
        writing_ = true;
        StartWrite(&outgoing_);
      } else {
        Break();
      }
    }
    if (end_.has_value()) {
      // What waits for room in the collector is let in soon, or told that it stops.
      if (taking_) return;
      if (broken_ ? !writing_ : (unanswered_ == 0 && !writing_ && responses_.empty())) {
        finished_ = true;
        Finish(*end_);
      }
      return;
    }
    if (reading_ || messages_ >= kMostMessages ||
        unanswered_ + unsent_ >= shared_.options.limits.publishes_per_message) {
      return;
    }
    reading_ = true;
    StartRead(&incoming_);
  }

  Shared& shared_;
  // Until gRPC is done with the call.
  std::shared_ptr<PublishStream> self_;
  // gRPC's while `reading_` and `writing_`. What was read is kept in the first, until it is
  // parsed; under the lock while it is held.
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;

  absl::Mutex mutex_;
  // From the start of a read until the message is with the collector.
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  // A message is here that the collector does not have yet.
  bool taking_ ABSL_GUARDED_BY(mutex_) = false;
  // It is not parsed yet; perhaps there is no room for it in the queue.
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  // The held message's.
  WireSize size_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Set once no more is to be read: how the call ends after the last result.
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  // With the collector.
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  // Results that wait to be written, or are.
  std::deque<Response> responses_ ABSL_GUARDED_BY(mutex_);
  int64_t unsent_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t writing_results_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One WatchGenerations.
class Watch final : public grpc::ServerWriteReactor<v1::WatchGenerationsResponse>,
                    public Stream,
                    public std::enable_shared_from_this<Watch> {
 public:
  explicit Watch(Shared& shared) : shared_(shared) {}

  void Begin() {
    self_ = shared_from_this();
    const bool open = shared_.streams.Add(self_);
    absl::MutexLock lock(&mutex_);
    if (!open) end_ = Stopping();
    newest_ = std::max(newest_, shared_.collector.generation());
    Step();
  }

  void Stop() override {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = Stopping();
    Step();
  }

  void Tell(int64_t generation) override {
    absl::MutexLock lock(&mutex_);
    newest_ = std::max(newest_, generation);
    Step();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
    Step();
  }

  void OnCancel() override {
    absl::MutexLock lock(&mutex_);
    end_ = grpc::Status::CANCELLED;
    Step();
  }

  void OnDone() override {
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_) return;
    if (end_.has_value()) {
      finished_ = true;
      Finish(*end_);
      return;
    }
    if (newest_ <= sent_) return;
    sent_ = newest_;
    response_.set_generation(sent_);
    response_.mutable_duration()->set_seconds(
        absl::ToInt64Seconds(shared_.options.generation_duration));
    response_.set_identity(shared_.options.identity);
    SetTimestamp(shared_.clock.Now(), response_.mutable_sent_at());
    writing_ = true;
    StartWrite(&response_);
  }

  Shared& shared_;
  std::shared_ptr<Watch> self_;
  // gRPC's while `writing_`.
  v1::WatchGenerationsResponse response_;

  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  int64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One GetRunningShard. A reader that takes nothing for too long is given up, with its copy.
class RunningShard final : public grpc::ServerWriteReactor<v1::GetShardResponse>,
                           public Stream,
                           public std::enable_shared_from_this<RunningShard> {
 public:
  RunningShard(Shared& shared, grpc::CallbackServerContext* context)
      : shared_(shared), context_(context) {}

  void Begin() {
    self_ = shared_from_this();
    const bool open = shared_.streams.Add(self_);
    absl::Status status;
    if (shared_.copies.fetch_add(1) >= kMostCopies) {
      status = absl::ResourceExhaustedError(absl::StrCat("the running shard is being sent ",
                                                         kMostCopies, " times already; try again"));
    } else if (open) {
      status = shared_.collector.CopyRunning(
          [self = self_](absl::StatusOr<SealedShard> copy) { self->Copied(std::move(copy)); });
    }
    absl::MutexLock lock(&mutex_);
    if (!open) {
      end_ = Stopping();
    } else if (!status.ok()) {
      end_ = ToGrpc(status);
    }
    Step();
  }

  void Stop() override { End(Stopping()); }
  void OnCancel() override { End(grpc::Status::CANCELLED); }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) end_ = grpc::Status::CANCELLED;
    Step();
  }

  // The reader had its time.
  void OnAlarm() {
    {
      absl::MutexLock lock(&mutex_);
      if (finished_) return;
      if (!writing_ || absl::Now() < give_up_at_) {
        SetAlarm();
        return;
      }
      if (!end_.has_value()) end_ = grpc::Status::CANCELLED;
      cancelling_ = true;
    }
    // Without the lock, because gRPC may call OnCancel from it; and before Finish, after which
    // the context may be gone. It ends the write.
    context_->TryCancel();
    absl::MutexLock lock(&mutex_);
    cancelling_ = false;
    Step();
  }

  void OnDone() override {
    shared_.copies.fetch_sub(1);
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  void End(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    Step();
  }

  void Copied(absl::StatusOr<SealedShard> copy) {
    absl::MutexLock lock(&mutex_);
    if (!copy.ok()) {
      if (!end_.has_value()) end_ = ToGrpc(copy.status());
    } else {
      copy_ = std::move(*copy);
    }
    Step();
  }

  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(give_up_at_), [self = shared_from_this()](bool expired) {
      if (expired) self->OnAlarm();
    });
  }

  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_ || cancelling_) return;
    if (!end_.has_value() && copy_.has_value() && started_ && offset_ == copy_->bytes.size()) {
      end_ = grpc::Status::OK;
    }
    if (end_.has_value()) {
      finished_ = true;
      copy_.reset();
      alarm_.reset();
      Finish(*end_);
      return;
    }
    if (!copy_.has_value()) return;
    if (!started_) {
      started_ = true;
      *response_.mutable_info() = copy_->info;
    } else {
      const std::string_view part = copy_->bytes.substr(offset_, kChunkBytes);
      response_.mutable_chunk()->set_offset(offset_);
      response_.mutable_chunk()->set_data(part.data(), part.size());
      offset_ += part.size();
    }
    writing_ = true;
    give_up_at_ = absl::Now() + shared_.options.reader_timeout;
    if (alarm_ == nullptr) SetAlarm();
    StartWrite(&response_);
  }

  Shared& shared_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<RunningShard> self_;
  // gRPC's while `writing_`.
  v1::GetShardResponse response_;

  absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::optional<SealedShard> copy_ ABSL_GUARDED_BY(mutex_);
  size_t offset_ ABSL_GUARDED_BY(mutex_) = 0;
  // One for the call: when it rings and the reader has taken something since, it is set again.
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
  absl::Time give_up_at_ ABSL_GUARDED_BY(mutex_);
  bool cancelling_ ABSL_GUARDED_BY(mutex_) = false;
};

// The methods with texts in their requests take bytes: gRPC would answer a request that does
// not parse with UNIMPLEMENTED and no word.
using ServiceMethods = v1::Ingest::WithRawCallbackMethod_PublishStream<
    v1::Ingest::WithRawCallbackMethod_Publish<v1::Ingest::WithCallbackMethod_WatchGenerations<
        v1::Ingest::WithCallbackMethod_GetRunningShard<v1::Ingest::Service>>>>;

}  // namespace

class IngestService::Service final : public ServiceMethods {
 public:
  Service(const Options& options, Collector& collector, Clock& clock, Metrics& metrics)
      : shared_{.options = options, .collector = collector, .clock = clock, .metrics = metrics} {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    const absl::Status status = Take(*request, std::make_unique<UnaryBatch>(reactor, response));
    if (!status.ok()) {
      shared_.metrics.CountRefused(status.code());
      reactor->Finish(ToGrpc(status));
    }
    return reactor;
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* PublishStream(
      grpc::CallbackServerContext*) override {
    return Begin<ingest::PublishStream>();
  }

  grpc::ServerWriteReactor<v1::WatchGenerationsResponse>* WatchGenerations(
      grpc::CallbackServerContext*, const v1::WatchGenerationsRequest*) override {
    return Begin<Watch>();
  }

  grpc::ServerWriteReactor<v1::GetShardResponse>* GetRunningShard(
      grpc::CallbackServerContext* context, const v1::GetRunningShardRequest*) override {
    return Begin<RunningShard>(context);
  }

  Streams& streams() { return shared_.streams; }

 private:
  // Hands the publish to the collector, or says why not.
  absl::Status Take(const grpc::ByteBuffer& message, std::unique_ptr<UnaryBatch> batch) {
    grpc::ByteBuffer copy(message);  // of the reference; reading needs one that is not const
    const absl::StatusOr<WireSize> size = ScanPublish(&copy, shared_.options.limits);
    if (!size.ok()) return size.status();
    absl::Status status = shared_.collector.Reserve(size->memory, size->publishes);
    if (!status.ok()) return status;
    status = batch->Parse(&copy, *size, shared_);
    if (status.ok()) return shared_.collector.Submit(std::move(batch));
    batch.reset();
    shared_.collector.Release(size->memory, size->publishes);
    return status;
  }

  // The stream owns itself until it is done, which may be before this returns only when
  // gRPC has it; it has it after this.
  template <typename Reactor, typename... Context>
  Reactor* Begin(Context... context) {
    const auto stream = std::make_shared<Reactor>(shared_, context...);
    stream->Begin();
    return stream.get();
  }

  Shared shared_;
};

IngestService::IngestService(const Options& options, Collector& collector, Clock& clock,
                             Metrics& metrics)
    : service_(std::make_unique<Service>(options, collector, clock, metrics)) {}

IngestService::~IngestService() = default;

grpc::Service& IngestService::service() { return *service_; }

void IngestService::Announce(int64_t generation) { service_->streams().Tell(generation); }

void IngestService::Stop() { service_->streams().Stop(); }

bool IngestService::AwaitEnd(absl::Time deadline) { return service_->streams().AwaitEnd(deadline); }

}  // namespace qasino::ingest
