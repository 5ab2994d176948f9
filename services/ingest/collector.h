#ifndef QASINO_SERVICES_INGEST_COLLECTOR_H_
#define QASINO_SERVICES_INGEST_COLLECTOR_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "qasino/v1/ingest.pb.h"
#include "services/ingest/clock.h"
#include "services/ingest/generation_clock.h"
#include "services/ingest/kept_put.h"
#include "services/ingest/limits.h"
#include "services/ingest/metrics.h"
#include "services/ingest/shard.h"

namespace qasino::ingest {

// One publish on its way through the collector.
struct PublishItem {
  // Kept alive by the batch.
  const v1::PublishRequest* publish = nullptr;
  // Not OK from the start: it was refused already, and is only carried along in its place.
  absl::Status status;
  // Set where the publish is stored.
  int64_t generation = 0;
  bool duplicate = false;
};

// The publishes of one message. Who hands it in owns what the items point to.
class PublishBatch {
 public:
  virtual ~PublishBatch() = default;

  // Called once, on the collector's answering thread, when every item has its result; the
  // batch is destroyed after it. Batches are answered in the order in which they came in, but
  // for those that wait for the store, which come later.
  virtual void Answer() = 0;

  absl::InlinedVector<PublishItem, 1> items;
  // The room that was reserved for it in the queue: bytes of memory, and publishes.
  int64_t bytes = 0;
  int64_t publishes = 0;
};

// Collects publishes into the shard of the running generation, and changes generations.
//
//   collector->Reserve(bytes, publishes);  // any thread; before the batch is in memory
//   collector->Submit(batch);    // Answer() follows
//   ...                          // at the end of a generation: on_sealed(shard)
//   collector->Drain(deadline);  // the queue, then on_sealed with the last shard
//
// It has three threads. The writer owns the running shard: it takes batches from the
// bounded queue, applies them in order, and at the end of a generation puts a new shard in
// the old one's place; a publish is in the generation that its answer names. The sealing
// thread makes bytes of the old shard while publishing goes on. The answering thread runs
// what follows a batch, so that the writer never waits for a transport.
//
// What is published with `persist` or `static` goes to the store instead of the shard, and its
// batch is answered after the store has. The writer marks who has persisted what in the running
// generation, so that such a publish counts once like any other:
//
//   the pair has in this generation  | persist     | update+persist       | neither | update
//   ---------------------------------+-------------+----------------------+---------+------------
//   nothing                          | store       | store                | shard   | shard
//   published without persist        | duplicate   | FAILED_PRECONDITION  | dupl.   | shard
//   persisted                        | duplicate   | store                | dupl.   | store, drop
//   a first persist on its way       | UNAVAILABLE | store, behind it     | UNAV.   | UNAVAILABLE
//   perhaps persisted                | store       | store                | UNAV.   | UNAVAILABLE
//
// "Store, drop": what is carried is changed and then carried no longer. A put that the store
// refuses leaves the pair as if it had not been published. One whose outcome is not known, since
// the store died or did not answer in time, leaves it perhaps persisted: what were published to
// the shard would be acknowledged, and hidden by what the store may have.
//
// All functions may be called from any thread.
class Collector {
 public:
  struct Options {
    std::string identity;
    // Whole seconds, 1 s to 1 day.
    absl::Duration generation_duration = absl::Seconds(30);
    // The newest generation that the store has; 0: none, or not known. See GenerationClock.
    int64_t newest_generation = 0;
    Limits limits;
  };
  using ShardFactory = std::function<absl::StatusOr<std::unique_ptr<Shard>>(const Limits&)>;
  // Gets each sealed shard, in order, on the sealing thread.
  using OnSealed = std::function<void(SealedShard)>;
  // Told of each generation that began, on the answering thread.
  using OnGeneration = std::function<void(int64_t generation)>;

  // What it calls. All may use what outlives it alone.
  struct Calls {
    ShardFactory open_shard;
    OnSealed on_sealed;
    OnGeneration on_generation;
    // On the writer; must not wait. The destructor waits for its answers.
    ForwardKept forward;
  };

  // `clock` and `metrics` outlive it. Fails when no shard can be opened.
  static absl::StatusOr<std::unique_ptr<Collector>> Create(const Options& options, Clock& clock,
                                                           Metrics& metrics, Calls calls);
  // Waits for what is queued, as Drain does, but without end.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // Takes room in the queue for a batch that is to be made. It is given back by Release, or by
  // Submit: when the batch is answered or not taken. RESOURCE_EXHAUSTED names the limit that it
  // would pass; what is larger than the whole queue gets in when nothing else is there.
  absl::Status Reserve(int64_t bytes, int64_t publishes);

  // The same for who can wait. True: the room is reserved. False: `call` will be called, once,
  // as soon as it is, or when the collector stops, whose Submit then refuses; on any thread,
  // without a lock held. Those that wait are served in the order in which they came; while
  // there are any, Reserve is refused.
  bool ReserveOr(int64_t bytes, int64_t publishes, std::function<void()> call);

  // Gives room back that no batch needs. Not with a lock held that a `call` may take.
  void Release(int64_t bytes, int64_t publishes);

  // Queues a batch for which room was reserved. UNAVAILABLE when the collector stops; then it is
  // destroyed unanswered. Not with a lock held that a `call` may take.
  absl::Status Submit(std::unique_ptr<PublishBatch> batch);

  // The running generation.
  int64_t generation() const { return generation_.load(std::memory_order_relaxed); }

  // OK while the running shard takes publishes.
  absl::Status Ready() const;

  // Gives a copy of the running shard to `done`, on the answering thread.
  // RESOURCE_EXHAUSTED when one is being made already.
  absl::Status CopyRunning(std::function<void(absl::StatusOr<SealedShard>)> done);

