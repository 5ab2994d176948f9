// The hot paths of ingest and query, on one thread and without a transport, to count their
// instructions: run by valgrind's callgrind with --toggle-collect=HotPath, which collects
// within the function of that name alone.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "qasino/v1/query.pb.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/merge/snapshot_builder.h"
#include "services/query/cursor.h"
#include "services/query/sandbox.h"
#include "services/query/snapshot.h"
#include "testing/bench/sample_shard.h"

// Has a name that a tool can be told, and is not inlined.
extern "C" __attribute__((noinline)) void HotPath(const std::function<void()>& path) {
  path();
  // Else the call above could be the function's end, which is not seen as its return.
  asm volatile("" ::: "memory");
}

namespace {

using qasino::bench::SamplePublishes;
using qasino::merge::ShardImage;
using qasino::query::Snapshot;

constexpr int kRows = 1'000;  // of a publish

[[noreturn]] void Die(const absl::Status& status) {
  fmt::print(stderr, "{}\n", status.ToString());
  std::exit(1);
}

// Publishing into a shard, and sealing it.
void Publish(int publishes) {
  SamplePublishes samples("sample", kRows);
  const auto shard = qasino::bench::OpenShard();
  HotPath([&] {
    samples.AddTo(*shard, publishes);
    qasino::bench::Seal(*shard, int64_t{publishes} * kRows);
  });
}

std::shared_ptr<const Snapshot> MakeSnapshot(int publishes) {
  SamplePublishes samples("result", kRows);
  const auto shard = qasino::bench::OpenShard();
  samples.AddTo(*shard, publishes);
  const auto sealed = qasino::bench::Seal(*shard, int64_t{publishes} * kRows);
  auto image = std::make_shared<ShardImage>();
  image->info = sealed.info;
  image->bytes.reset(new char[sealed.bytes.size()]);
  std::memcpy(image->bytes.get(), sealed.bytes.data(), sealed.bytes.size());

  qasino::v1::Manifest manifest;
  manifest.set_generation(1);
  manifest.set_revision(1);
  *manifest.add_shards() = image->info;
  auto snapshot = Snapshot::Build(manifest, {image}, {});
  if (!snapshot.ok()) Die(snapshot.status());
  return *std::move(snapshot);
}

// All that query does for a statement from its message to the answer's bytes.
void Answer(const Snapshot& snapshot, const std::string& sql, uint64_t rows) {
  qasino::v1::QueryRequest request;
  request.set_sql(sql);
  auto connection = snapshot.Connect();
  if (!connection.ok()) Die(connection.status());
  qasino::query::Cancellation cancellation;
  auto cursor = qasino::query::Cursor::Open(*std::move(connection), request, {}, &cancellation);
  if (!cursor.ok()) Die(cursor.status());
  while (!(*cursor)->done()) {
    std::string message;
    if (const absl::Status status = (*cursor)->Next(message); !status.ok()) Die(status);
  }
  if ((*cursor)->rows() != rows) {
    Die(absl::InternalError(fmt::format("the answer has {} rows", (*cursor)->rows())));
  }
}

void Select(int publishes, int queries, const std::string& sql, uint64_t rows) {
  const auto snapshot = MakeSnapshot(publishes);
  Answer(*snapshot, sql, rows);  // once before, as all but the first are
  HotPath([&] {
    for (int i = 0; i < queries; ++i) Answer(*snapshot, sql, rows);
  });
}

}  // namespace

int main(int argc, char** argv) {
  int publishes = 0, queries = 0;
  CLI::App app("Takes the hot paths, for their instructions to be counted.");
  CLI::App* publish = app.add_subcommand("publish", "publish tables of 1,000 rows into a shard");
  publish->add_option("--publishes", publishes)->required();
  CLI::App* select = app.add_subcommand("select", "answer `SELECT 1`");
  select->add_option("--queries", queries)->required();
  CLI::App* result = app.add_subcommand("result", "answer all rows of so many publishes");
  result->add_option("--publishes", publishes)->required();
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);

  int64_t of = queries;  // what the instructions are divided by
  if (publish->parsed()) {
    of = int64_t{publishes} * kRows;
    Publish(publishes);
  } else if (select->parsed()) {
    Select(1, queries, "SELECT 1", 1);
  } else {
    of = int64_t{publishes} * kRows;
    Select(publishes, 1, "SELECT * FROM result", static_cast<uint64_t>(of));
  }
  fmt::print("{{\"of\": {}}}\n", of);
  return 0;
}
