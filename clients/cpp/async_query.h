#ifndef QASINO_CLIENTS_CPP_ASYNC_QUERY_H_
#define QASINO_CLIENTS_CPP_ASYNC_QUERY_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/options.h"
#include "qasino/v1/query.pb.h"

namespace qasino::client {

// The answer to a query, read piece by piece without a thread that waits. For programs
// that have many queries at a time; others use QueryClient.
//
//   std::shared_ptr<AsyncQuery> query = client->Start(request);
//   query->Read([query](const v1::QueryResponse* part) {
//     if (part == nullptr) return Ended(query->status());
//     ... ; query->Read(...)
//   });
//
// The parts are checked: the first has the header (and may have rows and the summary),
// later ones have rows, with as many columns as the header, whose ColumnReader::Create
// cannot fail; the one with the summary is the last. An answer that is `unchanged` is one
// part without columns. Memory: two parts.
//
// One Read at a time; otherwise any thread may call anything.
class AsyncQuery {
 public:
  using ReadCallback = absl::AnyInvocable<void(const v1::QueryResponse* part)>;

  // One that has failed, for what answers in the place of a client: the first Read ends
  // with `why`, which is not OK.
  static std::shared_ptr<AsyncQuery> Failed(absl::Status why);

  // Stops the statement when the answer is not whole. A Read that is under way is still
  // called back.
  ~AsyncQuery();
  AsyncQuery(const AsyncQuery&) = delete;
  AsyncQuery& operator=(const AsyncQuery&) = delete;

  // Reads the next part. The callback runs once, without a lock: on a thread of gRPC, or
  // in this call when the part has come already. It gets the part, which is valid until
  // the next Read or the end of this object, or null when there are no more: at the
  // end, or after an error. It should be short and must not wait.
  void Read(ReadCallback callback);

  // After a null: OK when the answer is whole, else why not (the errors of Query.Query;
  // INTERNAL when what the server sent made no sense). OK before.
  absl::Status status() const;

  // Stops the statement; the Read that is under way, or the next one, then ends with
  // CANCELLED, unless the answer was whole.
  void Cancel();

 private:
  friend class AsyncQueryClient;
  class State;
  explicit AsyncQuery(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

// Starts such queries.
//
// A query is not tried again. When the server is away it fails at once with UNAVAILABLE
// (IsUnreachable), or within 2 s while it is not known yet whether the server is there;
// the connection comes back by itself, within 1 s of the server.
//
// Any thread may call, several at once.
class AsyncQueryClient {
 public:
  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<AsyncQueryClient>> Create(const ConnectOptions& options);
  // Cancels what runs, and waits until gRPC has let go of it and no callback runs. Not
  // from a callback. Queries may outlive it.
  ~AsyncQueryClient();
  AsyncQueryClient(const AsyncQueryClient&) = delete;
  AsyncQueryClient& operator=(const AsyncQueryClient&) = delete;

  // Sends the statement off. The time limit is for the whole answer, until its last part
  // is read. INVALID_ARGUMENT is also for SQL that is not UTF-8. Never null, never waits.
  std::shared_ptr<AsyncQuery> Start(const v1::QueryRequest& request, const CallOptions& call = {});

 private:
  friend class AsyncQuery;
  class State;
  explicit AsyncQueryClient(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_ASYNC_QUERY_H_