  // Counts publishes that arrived, and those with `update` that were refused before they came
  // here, for ShardInfo.counts.
  void CountReceived(bool update, int64_t publishes = 1);
  void CountUpdateErrors(int64_t publishes);

  // Refuses new batches, finishes the queue, seals the running shard as the last one, and waits
  // for what the store has not answered yet. False when the deadline, of the machine's clock,
  // came first; it goes on all the same.
  bool Drain(absl::Time deadline);

 private:
  // A generation's shard on its way to the sealing thread.
  struct Ended {
    std::unique_ptr<Shard> shard;
    v1::ShardInfo info;  // what the shard itself does not know
  };
  // Who waits for room.
  struct Waiting {
    int64_t bytes = 0;
    int64_t publishes = 0;
    std::function<void()> call;
  };
  using Task = std::function<void()>;
  // A batch with publishes that the store has not answered yet.
  struct Forwarded {
    std::unique_ptr<PublishBatch> batch;
    int64_t unanswered = 0;
  };
  // What the store answered.
  struct Settled {
    std::shared_ptr<Forwarded> forwarded;
    size_t item = 0;
    KeptPut put;
    KeptAnswer answer;
  };
  // A table, in lower case, and an identity.
  using Pair = std::pair<std::string, std::string>;
  // Who has persisted a table in the running generation.
  struct Mark {
    bool persisted = false;
    // A put has ended without telling whether the store has it.
    bool perhaps = false;
    // Puts on their way.
    int64_t puts = 0;
  };
  // Counts since they were last given to the metrics.
  struct Counts {
    int64_t inserts = 0;
    int64_t updates = 0;
    int64_t duplicates = 0;
    int64_t rows = 0;
  };

  Collector(const Options& options, Clock& clock, Metrics& metrics, Calls calls,
            std::unique_ptr<Shard> shard);

  bool HasRoom(int64_t bytes, int64_t publishes) const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // On the writer.
  void Write();
  // Appends the batch to `applied`, unless it waits for the store.
  void Apply(std::unique_ptr<PublishBatch> batch,
             std::vector<std::unique_ptr<PublishBatch>>* applied);
  // Where the publish goes, or what it is answered at once: the table above.
  enum class Way { kShard, kStore, kStoreThenDrop, kDuplicate };
  absl::StatusOr<Way> FindWay(const v1::PublishRequest& publish) const;
  void ApplyToShard(PublishItem& item, absl::Time now);
  absl::Status CheckForwarded(const PublishBatch& batch) const;
  void Forward(const std::shared_ptr<Forwarded>& forwarded, PublishItem& item, size_t number,
               bool then_drop);
  void Settle(std::vector<Settled> settled, std::vector<std::unique_ptr<PublishBatch>>* applied);
  void CountStored(const PublishItem& item, int64_t rows);
  void CountRefused(const PublishItem& item);
  void HandOn(std::vector<std::unique_ptr<PublishBatch>>* applied);
  void GiveCopy(std::function<void(absl::StatusOr<SealedShard>)> done);
  void ChangeGenerationIfDue(absl::Time now);
  void EndGeneration(bool last);
  void OpenShard();
  void AddTask(Task task);

  // On their threads.
  void Seal();
  void SealOne(Ended ended);
  void Answer();

  // Constant after construction.
  const Options options_;
  const std::string ingest_id_;
  Clock& clock_;
  Metrics& metrics_;
  const Calls calls_;

  // The writer's alone.
  GenerationClock generations_;
  std::unique_ptr<Shard> shard_;
  Counts counts_;
  // Of the running generation.
  absl::flat_hash_map<Pair, Mark> marks_;
  // Batches that wait for the store, and what they take of the queue.
  int64_t forwarded_batches_ = 0;
  int64_t forwarded_bytes_ = 0;
  int64_t forwarded_publishes_ = 0;
  int64_t inserts_completed_ = 0;
  int64_t updates_completed_ = 0;

  std::atomic<int64_t> generation_;
  std::atomic<int64_t> inserts_received_{0};
  std::atomic<int64_t> updates_received_{0};
  std::atomic<int64_t> update_errors_{0};

  mutable absl::Mutex mutex_;
  // The writer has something to do.
  absl::CondVar work_;
  std::vector<std::unique_ptr<PublishBatch>> queue_ ABSL_GUARDED_BY(mutex_);
  // Reserved: for batches to come, and for those that are not yet answered.
  int64_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t queued_publishes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Waiting> wait_for_room_ ABSL_GUARDED_BY(mutex_);
  std::vector<Settled> settled_ ABSL_GUARDED_BY(mutex_);
  std::function<void(absl::StatusOr<SealedShard>)> copy_ ABSL_GUARDED_BY(mutex_);
  bool copying_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ready_ ABSL_GUARDED_BY(mutex_);

  absl::Mutex ended_mutex_;
  std::vector<Ended> ended_ ABSL_GUARDED_BY(ended_mutex_);
  bool no_more_ended_ ABSL_GUARDED_BY(ended_mutex_) = false;
  bool all_sealed_ ABSL_GUARDED_BY(ended_mutex_) = false;

  absl::Mutex answer_mutex_;
  std::vector<std::unique_ptr<PublishBatch>> applied_ ABSL_GUARDED_BY(answer_mutex_);
  std::vector<Task> tasks_ ABSL_GUARDED_BY(answer_mutex_);
  bool no_more_answers_ ABSL_GUARDED_BY(answer_mutex_) = false;
  bool all_answered_ ABSL_GUARDED_BY(answer_mutex_) = false;

  std::thread writer_;
  std::thread sealer_;
  std::thread answerer_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_COLLECTOR_H_
