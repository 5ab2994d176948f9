#include "services/ingest/collector.h"

#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ingest/failpoints.h"
#include "services/ingest/timestamp.h"
#include "services/server/failpoint.h"
#include "services/server/log.h"
#include "services/tables/write_rows.h"

namespace qasino::ingest {
namespace {

// After so many publishes or bytes the writer hands answers on, though it has more to do.
constexpr size_t kPublishesBetweenAnswers = 256;
constexpr int64_t kBytesBetweenAnswers = 256 << 10;
// Shards that may wait to be sealed. More means that sealing takes longer than generations.
constexpr size_t kMostEnded = 8;

std::string RandomId() {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return absl::StrCat(absl::Hex(number, absl::kZeroPad16));
}

absl::Status Stopping() { return absl::UnavailableError("ingest is stopping"); }

// An error of the store's that leaves open whether it has taken a put.
bool IsUnknown(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Collector>> Collector::Create(const Options& options, Clock& clock,
                                                             Metrics& metrics, Calls calls) {
  absl::StatusOr<std::unique_ptr<Shard>> shard = calls.open_shard(options.limits);
  if (!shard.ok()) return shard.status();
  return std::unique_ptr<Collector>(
      new Collector(options, clock, metrics, std::move(calls), std::move(*shard)));
}

Collector::Collector(const Options& options, Clock& clock, Metrics& metrics, Calls calls,
                     std::unique_ptr<Shard> shard)
    : options_(options),
      ingest_id_(RandomId()),
      clock_(clock),
      metrics_(metrics),
      calls_(std::move(calls)),
      generations_(options.generation_duration, clock.Now(), options.newest_generation),
      shard_(std::move(shard)),
      generation_(generations_.current()) {
  metrics_.generation.Set(static_cast<double>(generation()));
  answerer_ = std::thread([this] { Answer(); });
  sealer_ = std::thread([this] { Seal(); });
  writer_ = std::thread([this] { Write(); });
}

Collector::~Collector() {
  Drain(absl::InfiniteFuture());
  writer_.join();
  sealer_.join();
  answerer_.join();
}

bool Collector::HasRoom(int64_t bytes, int64_t publishes) const {
  const Limits& limits = options_.limits;
  // Where nothing is queued there is room for anything, or some things would wait for ever.
  return queued_publishes_ == 0 || (queued_bytes_ + bytes <= limits.queued_bytes &&
                                    queued_publishes_ + publishes <= limits.queued_publishes);
}

absl::Status Collector::Reserve(int64_t bytes, int64_t publishes) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return Stopping();
  if (!wait_for_room_.empty()) {
    // Else small publishes could take, for ever, the room that a large message waits for,
    // and all streams wait behind that one.
    return absl::ResourceExhaustedError(absl::StrCat("too much is queued: ", queued_bytes_,
                                                     " bytes, and more wait for room; try again"));
  }
  if (!HasRoom(bytes, publishes)) {
    if (queued_bytes_ + bytes > options_.limits.queued_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("too much is queued: ", queued_bytes_, " bytes and the publish's ", bytes,
                       " are over the limit of ", options_.limits.queued_bytes, "; try again"));
    }
    return absl::ResourceExhaustedError(
        absl::StrCat("too much is queued: ", queued_publishes_, " publishes, the limit is ",
                     options_.limits.queued_publishes, "; try again"));
  }
  queued_bytes_ += bytes;
  queued_publishes_ += publishes;
  return absl::OkStatus();
}

bool Collector::ReserveOr(int64_t bytes, int64_t publishes, std::function<void()> call) {
  absl::MutexLock lock(&mutex_);
  if (!stopping_ && (!wait_for_room_.empty() || !HasRoom(bytes, publishes))) {
    wait_for_room_.push_back({bytes, publishes, std::move(call)});
    return false;
  }
  queued_bytes_ += bytes;
  queued_publishes_ += publishes;
  return true;
}

void Collector::Release(int64_t bytes, int64_t publishes) {
  std::vector<std::function<void()>> calls;
  {
    absl::MutexLock lock(&mutex_);
    queued_bytes_ -= bytes;
    queued_publishes_ -= publishes;
    while (!wait_for_room_.empty() &&
           HasRoom(wait_for_room_.front().bytes, wait_for_room_.front().publishes)) {
      Waiting& first = wait_for_room_.front();
      queued_bytes_ += first.bytes;
      queued_publishes_ += first.publishes;
      calls.push_back(std::move(first.call));
      wait_for_room_.pop_front();
    }
    metrics_.queue_bytes.Set(static_cast<double>(queued_bytes_));
  }
  for (const auto& call : calls) call();
}

absl::Status Collector::Submit(std::unique_ptr<PublishBatch> batch) {
  {
    absl::MutexLock lock(&mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(batch));
      work_.Signal();
      return absl::OkStatus();
    }
  }
  Release(batch->bytes, batch->publishes);
  return Stopping();
}

