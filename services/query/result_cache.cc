#include "services/query/result_cache.h"

#include <algorithm>
#include <optional>

#include "absl/hash/hash.h"

namespace qasino::query {
namespace {

// What a slot takes besides its question's bytes, and a message besides its own (gRPC's buffer
// alone has 330); about, as measured with answers of one message.
constexpr int64_t kSlotBytes = 256;
constexpr int64_t kMessageBytes = 512;

}  // namespace

// What is known of a question: its answer, the flight that is to bring it, or neither: then it is
// known that there is none to keep.
struct ResultCache::Slot {
  Slot(const Question& asked, std::weak_ptr<const void> asked_holder)
      : holder(std::move(asked_holder)), request(asked.request), question(asked) {
    question.request = request;
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  std::weak_ptr<const void> holder;
  const std::string request;
  Question question;  // of `request`
  std::shared_ptr<const Answer> answer;
  std::shared_ptr<Flight> flight;

  int64_t bytes() const { return kSlotBytes + static_cast<int64_t>(request.size()); }
};

// A statement that runs for all who ask it. Its members are guarded by the cache's mutex.
// After so many runners who cancelled, each who waits runs the statement itself.
constexpr int kMostCancelled = 4;

class ResultCache::Flight {
 private:
  friend class ResultCache;

  struct Waiter {
    std::shared_ptr<Asker> asker;
    absl::Time deadline;
  };

