#ifndef QASINO_SERVICES_QUERY_QUERY_CALL_H_
#define QASINO_SERVICES_QUERY_QUERY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "qasino/v1/query.pb.h"
#include "services/query/cursor.h"
#include "services/query/sandbox.h"
#include "services/query/snapshot.h"

namespace qasino::query {

// How a query ended, for the counters.
struct QueryOutcome {
  absl::StatusCode code = absl::StatusCode::kOk;
  uint64_t rows = 0;
  absl::Duration elapsed;
};

// One call of the Query RPC. A worker steps the statement and makes messages; gRPC sends
// them one after another meanwhile. When a few are waiting the worker goes away, and
// comes back when the client has taken some: a slow client holds no thread.
//
// Requests and answers are bytes to gRPC, because it would answer a request that does not
// parse with UNIMPLEMENTED and no word.
//
// It owns itself while gRPC knows it (until OnDone); others may hold it longer.
class QueryCall : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                  public std::enable_shared_from_this<QueryCall> {
 public:
  struct Environment {
    CursorOptions limits;
    // Runs the task on a worker, soon. False: cannot.
    std::function<bool(std::function<void()>)> run;
    // The newest snapshot, or why there is none.
    std::function<absl::StatusOr<std::shared_ptr<const Snapshot>>()> snapshot;
    // Takes on to find the snapshot that the request names. False: it names none. The call
    // holds no worker meanwhile, and may be over before the answer comes.
    std::function<bool(const v1::QueryRequest&, SnapshotFound)> find;
    // Told once, when the call is over. The call may be forgotten then.
    std::function<void(QueryCall*, const QueryOutcome&)> over;
  };

  // `context` is gRPC's and lives until OnDone.
  static std::shared_ptr<QueryCall> Create(grpc::CallbackServerContext* context,
                                           Environment environment);

  // Begins, or answers with an error at once. One of the two is called, once. INVALID_ARGUMENT
  // is the answer to bytes that are not a QueryRequest.
  void Start(const grpc::ByteBuffer& request);
  void Refuse(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends the call when its time is over while it waits for the snapshot that it names.
  void EndOverdueFind(absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);

  // Stops its statement when that is over its time and has not seen it.
  void InterruptOverdue(absl::Time now);

  // Cancels the call from outside: its client stops reading and its time is over, or the
  // server stops. Any thread; no effect on a call that is ending.
  void CancelFromOutside() ABSL_LOCKS_EXCLUDED(mutex_);

  // Its time is over and it waits for its client, so that nothing else will end it.
  bool IsStuck(absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDone() override;

 private:
  QueryCall(grpc::CallbackServerContext* context, Environment environment);

  // What is to be done with gRPC once the lock is released; gRPC may call back at once.
  enum class Step { kNothing, kWrite, kWriteAndFinish, kFinish };

  void Found(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) ABSL_LOCKS_EXCLUDED(mutex_);
  // True once, for whoever is to go on with a call that waits for its snapshot.
  bool EndFind() ABSL_LOCKS_EXCLUDED(mutex_);
  void Begin();
  void Work();
  absl::Status Fill(v1::QueryResponse& response);
  Step NextStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Step step, grpc::Status status);
  grpc::Status EndStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  grpc::CallbackServerContext* const context_;
  const Environment environment_;

  Cancellation cancellation_;

  // The worker's; there is at most one. The message is kept for its memory.
  v1::QueryRequest request_;
  // That of the request, where it names one.
  std::shared_ptr<const Snapshot> snapshot_;
  std::unique_ptr<Cursor> cursor_;
  v1::QueryResponse message_;

  mutable absl::Mutex mutex_;
  std::deque<grpc::ByteBuffer> waiting_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool working_ ABSL_GUARDED_BY(mutex_) = true;
  bool finding_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  // Those who use the context from outside; it lives until they are done.
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  uint64_t rows_ ABSL_GUARDED_BY(mutex_) = 0;

  // gRPC's while `writing_`.
  grpc::ByteBuffer outgoing_;

  // Itself, until OnDone.
  std::shared_ptr<QueryCall> self_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_QUERY_CALL_H_