absl::Status Collector::Ready() const {
  absl::MutexLock lock(&mutex_);
  return ready_;
}

absl::Status Collector::CopyRunning(std::function<void(absl::StatusOr<SealedShard>)> done) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return Stopping();
  if (copying_) {
    return absl::ResourceExhaustedError("a copy of the running shard is being made; try again");
  }
  copying_ = true;
  copy_ = std::move(done);
  work_.Signal();
  return absl::OkStatus();
}

void Collector::CountReceived(bool update, int64_t publishes) {
  (update ? updates_received_ : inserts_received_).fetch_add(publishes, std::memory_order_relaxed);
}

void Collector::CountUpdateErrors(int64_t publishes) {
  update_errors_.fetch_add(publishes, std::memory_order_relaxed);
}

bool Collector::Drain(absl::Time deadline) {
  std::deque<Waiting> waiting;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    if (ready_.ok()) ready_ = Stopping();
    waiting.swap(wait_for_room_);
    // As they will give it back.
    for (const Waiting& one : waiting) {
      queued_bytes_ += one.bytes;
      queued_publishes_ += one.publishes;
    }
    work_.Signal();
  }
  for (const Waiting& one : waiting) one.call();
  {
    absl::MutexLock lock(&ended_mutex_);
    if (!ended_mutex_.AwaitWithDeadline(absl::Condition(&all_sealed_), deadline)) return false;
  }
  absl::MutexLock lock(&answer_mutex_);
  return answer_mutex_.AwaitWithDeadline(absl::Condition(&all_answered_), deadline);
}

void Collector::Write() {
  std::vector<std::unique_ptr<PublishBatch>> batches;
  std::vector<std::unique_ptr<PublishBatch>> applied;
  std::vector<Settled> settled;
  while (true) {
    std::function<void(absl::StatusOr<SealedShard>)> copy;
    bool stop = false;
    {
      absl::MutexLock lock(&mutex_);
      while (queue_.empty() && settled_.empty() && copy_ == nullptr && !stopping_ &&
             !generations_.Due(clock_.Now())) {
        clock_.Wait(mutex_, work_, generations_.end());
      }
      batches.swap(queue_);
      settled.swap(settled_);
      copy.swap(copy_);
      // Nothing is queued any more once this is set.
      stop = stopping_;
    }
    ChangeGenerationIfDue(clock_.Now());
    if (shard_ == nullptr) OpenShard();

    Settle(std::move(settled), &applied);
    settled.clear();
    size_t publishes = 0;
    int64_t bytes = 0;
    for (std::unique_ptr<PublishBatch>& batch : batches) {
      publishes += batch->items.size();
      bytes += batch->bytes;
      Apply(std::move(batch), &applied);
      if (publishes >= kPublishesBetweenAnswers || bytes >= kBytesBetweenAnswers) {
        HandOn(&applied);
        publishes = 0;
        bytes = 0;
      }
    }
    HandOn(&applied);
    batches.clear();
    if (copy != nullptr) GiveCopy(std::move(copy));
    if (stop) break;
  }
  EndGeneration(/*last=*/true);
  {
    absl::MutexLock lock(&ended_mutex_);
    no_more_ended_ = true;
  }
  while (forwarded_batches_ > 0) {
    {
      absl::MutexLock lock(&mutex_);
      while (settled_.empty()) work_.Wait(&mutex_);
      settled.swap(settled_);
    }
    Settle(std::move(settled), &applied);
    settled.clear();
    HandOn(&applied);
  }
  absl::MutexLock lock(&answer_mutex_);
  no_more_answers_ = true;
}