  // Nothing once the slot is gone.
  std::optional<Slots::iterator> slot_;
  absl::flat_hash_map<const Asker*, Waiter> waiters_;
  // Has what was recorded so far.
  std::shared_ptr<Answer> answer_;
  bool has_failed_ = false;
  // Runners who cancelled.
  int cancelled_ = 0;
};

ResultCache::Question::Question(uint64_t snapshot, std::string_view request)
    : snapshot(snapshot),
      request(request),
      hash(absl::Hash<std::pair<uint64_t, std::string_view>>{}({snapshot, request})) {}

ResultCache::Answer::~Answer() {
  if (used_ != nullptr) used_->fetch_sub(bytes_, std::memory_order_relaxed);
}

ResultCache::ResultCache(Options options)
    : options_(std::move(options)), used_(std::make_shared<std::atomic<int64_t>>(0)) {}

ResultCache::~ResultCache() = default;

std::shared_ptr<const ResultCache::Answer> ResultCache::Find(uint64_t snapshot,
                                                             std::string_view request) {
  const Question question(snapshot, request);
  absl::MutexLock lock(&mutex_);
  const auto found = by_question_.find(question);
  if (found == by_question_.end() || found->second->answer == nullptr) return nullptr;
  slots_.splice(slots_.begin(), slots_, found->second);
  return found->second->answer;
}

ResultCache::Advice ResultCache::Ask(uint64_t snapshot, std::weak_ptr<const void> holder,
                                     std::string_view request, absl::Time deadline,
                                     const std::shared_ptr<Asker>& asker) {
  const Question question(snapshot, request);
  Gone gone;
  // Made in case it is needed, with its copy of the request; also freed without the lock.
  Slots made;
  made.emplace_back(question, std::move(holder));
  absl::MutexLock lock(&mutex_);
  if (const auto found = by_question_.find(question); found != by_question_.end()) {
    Slot& slot = *found->second;
    slots_.splice(slots_.begin(), slots_, found->second);
    if (slot.answer != nullptr) return {.answer = slot.answer};
    if (slot.flight == nullptr) return {};
    slot.flight->waiters_[asker.get()] = {asker, deadline};
    ++sizes_.waiting;
    Changed();
    return {.flight = slot.flight};
  }
  const int64_t bytes = made.front().bytes();
  if (bytes > max_answer_bytes() || !MakeRoom(bytes, gone)) return {};
  used_->fetch_add(bytes, std::memory_order_relaxed);
  slots_.splice(slots_.begin(), made);
  slots_.front().flight = std::make_shared<Flight>();
  by_question_.emplace(slots_.front().question, slots_.begin());
  const std::shared_ptr<Flight>& flight = slots_.front().flight;
  flight->slot_ = slots_.begin();
  Changed(gone);
  return {.recording = std::make_unique<Recording>(this, flight)};
}

void ResultCache::Leave(const std::shared_ptr<Flight>& flight, const Asker* asker) {
  std::shared_ptr<Asker> left;
  absl::MutexLock lock(&mutex_);
  const auto found = flight->waiters_.find(asker);
  if (found == flight->waiters_.end()) return;
  left = std::move(found->second.asker);
  flight->waiters_.erase(found);
  --sizes_.waiting;
  Changed();
}

void ResultCache::NewestIs(uint64_t snapshot) {
  Gone gone;
  absl::MutexLock lock(&mutex_);
  const uint64_t former = std::exchange(newest_, snapshot);
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    const bool old = slot->question.snapshot != snapshot &&
                     (slot->question.snapshot == former || slot->holder.expired());
    slot = old ? Erase(slot, gone) : std::next(slot);
  }
  Changed(gone);
}

ResultCache::Slots::iterator ResultCache::Erase(Slots::iterator slot, Gone& gone) {
  by_question_.erase(slot->question);
  used_->fetch_sub(slot->bytes(), std::memory_order_relaxed);
  if (slot->flight != nullptr) slot->flight->slot_.reset();
  if (slot->answer != nullptr) {
    --sizes_.answers;
    gone.push_back(std::move(slot->answer));
  }
  return slots_.erase(slot);
}

bool ResultCache::MakeRoom(int64_t bytes, Gone& gone) {
  int64_t freed = 0;  // once `gone` is
  const auto fits = [&] {
    return used_->load(std::memory_order_relaxed) - freed + bytes <= options_.max_bytes;
  };
  for (auto slot = slots_.end(); !fits() && slot != slots_.begin();) {
    --slot;
    // Others hold an answer that is being sent: without its slot it would take its room still.
    // They get it here, so there are no more of them than are counted.
    if (slot->flight != nullptr || (slot->answer != nullptr && slot->answer.use_count() > 1)) {
      continue;
    }
    if (slot->answer != nullptr) {
      ++sizes_.evictions;
      freed += slot->answer->bytes_;
    }
    slot = Erase(slot, gone);
  }
  return fits();
}

std::shared_ptr<const void> ResultCache::Add(Flight& flight, const grpc::ByteBuffer& message) {
  Gone gone;
  absl::MutexLock lock(&mutex_);
  const int64_t bytes = static_cast<int64_t>(message.Length()) + kMessageBytes;
  if (flight.answer_ == nullptr) {
    flight.answer_.reset(new Answer);
    flight.answer_->used_ = used_;
  }
  Answer& answer = *flight.answer_;
  if (answer.bytes_ + bytes > max_answer_bytes() || !MakeRoom(bytes, gone)) return nullptr;
  used_->fetch_add(bytes, std::memory_order_relaxed);
  answer.bytes_ += bytes;
  answer.messages_.push_back(message);
  return flight.answer_;
}

void ResultCache::Complete(Flight& flight, uint64_t rows, bool truncated) {
  ToTell to_tell;
  {
    absl::MutexLock lock(&mutex_);
    Answer& answer = *flight.answer_;
    answer.rows_ = rows;
    answer.truncated_ = truncated;
    static_cast<void>(answer.messages_.back().Dump(&answer.last_message_));
    const std::shared_ptr<const Answer> whole = std::move(flight.answer_);
    if (flight.slot_.has_value()) {
      Slot& slot = **flight.slot_;
      slot.answer = whole;
      slot.flight.reset();
      slots_.splice(slots_.begin(), slots_, *flight.slot_);
      flight.slot_.reset();
      ++sizes_.answers;
    }
    ReleaseAll(flight, whole, to_tell);
    Changed();
  }
  Tell(std::move(to_tell));
}

void ResultCache::GiveUp(Flight& flight) {
  ToTell to_tell;
  std::shared_ptr<Answer> gone;
  // The room is held on by who sends them.
  std::vector<grpc::ByteBuffer> messages;
  {
    absl::MutexLock lock(&mutex_);
    gone = std::move(flight.answer_);
    if (gone != nullptr) messages.swap(gone->messages_);
    if (flight.slot_.has_value()) {
      (*flight.slot_)->flight.reset();
      flight.slot_.reset();
    }
    ReleaseAll(flight, nullptr, to_tell);
    Changed();
  }
  gone.reset();
  Tell(std::move(to_tell));
}

void ResultCache::Fail(const std::shared_ptr<Flight>& flight, absl::StatusCode code) {
  const bool cancelled = code == absl::StatusCode::kCancelled;
  const bool own = cancelled || code == absl::StatusCode::kDeadlineExceeded ||
                   code == absl::StatusCode::kResourceExhausted;
  ToTell to_tell;
  Gone gone;
  {
    absl::MutexLock lock(&mutex_);
    if (flight->answer_ != nullptr) gone.push_back(std::move(flight->answer_));
    // Who cancels as soon as it is the runner must not keep the others waiting for ever.
    const bool again =
        own && (cancelled ? flight->cancelled_ < kMostCancelled : !flight->has_failed_);
    flight->has_failed_ = flight->has_failed_ || !cancelled;
    flight->cancelled_ += cancelled ? 1 : 0;
    const auto next = std::max_element(
        flight->waiters_.begin(), flight->waiters_.end(),
        [](const auto& a, const auto& b) { return a.second.deadline < b.second.deadline; });
    if (again && next != flight->waiters_.end()) {
      to_tell.emplace_back(std::move(next->second.asker),
                           Advice{.recording = std::make_unique<Recording>(this, flight)});
      flight->waiters_.erase(next);
      --sizes_.waiting;
    } else {
      if (flight->slot_.has_value()) Erase(*flight->slot_, gone);
      ReleaseAll(*flight, nullptr, to_tell);
    }
    Changed(gone);
  }
  gone.clear();
  Tell(std::move(to_tell));
}

void ResultCache::ReleaseAll(Flight& flight, const std::shared_ptr<const Answer>& answer,
                             ToTell& to_tell) {
  for (auto& [key, waiter] : flight.waiters_) {
    to_tell.emplace_back(std::move(waiter.asker), Advice{.answer = answer});
  }
  sizes_.waiting -= static_cast<int64_t>(flight.waiters_.size());
  flight.waiters_.clear();
}

int64_t ResultCache::BytesOf(const Gone& gone) {
  int64_t bytes = 0;
  for (const auto& answer : gone) {
    if (answer.use_count() == 1) bytes += answer->bytes_;
  }
  return bytes;
}

void ResultCache::Changed(const Gone& gone) {
  sizes_.bytes = used_->load(std::memory_order_relaxed) - BytesOf(gone);
  if (options_.changed) options_.changed(sizes_);
}

void ResultCache::Tell(ToTell to_tell) {
  for (auto& [asker, advice] : to_tell) asker->Told(std::move(advice));
}

ResultCache::Recording::Recording(ResultCache* cache, std::shared_ptr<Flight> flight)
    : cache_(cache), flight_(std::move(flight)) {}

ResultCache::Recording::~Recording() {
  if (flight_ != nullptr) Fail(absl::CancelledError());
}

std::shared_ptr<const void> ResultCache::Recording::Add(const grpc::ByteBuffer& message) {
  std::shared_ptr<const void> room = cache_->Add(*flight_, message);
  if (room == nullptr) GiveUp();
  return room;
}

void ResultCache::Recording::Complete(uint64_t rows, bool truncated) {
  cache_->Complete(*std::exchange(flight_, nullptr), rows, truncated);
}

void ResultCache::Recording::GiveUp() { cache_->GiveUp(*std::exchange(flight_, nullptr)); }

void ResultCache::Recording::Fail(const absl::Status& status) {
  cache_->Fail(std::exchange(flight_, nullptr), status.code());
}

}  // namespace qasino::query
