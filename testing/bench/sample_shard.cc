#include "testing/bench/sample_shard.h"

#include <fmt/core.h>

#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "services/ingest/limits.h"
#include "services/ingest/paged_shard.h"
#include "testing/bench/sample_table.h"

namespace qasino::bench {
namespace {

[[noreturn]] void Die(const absl::Status& status) {
  fmt::print(stderr, "{}\n", status.ToString());
  std::exit(1);
}

}  // namespace

std::unique_ptr<ingest::Shard> OpenShard() {
  absl::StatusOr<std::unique_ptr<ingest::Shard>> shard = ingest::OpenPagedShard({});
  if (!shard.ok()) Die(shard.status());
  return *std::move(shard);
}

SamplePublishes::SamplePublishes(const std::string& table, int rows) {
  for (v1::Table& sample : SampleTables(table, rows)) {
    *requests_.emplace_back().mutable_table() = std::move(sample);
  }
}

void SamplePublishes::AddTo(ingest::Shard& shard, int publishes) {
  for (int i = 0; i < publishes; ++i) {
    v1::PublishRequest& request = requests_[i % requests_.size()];
    request.set_identity(fmt::format("host{:06}.example", i));
    const auto effect = shard.Publish(request, absl::Now());
    if (!effect.ok()) Die(effect.status());
  }
}

ingest::SealedShard Seal(ingest::Shard& shard, int64_t rows) {
  absl::StatusOr<ingest::SealedShard> sealed = shard.Seal();
  if (!sealed.ok()) Die(sealed.status());
  int64_t in_shard = 0;
  for (const v1::TableInfo& table : sealed->info.tables()) in_shard += table.rows();
  if (in_shard != rows) {
    Die(absl::InternalError(fmt::format("the shard has {} rows, not {}", in_shard, rows)));
  }
  return *std::move(sealed);
}

}  // namespace qasino::bench
