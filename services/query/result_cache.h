#ifndef QASINO_SERVICES_QUERY_RESULT_CACHE_H_
#define QASINO_SERVICES_QUERY_RESULT_CACHE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace qasino::query {

// Answers that have been made, so that the same question on the same snapshot is run once: also
// while it still runs, when those who ask it too wait for the first.
//
// A question is a snapshot's id and the bytes of a QueryRequest. An answer is the serialized
// messages without the summary, which is each call's own. Kept are answers that depend on their
// question alone; errors are not.
//
//   Advice advice = cache.Ask(id, snapshot, request, deadline, asker);
//   advice.answer     send it
//   advice.flight     wait for asker->Told(), or Leave
//   else              run the statement, and tell advice.recording, where there is one
//
// Bounded in bytes, what is being recorded and what is still being sent included: what was asked
// for least lately makes room, and where there is no room an answer is not kept. Thread-safe.
class ResultCache {
 public:
  // Whole. Immutable; whoever sends it holds it.
  class Answer {
   public:
    // At least one, in order. The slices of the last one come apart, for a summary behind them.
    const std::vector<grpc::ByteBuffer>& messages() const { return messages_; }
    const std::vector<grpc::Slice>& last_message() const { return last_message_; }
    uint64_t rows() const { return rows_; }
    bool truncated() const { return truncated_; }

    ~Answer();

   private:
    friend class ResultCache;
    Answer() = default;

    std::vector<grpc::ByteBuffer> messages_;
    std::vector<grpc::Slice> last_message_;
    uint64_t rows_ = 0;
    bool truncated_ = false;
    int64_t bytes_ = 0;
    std::shared_ptr<std::atomic<int64_t>> used_;
  };

  class Flight;
  class Recording;

  // What is to be done about a question; see above.
  struct Advice {
    std::shared_ptr<const Answer> answer;
    std::shared_ptr<Flight> flight;
    std::unique_ptr<Recording> recording;
  };

  class Asker {
   public:
    virtual ~Asker() = default;
    // The end of waiting: never another `flight`. Called on the thread of whoever ran the
    // statement before, without a lock; does not block.
    virtual void Told(Advice advice) = 0;
  };

  struct Sizes {
    int64_t bytes = 0;
    int64_t answers = 0;
    int64_t waiting = 0;
    // So far: answers that made room for others.
    int64_t evictions = 0;
  };

  struct Options {
    // One answer takes at most an eighth of it.
    int64_t max_bytes = 64 << 20;
    // Told of each change, with a lock held: only takes note.
    std::function<void(const Sizes&)> changed;
  };

  explicit ResultCache(Options options);
  // After all recordings.
  ~ResultCache();
  ResultCache(const ResultCache&) = delete;
  ResultCache& operator=(const ResultCache&) = delete;

  // Only looks whether there is an answer; else null.
  std::shared_ptr<const Answer> Find(uint64_t snapshot, std::string_view request)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // `holder` expires with the snapshot. `deadline` is the asker's: when whoever runs the
  // statement fails for reasons of its own, the one with the most time left runs it.
  Advice Ask(uint64_t snapshot, std::weak_ptr<const void> holder, std::string_view request,
             absl::Time deadline, const std::shared_ptr<Asker>& asker) ABSL_LOCKS_EXCLUDED(mutex_);

  // The asker waits no longer. Without effect when it has been told, or is being told.
  void Leave(const std::shared_ptr<Flight>& flight, const Asker* asker) ABSL_LOCKS_EXCLUDED(mutex_);

  // A newer snapshot takes the place of the newest: the answers of that one go, and of all that
  // are no more. Those who wait for one are still told.
  void NewestIs(uint64_t snapshot) ABSL_LOCKS_EXCLUDED(mutex_);

  int64_t max_answer_bytes() const { return options_.max_bytes / 8; }

 private:
  struct Slot;
  using Slots = std::list<Slot>;
  // Hashed when it is made, which is without the lock: a request may have some MiB, and the map
  // hashes all that it has when it grows.
  struct Question {
    Question(uint64_t snapshot, std::string_view request);

    friend bool operator==(const Question& a, const Question& b) {
      return a.hash == b.hash && a.snapshot == b.snapshot && a.request == b.request;
    }
    template <typename H>
    friend H AbslHashValue(H state, const Question& question) {
      return H::combine(std::move(state), question.hash);
    }

    uint64_t snapshot;
    // In the map: of the slot's own string.
    std::string_view request;
    size_t hash;
  };
  // Told when no lock is held.
  using ToTell = std::vector<std::pair<std::shared_ptr<Asker>, Advice>>;
  // Freed when no lock is held.
  using Gone = std::vector<std::shared_ptr<const Answer>>;

  // For Recording.
  std::shared_ptr<const void> Add(Flight& flight, const grpc::ByteBuffer& message)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Complete(Flight& flight, uint64_t rows, bool truncated) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveUp(Flight& flight) ABSL_LOCKS_EXCLUDED(mutex_);
  void Fail(const std::shared_ptr<Flight>& flight, absl::StatusCode code)
      ABSL_LOCKS_EXCLUDED(mutex_);

  bool MakeRoom(int64_t bytes, Gone& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Slots::iterator Erase(Slots::iterator slot, Gone& gone) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseAll(Flight& flight, const std::shared_ptr<const Answer>& answer, ToTell& to_tell)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static int64_t BytesOf(const Gone& gone);
  void Changed(const Gone& gone = {}) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Tell(ToTell to_tell);

  // Constant after construction.
  const Options options_;
  // What slots and answers take, those included that only somebody who sends them holds.
  const std::shared_ptr<std::atomic<int64_t>> used_;

  absl::Mutex mutex_;
  // The one asked for most lately first.
  Slots slots_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Question, Slots::iterator> by_question_ ABSL_GUARDED_BY(mutex_);
  Sizes sizes_ ABSL_GUARDED_BY(mutex_);
  uint64_t newest_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Held by who runs the statement for all that ask it; told what comes of it. Destroyed before
// Complete, GiveUp or Fail, it counts as cancelled. Used by one thread at a time.
class ResultCache::Recording {
 public:
  Recording(ResultCache* cache, std::shared_ptr<Flight> flight);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // The next message, without a summary. What is returned stands for the room that all messages
  // take so far, and is to be held while they wait to be sent. Null: the answer has become too
  // large to be kept, and those who wait run the statement themselves.
  std::shared_ptr<const void> Add(const grpc::ByteBuffer& message);
  // The answer is whole; it has at least one message.
  void Complete(uint64_t rows, bool truncated);
  // The answer is not for others: they run the statement themselves, and those who ask later do
  // not wait.
  void GiveUp();
  // The statement ended with this error. When it is the runner's own (cancelled, no time, no
  // memory) one of the others runs it; else, and when that is the second time, each runs it and
  // has its own error.
  void Fail(const absl::Status& status);

 private:
  ResultCache* const cache_;
  std::shared_ptr<Flight> flight_;  // null when it is over
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_RESULT_CACHE_H_
