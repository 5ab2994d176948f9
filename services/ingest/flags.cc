#include "services/ingest/flags.h"

#include <cstdint>

#include "absl/time/time.h"

namespace qasino::ingest {

void AddFlags(server::CommandLine& line, IngestOptions& options) {
  line.AddDuration("--generation-duration", &options.generation_duration, absl::Seconds(1),
                   absl::Hours(24),
                   "How long a generation lasts, in whole seconds; the same for every ingest "
                   "process of a store");
  line.AddBytes("--max-queued-bytes", &options.limits.queued_bytes, 1 << 20, int64_t{1} << 40,
                "Publishes that may wait to be stored; more are refused, and streams held back");
  line.AddBytes("--max-shard-bytes", &options.limits.shard_bytes, 1 << 20, int64_t{1920} << 20,
                "What one generation may take; more is refused until the next");
  line.AddBytes("--max-backlog-bytes", &options.limits.backlog_bytes, 0, int64_t{1} << 40,
                "Sealed shards to keep while the store is away; the oldest goes first");
}

}  // namespace qasino::ingest