void Collector::Apply(std::unique_ptr<PublishBatch> batch,
                      std::vector<std::unique_ptr<PublishBatch>>* applied) {
  std::shared_ptr<Forwarded> forwarded;
  for (size_t i = 0; i < batch->items.size(); ++i) {
    PublishItem& item = batch->items[i];
    if (!item.status.ok()) {
      CountRefused(item);
      continue;
    }
    const absl::Time now = clock_.Now();
    ChangeGenerationIfDue(now);
    const absl::StatusOr<Way> way = FindWay(*item.publish);
    if (!way.ok()) {
      item.status = way.status();
      CountRefused(item);
      continue;
    }
    switch (*way) {
      case Way::kShard:
        ApplyToShard(item, now);
        break;
      case Way::kDuplicate:
        item.generation = generations_.current();
        item.duplicate = true;
        ++counts_.duplicates;
        break;
      case Way::kStore:
      case Way::kStoreThenDrop:
        if (forwarded == nullptr) {
          item.status = CheckForwarded(*batch);
          if (!item.status.ok()) {
            CountRefused(item);
            break;
          }
          forwarded = std::make_shared<Forwarded>();
        }
        Forward(forwarded, item, i, *way == Way::kStoreThenDrop);
        break;
    }
  }
  if (forwarded == nullptr) {
    applied->push_back(std::move(batch));
    return;
  }
  ++forwarded_batches_;
  forwarded_bytes_ += batch->bytes;
  forwarded_publishes_ += batch->publishes;
  forwarded->batch = std::move(batch);
}

absl::StatusOr<Collector::Way> Collector::FindWay(const v1::PublishRequest& publish) const {
  if (publish.static_()) return Way::kStore;
  if (shard_ == nullptr) {
    return absl::UnavailableError("the running shard is not open; try again");
  }
  if (!publish.persist() && marks_.empty()) return Way::kShard;
  const auto mark =
      marks_.find(Pair(absl::AsciiStrToLower(publish.table().name()), publish.identity()));
  if (mark == marks_.end()) {
    if (!publish.persist()) return Way::kShard;
    if (!shard_->IsPublished(publish)) return Way::kStore;
    if (!publish.update()) return Way::kDuplicate;
    return absl::FailedPreconditionError(
        absl::StrCat("table '", publish.table().name(),
                     "': this identity has published it without 'persist' in this generation"));
  }
  if (publish.update() && publish.persist()) return Way::kStore;
  if (mark->second.persisted) return publish.update() ? Way::kStoreThenDrop : Way::kDuplicate;
  if (mark->second.puts > 0) {
    return absl::UnavailableError(absl::StrCat("table '", publish.table().name(),
                                               "' is being handed to the store; try again"));
  }
  if (publish.persist()) return Way::kStore;
  return absl::UnavailableError(
      absl::StrCat("table '", publish.table().name(),
                   "': this identity has published it with 'persist' in this generation, and the "
                   "store may have it; try again with 'persist', or in the next generation"));
}

void Collector::ApplyToShard(PublishItem& item, absl::Time now) {
  const absl::StatusOr<PublishEffect> effect = shard_->Publish(*item.publish, now);
  if (!effect.ok()) {
    item.status = effect.status();
    CountRefused(item);
    return;
  }
  item.generation = generations_.current();
  item.duplicate = effect->duplicate;
  CountStored(item, effect->rows + effect->changed);
}

// What waits for the store keeps its room in the queue. Half of it is left to all others.
absl::Status Collector::CheckForwarded(const PublishBatch& batch) const {
  if (forwarded_batches_ == 0 ||
      (forwarded_bytes_ + batch.bytes <= options_.limits.queued_bytes / 2 &&
       forwarded_publishes_ + batch.publishes <= options_.limits.queued_publishes / 2)) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "too much waits for the store: ", forwarded_publishes_, " publishes of ", forwarded_bytes_,
      " bytes; the limits are ", options_.limits.queued_publishes / 2, " and ",
      options_.limits.queued_bytes / 2, "; try again"));
}

void Collector::Forward(const std::shared_ptr<Forwarded>& forwarded, PublishItem& item,
                        size_t number, bool then_drop) {
  const v1::PublishRequest& publish = *item.publish;
  if (!publish.static_()) {
    ++marks_[Pair(absl::AsciiStrToLower(publish.table().name()), publish.identity())].puts;
  }
  ++forwarded->unanswered;
  metrics_.waiting_for_store.Increment();
  const KeptPut put = {
      .publish = &publish, .generation = generations_.current(), .then_drop = then_drop};
  calls_.forward(put, [this, forwarded, number, put](KeptAnswer answer) {
    absl::MutexLock lock(&mutex_);
    settled_.push_back({forwarded, number, put, std::move(answer)});
    work_.Signal();
  });
}

