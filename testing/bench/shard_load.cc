// How fast ingest's shard takes rows, without calls and messages around it, on one thread.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <memory>

#include "testing/bench/sample_shard.h"

namespace {

double Seconds(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  int publishes = 1'000, rows = 1'000;
  CLI::App app("Publishes tables into a shard of ingest's and seals it, on one thread.");
  app.add_option("--publishes", publishes, "tables published")->capture_default_str();
  app.add_option("--rows", rows, "rows of each")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  qasino::bench::SamplePublishes samples("sample", rows);
  const std::unique_ptr<qasino::ingest::Shard> shard = qasino::bench::OpenShard();
  const auto begin = std::chrono::steady_clock::now();
  samples.AddTo(*shard, publishes);
  const double publishing = Seconds(begin);
  const int64_t all = int64_t{publishes} * rows;
  const qasino::ingest::SealedShard sealed = qasino::bench::Seal(*shard, all);
  const double seconds = Seconds(begin);
  fmt::print("{{\"rows\": {}, \"seconds\": {:.6f}, \"sealing_seconds\": {:.6f}, \"bytes\": {}}}\n",
             all, seconds, seconds - publishing, sealed.bytes.size());
  return 0;
}
