#ifndef QASINO_SERVICES_QUERY_QUERY_CALL_H_
#define QASINO_SERVICES_QUERY_QUERY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "qasino/v1/query.pb.h"
#include "services/query/cursor.h"
#include "services/query/result_cache.h"
#include "services/query/sandbox.h"
#include "services/query/snapshot.h"

namespace qasino::query {

// Where an answer came from. An answer that could not be kept, or that could not be looked for
// because the query ended before, was run. kUnchanged: the client has it already.
enum class AnswerFrom { kRun, kRunAndKept, kCache, kOthersRun, kUnchanged };

// How a query ended, for the counters.
struct QueryOutcome {
  absl::StatusCode code = absl::StatusCode::kOk;
  uint64_t rows = 0;
  absl::Duration elapsed;
  AnswerFrom from = AnswerFrom::kRun;
};

// One call of the Query RPC. A worker steps the statement and makes messages; gRPC sends
// them one after another meanwhile. When a few are waiting the worker goes away, and
// comes back when the client has taken some: a slow client holds no thread.
//
// An answer that the result cache has is sent without a worker, on gRPC's thread. A call whose
// statement runs already for another one waits for what comes of that, without a thread. While
// its own answer is being recorded for the cache it is made without waiting for its client: others
// may wait for it, and the recording bounds it.
//
// Requests and answers are bytes to gRPC: it would answer a request that does not parse with
// UNIMPLEMENTED and no word, and bytes are what the cache keeps.
//
// It owns itself while gRPC knows it (until OnDone); others may hold it longer.
class QueryCall : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                  public ResultCache::Asker,
                  public std::enable_shared_from_this<QueryCall> {
 public:
  // What calls need of their server; thread-safe.
  class Host {
   public:
    virtual ~Host() = default;
    // Runs the task on a worker, soon. False: cannot.
    virtual bool Run(std::function<void()> task) = 0;
    // The newest snapshot, or why there is none.
    virtual absl::StatusOr<std::shared_ptr<const Snapshot>> Newest() = 0;
    // Takes on to find the snapshot that the request names. False: it names none. The call
    // holds no worker meanwhile, and may be over before the answer comes.
    virtual bool Find(const v1::QueryRequest& request, SnapshotFound found) = 0;
    // Null: there is none.
    virtual ResultCache* Cache() = 0;
    // Told once, when the call is over. The call may be forgotten then.
    virtual void Over(QueryCall* call, const QueryOutcome& outcome) = 0;
  };

  // `context` is gRPC's and lives until OnDone; the host outlives the call.
  static std::shared_ptr<QueryCall> Create(grpc::CallbackServerContext* context, Host* host,
                                           CursorOptions limits);

  // Begins, or answers with an error at once. One of the two is called, once. INVALID_ARGUMENT
  // is the answer to bytes that are not a QueryRequest.
  void Start(const grpc::ByteBuffer& request);
  void Refuse(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the call when its time is over while it waits for the snapshot that it names, or for
  // another call's answer.
  void EndOverdueWait(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Stops its statement when that is over its time and has not seen it.
  void InterruptOverdue(absl::Time now);

  // Ends a call whose time is over while it waits for its client to read: nothing else will.
  void EndOverdueWrite(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

  void Told(ResultCache::Advice advice) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  QueryCall(grpc::CallbackServerContext* context, Host* host, CursorOptions limits);

  // What is to be done with gRPC once the lock is released; gRPC may call back at once.
  enum class Step { kNothing, kWrite, kWriteAndFinish, kFinish };

  void Found(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) ABSL_LOCKS_EXCLUDED(mutex_);
  void StartWait() ABSL_LOCKS_EXCLUDED(mutex_);
  // True once, for whoever is to go on with a call that waits.
  bool EndWait() ABSL_LOCKS_EXCLUDED(mutex_);
  // Goes on once the snapshot is known; null is the newest.
  void Begin() ABSL_LOCKS_EXCLUDED(mutex_);
  // Sends the answer, or runs the statement.
  void Take(ResultCache::Advice advice, AnswerFrom from) ABSL_LOCKS_EXCLUDED(mutex_);
  void Send(std::shared_ptr<const ResultCache::Answer> answer, AnswerFrom from)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether the snapshot is the one that the request says it has seen.
  bool IsUnchanged() const;
  void SendUnchanged() ABSL_LOCKS_EXCLUDED(mutex_);
  void Work();
  absl::Status Fill(std::string& message);
  // Tells those who wait for the same answer, and the cache.
  void Record(const absl::Status& status, const grpc::ByteBuffer& message);
  // The same bytes with the summary behind them; the time that it tells ends now.
  grpc::ByteBuffer WithSummary(absl::Span<const grpc::Slice> message, uint64_t rows,
                               bool truncated) const;
  Step NextStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Step step, grpc::Status status);
  grpc::Status EndStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasMessage() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  grpc::CallbackServerContext* const context_;
  Host* const host_;
  const CursorOptions limits_;

  Cancellation cancellation_;

  // Written by Start, before anything waits or works. Parsed only when that is needed.
  grpc::Slice request_bytes_;
  std::optional<v1::QueryRequest> request_;

  // Of whoever goes on with the call; there is at most one.
  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<ResultCache::Recording> recording_;
  std::unique_ptr<Cursor> cursor_;

  mutable absl::Mutex mutex_;
  std::list<grpc::ByteBuffer> waiting_ ABSL_GUARDED_BY(mutex_);
  // In the place of `waiting_`: the answer of another call, and its messages that are sent.
  std::shared_ptr<const ResultCache::Answer> answer_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  // While more messages wait than without a recording.
  std::shared_ptr<const void> room_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool working_ ABSL_GUARDED_BY(mutex_) = true;
  // For the snapshot, or for another call's answer; in the latter case with a flight, once
  // that is known here.
  bool in_wait_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<ResultCache::Flight> flight_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  // Those who use the context from outside; it lives until they are done.
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  // The client was told so, whatever `end_` comes to.
  bool overdue_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  uint64_t rows_ ABSL_GUARDED_BY(mutex_) = 0;
  AnswerFrom from_ ABSL_GUARDED_BY(mutex_) = AnswerFrom::kRun;

  // gRPC's while `writing_`.
  grpc::ByteBuffer outgoing_;

  // Itself, until OnDone.
  std::shared_ptr<QueryCall> self_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_QUERY_CALL_H_
