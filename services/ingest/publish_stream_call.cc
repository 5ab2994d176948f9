#include "services/ingest/publish_stream_call.h"

#include <google/protobuf/arena.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/calls.h"
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

absl::Status NoPublishStreamRequest() {
  return absl::InvalidArgumentError(
      "the message is not a PublishStreamRequest (texts must be valid UTF-8)");
}

// What the message takes in memory, when that is within the limits. It is not parsed for it.
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
  // The results of a message, until it is their turn.
  struct Place {
    bool answered = false;
    std::vector<v1::PublishResult> results;
  };

  class Batch : public PublishBatch {
   public:
    explicit Batch(std::shared_ptr<PublishStream> stream) : stream_(std::move(stream)) {}

    // In the stream's order.
    Place* place = nullptr;
    // Of the publishes, those with `update`.
    int64_t updates = 0;

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
    const int64_t updates = batch->updates;
    {
      // Before the answer can come.
      absl::MutexLock lock(&mutex_);
      batch->place = &places_.emplace_back();
      ++messages_;
      unanswered_ += size.publishes;
    }
    status = shared_.collector.Submit(std::move(batch));
    if (!status.ok()) {
      shared_.metrics.CountRefused(status.code(), static_cast<double>(size.publishes));
      shared_.collector.CountUpdateErrors(updates);
      absl::MutexLock lock(&mutex_);
      // Still the last: messages are taken one at a time.
      places_.pop_back();
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

  // The results of a batch, on the collector's thread. One that waited for the store comes
  // after later ones, which then wait for it here.
  void Answer(const Batch& batch) {
    absl::MutexLock lock(&mutex_);
    const auto publishes = static_cast<int64_t>(batch.items.size());
    --messages_;
    unanswered_ -= publishes;
    batch.place->answered = true;
    if (!broken_) {
      unsent_ += publishes;
      if (batch.place == &places_.front()) {
        for (const PublishItem& item : batch.items) AddResult(ResultOf(item));
      } else {
        batch.place->results.reserve(batch.items.size());
        for (const PublishItem& item : batch.items) {
          batch.place->results.push_back(ResultOf(item));
        }
      }
    }
    while (!places_.empty() && places_.front().answered) {
      if (!broken_) {
        for (v1::PublishResult& result : places_.front().results) AddResult(std::move(result));
      }
      places_.pop_front();
    }
    Step();
  }

  static v1::PublishResult ResultOf(const PublishItem& item) {
    v1::PublishResult result;
    if (item.status.ok()) {
      result.set_generation(item.generation);
      result.set_duplicate(item.duplicate);
    } else {
      result.set_code(static_cast<int>(item.status.code()));
      result.set_message(std::string(item.status.message()));
    }
    return result;
  }

  // Puts it behind what is to be sent.
  void AddResult(v1::PublishResult result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (responses_.empty() || responses_.back().bytes >= kMostResponseBytes) {
      responses_.emplace_back();
    }
    Response& response = responses_.back();
    response.bytes += kResultBytes + static_cast<int64_t>(result.message().size());
    *response.message.add_results() = std::move(result);
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
  // Of the messages with the collector, and of those behind one that it still has. In order,
  // and where a batch finds them: only the ends change.
  std::deque<Place> places_ ABSL_GUARDED_BY(mutex_);
  // With the collector.
  int messages_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;
  // Results that wait to be written, or are.
  std::deque<Response> responses_ ABSL_GUARDED_BY(mutex_);
  int64_t unsent_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t writing_results_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* BeginPublishStream(Shared& shared) {
  const auto stream = std::make_shared<PublishStream>(shared);
  stream->Begin();
  return stream.get();
}

}  // namespace qasino::ingest
