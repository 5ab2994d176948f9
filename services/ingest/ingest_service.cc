#include "services/ingest/ingest_service.h"

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/timestamp.h"
#include "services/ingest/validate.h"

namespace qasino::ingest {
namespace {

using google::protobuf::internal::WireFormatLite;

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

// Counts the publishes of a PublishStreamRequest without making them: an empty one is two
// bytes on the wire and a hundred in memory. Nothing when the message is not well-formed.
std::optional<int64_t> CountPublishes(grpc::ByteBuffer* message) {
  grpc::ProtoBufferReader reader(message);
  if (!reader.status().ok()) return std::nullopt;
  google::protobuf::io::CodedInputStream input(&reader);
  constexpr uint32_t kTag = WireFormatLite::MakeTag(v1::PublishStreamRequest::kPublishesFieldNumber,
                                                    WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  int64_t publishes = 0;
  while (const uint32_t tag = input.ReadTag()) {
    if (tag == kTag) ++publishes;
    if (!WireFormatLite::SkipField(&input, tag)) return std::nullopt;
  }
  if (!input.ConsumedEntireMessage()) return std::nullopt;
  return publishes;
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
};

class UnaryBatch : public PublishBatch {
 public:
  UnaryBatch(grpc::ServerUnaryReactor* reactor, grpc::ByteBuffer* response)
      : reactor_(reactor), response_(response) {}

  // Reads the message and validates the publish.
  absl::Status Parse(const grpc::ByteBuffer& message, Shared& shared) {
    grpc::ByteBuffer copy(message);  // of the reference; reading needs one that is not const
    const auto bytes = static_cast<int64_t>(copy.Length());
    auto* request = google::protobuf::Arena::CreateMessage<v1::PublishRequest>(&arena_);
    grpc::ProtoBufferReader reader(&copy);
    if (!reader.status().ok() || !request->ParseFromZeroCopyStream(&reader)) {
      return absl::InvalidArgumentError(
          "the message is not a PublishRequest (texts must be valid UTF-8)");
    }
    shared.metrics.bytes.Increment(static_cast<double>(bytes));
    shared.collector.CountReceived(request->update());
    items.resize(1);
    items[0].publish = request;
    cost = CostOf(*request, bytes);
    return ValidatePublish(*request, bytes, shared.options.limits);
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
    const bool open = shared_.streams.Add(self_);
    absl::MutexLock lock(&mutex_);
    if (!open) end_ = Stopping();
    Step();
  }

  void Stop() override {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = Stopping();
    Step();
  }

  void OnReadDone(bool ok) override {
    absl::Status status;
    std::unique_ptr<Batch> batch;
    if (ok) {
      batch = std::make_unique<Batch>(shared_from_this());
      status = batch->Parse(&incoming_, shared_);
      incoming_.Clear();
    }
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ok) {
      if (!end_.has_value()) end_ = grpc::Status::OK;
    } else if (!status.ok()) {
      shared_.metrics.CountRefused(status.code());
      if (!end_.has_value()) end_ = ToGrpc(status);
    } else if (!batch->items.empty()) {
      const auto publishes = static_cast<int64_t>(batch->items.size());
      status = shared_.collector.SubmitAnyway(std::move(batch));
      if (status.ok()) {
        ++messages_;
        unanswered_ += publishes;
      } else {
        shared_.metrics.CountRefused(status.code(), static_cast<double>(publishes));
        if (!end_.has_value()) end_ = ToGrpc(status);
      }
    }
    Step();
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
    shared_.streams.Remove(self_);
    self_.reset();
  }

 private:
  class Batch : public PublishBatch {
   public:
    explicit Batch(std::shared_ptr<PublishStream> stream) : stream_(std::move(stream)) {}

    // Reads the message and validates its publishes.
    absl::Status Parse(grpc::ByteBuffer* message, Shared& shared) {
      const Limits& limits = shared.options.limits;
      const auto bytes = static_cast<int64_t>(message->Length());
      const std::optional<int64_t> publishes = CountPublishes(message);
      if (publishes.has_value() && *publishes > limits.publishes_per_message) {
        return absl::ResourceExhaustedError(absl::StrCat("the message has ", *publishes,
                                                         " publishes, over the limit of ",
                                                         limits.publishes_per_message));
      }
      google::protobuf::ArenaOptions arena;
      arena.start_block_size = std::clamp<int64_t>(4 * bytes, 1 << 10, 1 << 18);
      arena.max_block_size = 1 << 18;
      arena_.emplace(arena);
      auto* request = google::protobuf::Arena::CreateMessage<v1::PublishStreamRequest>(&*arena_);
      grpc::ProtoBufferReader reader(message);
      if (!publishes.has_value() || !reader.status().ok() ||
          !request->ParseFromZeroCopyStream(&reader)) {
        return absl::InvalidArgumentError(
            "the message is not a PublishStreamRequest (texts must be valid UTF-8)");
      }
      shared.metrics.bytes.Increment(static_cast<double>(bytes));
      cost = bytes;
      items.resize(request->publishes_size());
      int64_t updates = 0;
      for (int i = 0; i < request->publishes_size(); ++i) {
        const v1::PublishRequest& publish = request->publishes(i);
        // Where the message is within the limit of a publish, so are its parts.
        const bool small = bytes <= limits.bytes_per_publish;
        items[i].publish = &publish;
        items[i].status = ValidatePublish(
            publish, small ? 0 : static_cast<int64_t>(publish.ByteSizeLong()), limits);
        cost += CostOf(publish, 0);
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

  void HasRoom() {
    absl::MutexLock lock(&mutex_);
    waiting_for_room_ = false;
    Step();
  }

  // Starts whatever can be started.
  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
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
      if (broken_ ? !writing_ : (unanswered_ == 0 && !writing_ && responses_.empty())) {
        finished_ = true;
        Finish(*end_);
      }
      return;
    }
    if (reading_ || waiting_for_room_ || messages_ >= kMostMessages ||
        unanswered_ + unsent_ >= shared_.options.limits.publishes_per_message) {
      return;
    }
    if (!shared_.collector.HasRoomOr([self = shared_from_this()] { self->HasRoom(); })) {
      waiting_for_room_ = true;
      return;
    }
    reading_ = true;
    StartRead(&incoming_);
  }

  Shared& shared_;
  // Until gRPC is done with the call.
  std::shared_ptr<PublishStream> self_;
  // gRPC's while `reading_` and `writing_`.
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;

  absl::Mutex mutex_;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool waiting_for_room_ ABSL_GUARDED_BY(mutex_) = false;
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

// One GetRunningShard.
class RunningShard final : public grpc::ServerWriteReactor<v1::GetShardResponse>,
                           public Stream,
                           public std::enable_shared_from_this<RunningShard> {
 public:
  explicit RunningShard(Shared& shared) : shared_(shared) {}

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

  void Step() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_ || writing_) return;
    if (!end_.has_value() && copy_.has_value() && started_ && offset_ == copy_->bytes.size()) {
      end_ = grpc::Status::OK;
    }
    if (end_.has_value()) {
      finished_ = true;
      copy_.reset();
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
    StartWrite(&response_);
  }

  Shared& shared_;
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
    auto batch = std::make_unique<UnaryBatch>(reactor, response);
    absl::Status status = batch->Parse(*request, shared_);
    if (status.ok()) status = shared_.collector.Submit(std::move(batch));
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
      grpc::CallbackServerContext*, const v1::GetRunningShardRequest*) override {
    return Begin<RunningShard>();
  }

  Streams& streams() { return shared_.streams; }

 private:
  // The stream owns itself until it is done, which may be before this returns only when
  // gRPC has it; it has it after this.
  template <typename Reactor>
  Reactor* Begin() {
    const auto stream = std::make_shared<Reactor>(shared_);
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
