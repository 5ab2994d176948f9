#ifndef QASINO_CLIENTS_CPP_QUERY_CLIENT_H_
#define QASINO_CLIENTS_CPP_QUERY_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/cpp/cells.h"
#include "clients/cpp/options.h"
#include "qasino/v1/query.pb.h"

namespace qasino::client {

// A row of a result: one cell a column. It and its text are valid until the iterator
// moves on.
class Row {
 public:
  size_t size() const { return cells_.size(); }
  const Cell& operator[](size_t column) const { return cells_[column]; }
  auto begin() const { return cells_.begin(); }
  auto end() const { return cells_.end(); }

 private:
  friend class QueryResult;
  std::vector<Cell> cells_;
};

// The answer to a query, read from the server while it is looked at: a range of rows
// that can be gone through once.
//
//   auto result = client->Query("select identity, load from cpu");
//   if (!result.ok()) return result.status();
//   for (const Row& row : *result) Show(row[0].text(), row[1].real());
//   if (!result->status().ok()) return result->status();  // the rows were not all
//   if (result->summary().truncated()) ...
//
// One thread reads; Cancel may be called from any. Memory: one batch of the server's.
class QueryResult {
 public:
  // An input iterator; all iterators of one result move together.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Row;
    using difference_type = std::ptrdiff_t;
    using pointer = const Row*;
    using reference = const Row&;

    explicit Iterator(QueryResult* result) : result_(result) {}
    const Row& operator*() const;
    const Row* operator->() const { return &**this; }
    Iterator& operator++();
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return result_ == nullptr; }

   private:
    QueryResult* result_;  // none: at the end
  };

  QueryResult(QueryResult&&) noexcept;
  QueryResult& operator=(QueryResult&&) noexcept;
  // Cancels what is not read.
  ~QueryResult();

  // Names and declared types, in order; at least one, unless the answer is `unchanged`.
  const google::protobuf::RepeatedPtrField<v1::ColumnInfo>& columns() const;
  const v1::SnapshotInfo& snapshot() const;

  // Begins with the first row that was not looked at yet.
  Iterator begin();
  std::default_sentinel_t end() const { return {}; }

  // For speed: the next batch, whole, its columns checked (ColumnReader::Create cannot
  // fail), or null at the end. Valid until the next call. Rows of the batch before that
  // were not looked at are skipped; do not use it together with begin().
  const v1::RowBatch* NextBatch();

  // OK while rows may come and when they were all. Else why the answer is not whole: the
  // server's error, or INTERNAL when what it sent made no sense.
  const absl::Status& status() const;

  // At the end, when status() is OK: how many rows, whether a limit cut them off, and
  // how long it took. Empty before.
  const v1::QuerySummary& summary() const;

  // Stops the statement at the server; status() is then CANCELLED, unless everything was
  // read. Any thread, as often as it likes, while the result is alive and not moved.
  void Cancel();

 private:
  friend class QueryClient;
  struct State;
  explicit QueryResult(std::unique_ptr<State> state);
  bool NextRow();

  std::unique_ptr<State> state_;
};

// The snapshot on which a statement is to be run.
class SnapshotChoice {
 public:
  // The newest.
  SnapshotChoice() = default;
  static SnapshotChoice Newest() { return {}; }
  // One that the store still holds: SHOW GENERATIONS, StoreClient::ListGenerations.
  static SnapshotChoice Generation(int64_t generation) {
    SnapshotChoice choice;
    choice.generation_ = generation;
    return choice;
  }
  // The generation that is being collected, as it is now.
  static SnapshotChoice Running() {
    SnapshotChoice choice;
    choice.running_ = true;
    return choice;
  }

  bool is_running() const { return running_; }

  // Writes it into a request, in the place of what it has.
  void ApplyTo(v1::QueryRequest* request) const;

 private:
  std::optional<int64_t> generation_;
  bool running_ = false;
};

// Runs SQL.
//
//   auto result = client->Query("select count(*) from cpu");
//   auto before =
//       client->Query("select count(*) from cpu", SnapshotChoice::Generation(generation));
//
// Any thread may call, several at once.
class QueryClient {
 public:
  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<QueryClient>> Create(const ConnectOptions& options);
  // Results may outlive it.
  ~QueryClient();
  QueryClient(const QueryClient&) = delete;
  QueryClient& operator=(const QueryClient&) = delete;

  // Starts the statement and waits for its columns, so that what is wrong with the SQL
  // is an error here: those of Query.Query. UNAVAILABLE is tried again. The time limit
  // is for the whole answer, until its last row is read.
  absl::StatusOr<QueryResult> Query(std::string_view sql, const CallOptions& call = {});
  absl::StatusOr<QueryResult> Query(std::string_view sql, const SnapshotChoice& snapshot,
                                    const CallOptions& call = {});
  absl::StatusOr<QueryResult> Query(const v1::QueryRequest& request, const CallOptions& call = {});

  // Ends the calls of Query that run now and have not returned, and every result that is
  // being read, as QueryResult::Cancel does. Any thread.
  void CancelAll();

 private:
  friend class QueryResult;
  struct State;
  explicit QueryClient(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_QUERY_CLIENT_H_
