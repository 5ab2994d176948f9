#ifndef QASINO_SERVICES_QUERY_CURSOR_H_
#define QASINO_SERVICES_QUERY_CURSOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/query.pb.h"
#include "services/query/row_batch.h"
#include "services/query/sandbox.h"
#include "services/query/snapshot.h"
#include "services/sqlite/database.h"
#include "services/sqlite/memory_budget.h"

namespace qasino::query {

// The bounds of one query.
struct CursorOptions {
  // When the query arrived, for the summary.
  absl::Time arrived = absl::Now();
  absl::Time deadline = absl::InfiniteFuture();
  // Names the deadline in an error, e.g. "30s (--query-timeout)".
  // It outlives the cursor.
  std::string_view deadline_words;
  // More rows are an error. 0: no limit.
  uint64_t max_rows = 0;
  // What SQLite may allocate for it.
  int64_t memory_bytes = 256 << 20;
  // What it may allocate for all queries together; outlives the cursor. Null: no bound.
  sqlite::MemoryPool* memory_pool = nullptr;
  // A batch ends when it is about so large.
  int64_t batch_bytes = 128 << 10;
};

// One statement being run on a snapshot, read a message at a time. It holds the snapshot
// until it is destroyed. Used by one thread at a time, which may be another for each call.
//
//   auto cursor = Cursor::Open(connection, request, options, &cancellation);
//   while (!(*cursor)->done()) { status = (*cursor)->Next(message); … send … }
class Cursor {
 public:
  // Prepares and binds. `cancellation` outlives the cursor. Errors are those of the Query RPC.
  static absl::StatusOr<std::unique_ptr<Cursor>> Open(Snapshot::Connection connection,
                                                      const v1::QueryRequest& request,
                                                      CursorOptions options,
                                                      Cancellation* cancellation);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // Fills an empty string with the bytes of a QueryResponse: the header in the first one, and
  // rows; the summary, which has the time, is left to the caller. After an error there is nothing
  // more; rows filled before it are right and may still be sent, where it is not empty.
  absl::Status Next(std::string& message);

  // The same as a message, the last one with the summary.
  absl::Status Next(v1::QueryResponse& response);

  // Whether the answer so far depends on the snapshot, the statement and its parameters alone, so
  // that the same request would be answered so again. Known for its functions and tables when it
  // is opened; the time may be asked for at any row.
  bool repeatable() const { return !clock_read_ && connection_.sandbox().repeatable(); }

  // The last message has been given out.
  bool done() const { return done_; }
  uint64_t rows() const { return rows_; }
  // `row_limit` cut the answer short.
  bool truncated() const { return truncated_; }

 private:
  Cursor(Snapshot::Connection connection, CursorOptions options, Cancellation* cancellation);

  absl::Status Prepare(const v1::QueryRequest& request);
  absl::Status Bind(const v1::QueryRequest& request);
  void FillHeader(v1::QueryHeader& header) const;
  absl::Status FillRows(std::string& message);

  const CursorOptions options_;
  // In this order: the statement goes first, the guard before the connection.
  Snapshot::Connection connection_;
  QueryGuard guard_;
  // Bound values must live as long as the statement.
  v1::QueryRequest request_;
  std::optional<std::string> show_parameter_;
  std::string sql_;
  sqlite::Statement statement_;

  std::string error_when_empty_;
  uint64_t row_limit_ = 0;
  bool running_ = false;  // a copy, which is no snapshot to come back to
  uint64_t rows_ = 0;
  std::optional<RowBatchWriter> batch_;
  bool truncated_ = false;
  bool header_given_ = false;
  bool done_ = false;
  bool clock_read_ = false;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_CURSOR_H_
