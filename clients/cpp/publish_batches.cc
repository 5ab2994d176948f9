#include "clients/cpp/publish_batches.h"

#include <algorithm>
#include <utility>

namespace qasino::client {
namespace {

// With so many messages unanswered, small publishes are gathered until a message is full
// or an answer comes: a busy server gets few large messages, an idle one gets each
// publish at once.
constexpr size_t kMessagesBeforeGathering = 4;

// Publishes at least so long are not copied into a batch but are one of their own.
constexpr size_t kOwnBatchBytes = 64 << 10;

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

PublishBatches::PublishBatches(const PublishStreamOptions& options, int64_t max_message_bytes,
                               int attempts)
    : options_(options),
      max_batch_bytes_(static_cast<size_t>(std::min(options.max_batch_bytes, max_message_bytes))),
      attempts_(attempts) {}

void PublishBatches::Append(std::string bytes, PublishStream::Callback callback,
                            absl::Time deadline, uint32_t epoch) {
  ++unanswered_;
  unanswered_bytes_ += static_cast<int64_t>(bytes.size());
  next_expiry_ = std::min(next_expiry_, deadline);
  const bool joins = batches_.size() > std::max(sent_, single_) &&
                     batches_.back().entries.size() < static_cast<size_t>(options_.max_batch) &&
                     batches_.back().bytes->size() + bytes.size() <= max_batch_bytes_;
  if (!joins) batches_.emplace_back();
  Batch& batch = batches_.back();
  if (batch.entries.empty() && bytes.size() >= kOwnBatchBytes) {
    *batch.bytes = std::move(bytes);
  } else {
    batch.bytes->append(bytes);
  }
  batch.entries.push_back(
      {std::move(callback), deadline, epoch, static_cast<uint32_t>(batch.bytes->size())});
}

std::shared_ptr<const std::string> PublishBatches::TakeMessage() {
  if (sent_ == batches_.size()) return nullptr;
  if (single_ > 0 && sent_ > 0) return nullptr;
  const Batch& batch = batches_[sent_];
  const bool full = sent_ + 1 < batches_.size() ||
                    batch.entries.size() >= static_cast<size_t>(options_.max_batch) ||
                    batch.bytes->size() >= static_cast<size_t>(options_.max_batch_bytes);
  if (sent_ >= kMessagesBeforeGathering && !full) return nullptr;
  ++sent_;
  return batch.bytes;
}

bool PublishBatches::Answer(const v1::PublishResult& result, Results* due) {
  if (sent_ == 0) return false;
  Batch& batch = batches_.front();
  Entry& entry = batch.entries[batch.answered];
  Release(1, static_cast<int64_t>(entry.end - batch.begin(batch.answered)));
  broken_at_single_ = 0;
  if (entry.callback) {
    Result& told =
        due->emplace_back(Result{std::move(entry.callback), absl::UnknownError(""), entry.epoch});
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
  return true;
}

void PublishBatches::Shrink(Batch* batch) {
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

PublishBatches::Results PublishBatches::Expire(absl::Time now, const absl::Status& why) {
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
        results.push_back({std::exchange(entry.callback, nullptr), why, entry.epoch});
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

PublishBatches::Results PublishBatches::TakeBack(const absl::Status& why) {
  if (options_.fail_when_away && why.code() == absl::StatusCode::kUnavailable) {
    return GiveUpAll(why);
  }
  const size_t was_sent = std::exchange(sent_, 0);
  const absl::StatusCode code = why.code();
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
    return GiveUp(returned, why);
  }
  if (returned > 1) return {};
  if (!ConcernsOne(code) && ++broken_at_single_ < attempts_) return {};
  broken_at_single_ = 0;
  Results results = GiveUp(1, why);
  // Found it; the rest may travel together again.
  single_ = 0;
  return results;
}

PublishBatches::Results PublishBatches::GiveUp(size_t batches, const absl::Status& why) {
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

PublishBatches::Results PublishBatches::GiveUpAll(const absl::Status& why) {
  sent_ = 0;
  return GiveUp(batches_.size(), why);
}

}  // namespace qasino::client