void Collector::Settle(std::vector<Settled> all,
                       std::vector<std::unique_ptr<PublishBatch>>* applied) {
  for (Settled& settled : all) {
    Forwarded& forwarded = *settled.forwarded;
    PublishItem& item = forwarded.batch->items[settled.item];
    const KeptAnswer& answer = settled.answer;
    const v1::PublishRequest& publish = *item.publish;
    metrics_.waiting_for_store.Decrement();
    // The marks of a generation that is over are gone.
    if (!publish.static_() && settled.put.generation == generations_.current()) {
      const auto mark =
          marks_.find(Pair(absl::AsciiStrToLower(publish.table().name()), publish.identity()));
      if (mark != marks_.end()) {
        --mark->second.puts;
        if (answer.status.ok()) mark->second.persisted = true;
        if (IsUnknown(answer.status.code())) mark->second.perhaps = true;
        if (mark->second.puts == 0 && !mark->second.persisted && !mark->second.perhaps) {
          marks_.erase(mark);
        }
      }
    }
    if (answer.status.ok()) {
      server::Failpoint(kAfterForward);
      item.generation = answer.generation;
      item.duplicate = answer.duplicate;
      CountStored(item, answer.duplicate ? 0 : tables::RowCount(publish.table()));
    } else {
      item.status = answer.status;
      CountRefused(item);
    }
    if (--forwarded.unanswered > 0) continue;
    --forwarded_batches_;
    forwarded_bytes_ -= forwarded.batch->bytes;
    forwarded_publishes_ -= forwarded.batch->publishes;
    applied->push_back(std::move(forwarded.batch));
  }
}

void Collector::CountStored(const PublishItem& item, int64_t rows) {
  ++(item.duplicate           ? counts_.duplicates
     : item.publish->update() ? counts_.updates
                              : counts_.inserts);
  counts_.rows += rows;
}

void Collector::CountRefused(const PublishItem& item) {
  metrics_.CountRefused(item.status.code());
  if (item.publish->update()) CountUpdateErrors(1);
}

void Collector::HandOn(std::vector<std::unique_ptr<PublishBatch>>* applied) {
  const int64_t stored = counts_.inserts + counts_.updates;
  if (stored > 0) metrics_.stored.Increment(static_cast<double>(stored));
  if (counts_.duplicates > 0) {
    metrics_.duplicates.Increment(static_cast<double>(counts_.duplicates));
  }
  if (counts_.rows > 0) metrics_.rows.Increment(static_cast<double>(counts_.rows));
  inserts_completed_ += counts_.inserts;
  updates_completed_ += counts_.updates;
  counts_ = {};
  if (applied->empty()) return;
  absl::MutexLock lock(&answer_mutex_);
  for (std::unique_ptr<PublishBatch>& batch : *applied) applied_.push_back(std::move(batch));
  applied->clear();
}

void Collector::GiveCopy(std::function<void(absl::StatusOr<SealedShard>)> done) {
  absl::StatusOr<SealedShard> result = Stopping();
  if (shard_ != nullptr) result = shard_->Copy();
  if (result.ok()) {
    result->info.set_shard_id(absl::StrCat(generations_.current(), "-", ingest_id_));
    result->info.set_generation(generations_.current());
    result->info.mutable_duration()->set_seconds(
        absl::ToInt64Seconds(options_.generation_duration));
    result->info.set_kind(v1::RUNNING);
    result->info.set_ingest_id(ingest_id_);
    result->info.set_identity(options_.identity);
    SetTimestamp(clock_.Now(), result->info.mutable_sealed_at());
  }
  AddTask([this, done = std::move(done), result = std::move(result)]() mutable {
    {
      absl::MutexLock lock(&mutex_);
      copying_ = false;
    }
    done(std::move(result));
  });
}

void Collector::ChangeGenerationIfDue(absl::Time now) {
  if (!generations_.Due(now)) return;
  EndGeneration(/*last=*/false);
  generations_.Advance(now);
  const int64_t generation = generations_.current();
  generation_.store(generation, std::memory_order_relaxed);
  marks_.clear();
  metrics_.generation.Set(static_cast<double>(generation));
  OpenShard();
  AddTask([this, generation] { calls_.on_generation(generation); });
}

