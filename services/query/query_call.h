#ifndef QASINO_SERVICES_QUERY_QUERY_CALL_H_
#define QASINO_SERVICES_QUERY_QUERY_CALL_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "qasino/v1/query.pb.h"
#include "services/query/cursor.h"
#include "services/query/snapshot.h"

namespace qasino::query {

// How a query ended, for the counters.
struct QueryOutcome {
  absl::StatusCode code = absl::StatusCode::kOk;
  uint64_t rows = 0;
  absl::Duration elapsed;
};

// One call of the Query RPC. A worker steps the statement and fills messages; gRPC sends
// them one after another meanwhile. When a few are waiting the worker goes away, and
// comes back when the client has taken some: a slow client holds no thread.
//
// It owns itself while gRPC knows it (until OnDone); others may hold it longer.
class QueryCall : public grpc::ServerWriteReactor<v1::QueryResponse>,
                  public std::enable_shared_from_this<QueryCall> {
 public:
  struct Environment {
    CursorOptions limits;
    // Runs the task on a worker, soon. False: cannot.
    std::function<bool(std::function<void()>)> run;
    // The snapshot to ask, or why there is none.
    std::function<absl::StatusOr<std::shared_ptr<const Snapshot>>()> snapshot;
    // Told once, when the call is over. The call may be forgotten then.
    std::function<void(QueryCall*, const QueryOutcome&)> over;
  };

  // `context` and `request` are gRPC's and live until OnDone.
  static std::shared_ptr<QueryCall> Create(grpc::CallbackServerContext* context,
                                           const v1::QueryRequest* request,
                                           Environment environment);

  // Begins, or answers with an error at once. One of the two is called, once.
  void Start();
  void Refuse(absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);

  // Cancels the call from outside: its client stops reading and its time is over, or the
  // server stops. Any thread; no effect on a call that is ending.
  void CancelFromOutside() ABSL_LOCKS_EXCLUDED(mutex_);

  // Its time is over and it waits for its client, so that nothing else will end it.
  bool IsStuck(absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnCancel() override;
  void OnDone() override;

 private:
  QueryCall(grpc::CallbackServerContext* context, const v1::QueryRequest* request,
            Environment environment);

  using Message = std::unique_ptr<v1::QueryResponse>;
  // What is to be done with gRPC once the lock is released; gRPC may call back at once.
  enum class Step { kNothing, kWrite, kWriteAndFinish, kFinish };

  void Work();
  absl::Status Fill(v1::QueryResponse& response);
  Message Spare() ABSL_LOCKS_EXCLUDED(mutex_);
  Step NextStep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Step step, grpc::Status status);
  grpc::Status EndStatus() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  grpc::CallbackServerContext* const context_;
  const v1::QueryRequest* const request_;
  const Environment environment_;

  std::atomic<bool> cancelled_ = false;

  // The worker's; there is at most one.
  std::unique_ptr<Cursor> cursor_;

  mutable absl::Mutex mutex_;
  std::deque<Message> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<Message> spare_ ABSL_GUARDED_BY(mutex_);
  Message in_flight_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = true;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  // Those who use the context from outside; it lives until they are done.
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  uint64_t rows_ ABSL_GUARDED_BY(mutex_) = 0;

  // Itself, until OnDone.
  std::shared_ptr<QueryCall> self_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_QUERY_CALL_H_
