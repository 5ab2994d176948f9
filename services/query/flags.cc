#include "services/query/flags.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "services/server/channel.h"

namespace qasino::query {
namespace {

constexpr size_t kMostIngests = 64;

}  // namespace

void AddFlags(server::CommandLine& line, QueryOptions& options) {
  line.AddDuration(
      "--query-timeout", &options.timeout, absl::Milliseconds(10), absl::Hours(24),
      "A query that runs longer, or whose answer is not read by then, ends with an error");
  line.AddInteger("--max-rows", &options.max_rows, 0, int64_t{1} << 40,
                  "A result with more rows ends with an error; 0 is no limit");
  line.AddBytes("--max-query-memory", &options.max_query_memory, 1 << 20, int64_t{1} << 40,
                "What one query may use for sorting, grouping and large values");
  line.AddBytes("--max-total-query-memory", &options.max_total_query_memory, 1 << 20,
                int64_t{1} << 46,
                "What all queries that run together may use for the same, besides the first MiB "
                "of each; the last eighth is for queries that use little");
  line.AddInteger("--max-queries", &options.max_queries, 1, 1'000'000,
                  "More queries at once, running or waiting, are refused");
  line.AddInteger("--query-threads", &options.threads, 1, 4096,
                  "Quick queries that run at once; one that takes longer than 0.1 s goes on in a "
                  "thread of low priority besides");
  line.AddBytes("--max-snapshot-size", &options.max_snapshot_bytes, 1 << 20, int64_t{1} << 46,
                "A larger snapshot is not loaded; also what all snapshots in memory may take");
  line.AddBytes("--result-cache-size", &options.result_cache_bytes, 0, int64_t{1} << 40,
                "What answers that are kept for the next who asks the same may take, each at most "
                "an eighth of it; 0: none are kept");
  line.AddString("--views-file", &options.views_file,
                 "YAML list of viewname and view (a CREATE VIEW statement), read again when it "
                 "changes; none: no views");
}

void AddIngestFlags(server::CommandLine& line, IngestFlags& flags, const char* help) {
  line.AddString("--ingest", &flags.addresses, help);
  line.AddString("--ingest-tls-ca", &flags.tls_ca,
                 "PEM file with the authorities to trust for them; none: plain text");
}

absl::StatusOr<std::vector<IngestPeer>> MakeIngestPeers(const IngestFlags& flags) {
  std::vector<IngestPeer> peers;
  for (absl::string_view part : absl::StrSplit(flags.addresses, ',')) {
    const std::string address(absl::StripAsciiWhitespace(part));
    if (address.empty()) continue;
    absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
        server::MakeChannel({.target = address, .tls_ca = flags.tls_ca});
    if (!channel.ok()) return channel.status();
    peers.push_back({address, *std::move(channel)});
  }
  if (peers.size() > kMostIngests) {
    return absl::InvalidArgumentError(
        fmt::format("--ingest names more than {} processes", kMostIngests));
  }
  return peers;
}

}  // namespace qasino::query