void Collector::EndGeneration(bool last) {
  if (shard_ == nullptr) return;
  Ended ended;
  ended.shard = std::move(shard_);
  ended.info.set_shard_id(absl::StrCat(generations_.current(), "-", ingest_id_));
  ended.info.set_generation(generations_.current());
  ended.info.mutable_duration()->set_seconds(absl::ToInt64Seconds(options_.generation_duration));
  ended.info.set_kind(v1::COLLECTED);
  ended.info.set_ingest_id(ingest_id_);
  ended.info.set_identity(options_.identity);
  ended.info.set_last(last);
  v1::IngestCounts& counts = *ended.info.mutable_counts();
  counts.set_inserts_received(inserts_received_.load(std::memory_order_relaxed));
  counts.set_inserts_completed(inserts_completed_ + counts_.inserts);
  counts.set_updates_received(updates_received_.load(std::memory_order_relaxed));
  counts.set_updates_completed(updates_completed_ + counts_.updates);
  counts.set_update_errors(update_errors_.load(std::memory_order_relaxed));

  Ended dropped;
  {
    absl::MutexLock lock(&ended_mutex_);
    if (ended_.size() >= kMostEnded) {
      dropped = std::move(ended_.front());
      ended_.erase(ended_.begin());
    }
    ended_.push_back(std::move(ended));
  }
  if (dropped.shard != nullptr) {
    metrics_.dropped_unsealed.Increment();
    log::Error("ingest", "shard dropped: sealing takes longer than a generation",
               {{"generation", dropped.info.generation()}});
  }
}

void Collector::OpenShard() {
  absl::StatusOr<std::unique_ptr<Shard>> shard = calls_.open_shard(options_.limits);
  absl::Status ready;
  if (shard.ok()) {
    shard_ = std::move(*shard);
  } else {
    ready = absl::UnavailableError(
        absl::StrCat("the running shard cannot be opened: ", shard.status().message()));
    log::Error("ingest", "no shard for the generation",
               {{"generation", generations_.current()}, {"error", shard.status()}});
  }
  absl::MutexLock lock(&mutex_);
  if (!stopping_) ready_ = ready;
}

void Collector::AddTask(Task task) {
  absl::MutexLock lock(&answer_mutex_);
  tasks_.push_back(std::move(task));
}

void Collector::Seal() {
  while (true) {
    Ended ended;
    {
      absl::MutexLock lock(&ended_mutex_);
      const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(ended_mutex_) {
        return !ended_.empty() || no_more_ended_;
      };
      ended_mutex_.Await(absl::Condition(&something));
      if (ended_.empty()) {
        all_sealed_ = true;
        return;
      }
      ended = std::move(ended_.front());
      ended_.erase(ended_.begin());
    }
    SealOne(std::move(ended));
  }
}

void Collector::SealOne(Ended ended) {
  const absl::Time start = absl::Now();
  server::Failpoint(kBeforeSeal);
  absl::StatusOr<SealedShard> sealed = ended.shard->Seal();
  // Frees its memory before the bytes go anywhere.
  ended.shard.reset();
  if (!sealed.ok()) {
    metrics_.dropped_unsealed.Increment();
    log::Error("ingest", "shard dropped: it cannot be sealed",
               {{"generation", ended.info.generation()}, {"error", sealed.status()}});
    return;
  }
  sealed->info.MergeFrom(ended.info);
  SetTimestamp(clock_.Now(), sealed->info.mutable_sealed_at());
  const absl::Duration took = absl::Now() - start;
  int64_t rows = 0;
  for (const v1::TableInfo& table : sealed->info.tables()) rows += table.rows();
  metrics_.shards_sealed.Increment();
  metrics_.seal_seconds.Observe(absl::ToDoubleSeconds(took));
  log::Info("ingest", "shard sealed",
            {{"generation", sealed->info.generation()},
             {"tables", sealed->info.tables_size()},
             {"publishers", sealed->info.publishers()},
             {"rows", rows},
             {"bytes", sealed->info.size_bytes()},
             {"seconds", took},
             {"last", sealed->info.last()}});
  server::Failpoint(kAfterSeal);
  calls_.on_sealed(std::move(*sealed));
}

void Collector::Answer() {
  std::vector<std::unique_ptr<PublishBatch>> applied;
  std::vector<Task> tasks;
  while (true) {
    {
      absl::MutexLock lock(&answer_mutex_);
      const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(answer_mutex_) {
        return !applied_.empty() || !tasks_.empty() || no_more_answers_;
      };
      answer_mutex_.Await(absl::Condition(&something));
      if (applied_.empty() && tasks_.empty()) {
        all_answered_ = true;
        return;
      }
      applied.swap(applied_);
      tasks.swap(tasks_);
    }
    int64_t bytes = 0;
    int64_t publishes = 0;
    for (std::unique_ptr<PublishBatch>& batch : applied) {
      bytes += batch->bytes;
      publishes += batch->publishes;
      batch->Answer();
      batch.reset();
    }
    applied.clear();
    for (Task& task : tasks) task();
    tasks.clear();

    Release(bytes, publishes);
  }
}

}  // namespace qasino::ingest
