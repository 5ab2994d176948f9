#ifndef QASINO_SERVICES_QUERY_QUERY_PART_H_
#define QASINO_SERVICES_QUERY_QUERY_PART_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/query/ingest_peer.h"
#include "services/server/part.h"

namespace grpc {
class Channel;
class Service;
}  // namespace grpc
namespace prometheus {
class Registry;
}

namespace qasino::query {

struct QueryOptions {
  // --identity: the server's name in SnapshotInfo, and in the internal tables while no
  // ingest process has handed in a shard. Empty: the machine's name.
  std::string identity;
  // --query-timeout: a query that runs longer, or whose answer is not read by then, ends with
  // DEADLINE_EXCEEDED.
  absl::Duration timeout = absl::Seconds(30);
  // --max-rows: a larger result ends with RESOURCE_EXHAUSTED. 0: no limit.
  int64_t max_rows = 1'000'000;
  // --max-query-memory: what SQLite may allocate for one query.
  int64_t max_query_memory = 256 << 20;
  // --max-total-query-memory: what it may allocate for all queries together, besides the first
  // mebibyte of each; the last eighth is for queries of up to 8 MiB (sqlite::MemoryPool). So
  // no query has more than seven eighths of it, whatever max_query_memory is.
  int64_t max_total_query_memory = int64_t{2} << 30;
  // --max-queries: more at once, running or waiting, are refused.
  int64_t max_queries = 1024;
  // --query-threads: quick queries that run at the same time. One that runs for longer than
  // 0.1 s, or a fifth of that while others wait, goes on in a thread of low priority besides,
  // of which there are at most 1024; those take turns (server::WorkerPool).
  int64_t threads = 32;
  // Of the requests of all queries that run or wait; one alone may be larger. More are
  // refused.
  int64_t max_request_bytes = 256 << 20;
  // --max-snapshot-size: a larger snapshot is not loaded; and what the newest snapshot, those
  // of retained generations and copies of the running one may take together.
  int64_t max_snapshot_bytes = int64_t{16} << 30;
  // --result-cache-size: what the answers that are kept for the next who asks the same may take
  // (result_cache.h). 0: none are.
  int64_t result_cache_bytes = 64 << 20;
  // --views-file: a YAML list of views (views.h), read again when it changes. Empty: none.
  std::string views_file;
};

// The query service: holds the newest snapshot of the store and answers SQL on it, and on
// those of retained generations and of the running one, which it fetches when they are asked
// for.
//
// Statements run on a pool of threads, a batch of rows at a time; between batches a
// query whose client reads slowly holds no thread. All functions are thread-safe.
class QueryPart : public server::ServicePart {
 public:
  // Begins to watch the store at once.
  static absl::StatusOr<std::unique_ptr<QueryPart>> Create(const QueryOptions& options,
                                                           std::shared_ptr<grpc::Channel> store,
                                                           prometheus::Registry& metrics);
  // The ingest processes whose running shards are the running generation; until set, and
  // after an empty list, it cannot be asked for. When it returns, nothing of those that were
  // set before is used any more; Drain lets go of them too.
  void SetIngests(std::vector<IngestPeer> ingests);

  // The gRPC server that has the service must be shut down before.
  ~QueryPart() override;

  std::string_view name() const override { return "query"; }
  std::string_view service_name() const override { return "qasino.v1.Query"; }
  grpc::Service& service() override;
  // OK from the first snapshot on, the empty one included.
  absl::Status Ready() const override;
  void Drain(absl::Time deadline) override;

 private:
  class State;
  explicit QueryPart(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_QUERY_PART_H_
