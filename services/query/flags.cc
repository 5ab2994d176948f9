#include "services/query/flags.h"

#include <cstdint>

#include "absl/time/time.h"

namespace qasino::query {

void AddFlags(server::CommandLine& line, QueryOptions& options) {
  line.AddDuration("--query-timeout", &options.timeout, absl::Milliseconds(10), absl::Hours(24),
                   "A query that runs longer ends with an error");
  line.AddInteger("--max-rows", &options.max_rows, 0, int64_t{1} << 40,
                  "A result with more rows ends with an error; 0 is no limit");
  line.AddBytes("--max-query-memory", &options.max_query_memory, 1 << 20, int64_t{1} << 40,
                "What one query may use for sorting, grouping and large values");
  line.AddBytes("--max-total-query-memory", &options.max_total_query_memory, 1 << 20,
                int64_t{1} << 46, "What all queries that run together may use for the same");
  line.AddInteger("--max-queries", &options.max_queries, 1, 1'000'000,
                  "More queries at once, running or waiting, are refused");
  line.AddInteger("--query-threads", &options.threads, 1, 4096, "Queries that run at once");
  line.AddBytes("--max-snapshot-size", &options.max_snapshot_bytes, 1 << 20, int64_t{1} << 46,
                "A larger snapshot is not loaded");
}

}  // namespace qasino::query
