#include "services/store/flags.h"

#include <cstdint>

#include "absl/time/time.h"

namespace qasino::store {

void AddFlags(server::CommandLine& line, StoreOptions& options) {
  line.AddString("--data-dir", &options.data_dir,
                 "Folder with everything that is kept; made if it is not there");
  line.AddInteger("--retain", &options.retain, 1, 1'000, "Generations that are kept");
  line.AddBytes("--max-shard-size", &options.max_shard_bytes, 1, int64_t{1} << 40,
                "Size of one shard of a generation; larger ones are refused");
  line.AddBytes("--max-static-size", &options.max_static_bytes, 1, int64_t{1} << 30,
                "Memory that all static tables together may take");
  line.AddBytes("--max-persistent-size", &options.max_persistent_bytes, 1, int64_t{1} << 30,
                "Memory that all persistent tables together may take");
  line.AddString(
      "--archive-dir", &options.archive_dir,
      "Folder in which every snapshot is kept for good, as an SQLite file; made if it is "
      "not there; none: nothing is archived");
  line.AddDuration("--completeness-wait", &options.completeness_wait, absl::ZeroDuration(),
                   absl::Hours(24),
                   "How long a generation waits, after its first shard, for the ingest "
                   "processes that handed in the one before");
  line.AddDuration("--max-clock-skew", &options.max_clock_skew, absl::ZeroDuration(),
                   absl::Hours(24),
                   "How far ahead of this machine's clock a generation may begin; shards of "
                   "later ones are refused");
}

}  // namespace qasino::store
