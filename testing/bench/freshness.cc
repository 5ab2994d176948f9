// How long after the end of a generation with many rows the first query sees them, and how
// long a publish of one row waits for its acknowledgement meanwhile.
//
// Each round takes one generation: at its beginning all rows are published; from shortly
// before its end until shortly after they are seen, one-row publishes follow one another,
// and so do queries that look at the generation of their snapshot.

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "clients/cpp/generation_watcher.h"
#include "clients/cpp/publish_stream.h"
#include "clients/cpp/query_client.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "testing/bench/call_load.h"
#include "testing/bench/sample_table.h"

namespace {

using qasino::client::GenerationWatcher;
using qasino::client::PublishStream;
using qasino::client::QueryClient;
using qasino::v1::PublishRequest;
using qasino::v1::PublishResponse;

// Probes begin so long before the generation's end and go on so long after it is seen.
constexpr absl::Duration kLead = absl::Milliseconds(200);
constexpr absl::Duration kTail = absl::Milliseconds(300);
constexpr absl::Duration kPatience = absl::Seconds(60);
// Rounds that may be repeated because the machine was too slow for them.
constexpr int kMostRepeats = 5;

struct Options {
  std::string ingest, query, store;
  int publishes = 1'000;
  int rows = 1'000;
  int rounds = 3;
};

// Tells when generations begin.
class Generations {
 public:
  struct Generation {
    int64_t number = 0;
    absl::Time end;
  };

  void Add(const qasino::v1::WatchGenerationsResponse& response) {
    absl::MutexLock lock(&mu_);
    newest_.number = response.generation();
    newest_.end =
        absl::FromUnixSeconds(response.generation()) + absl::Seconds(response.duration().seconds());
  }

  // The first generation after `number` that is told; 0 when none is within the patience.
  Generation After(int64_t number) {
    absl::MutexLock lock(&mu_);
    const auto newer = [this, number]()
                           ABSL_SHARED_LOCKS_REQUIRED(mu_) { return newest_.number > number; };
    mu_.AwaitWithTimeout(absl::Condition(&newer), kPatience);
    return newest_.number > number ? newest_ : Generation();
  }

 private:
  absl::Mutex mu_;
  Generation newest_ ABSL_GUARDED_BY(mu_);
};

// The generations that acknowledgements name, and the first error.
class Acknowledged {
 public:
  void Add(const absl::StatusOr<PublishResponse>& response) {
    absl::MutexLock lock(&mu_);
    ++count_;
    if (!response.ok()) {
      if (status_.ok()) status_ = response.status();
      return;
    }
    if (response->duplicate() && status_.ok()) {
      status_ = absl::InternalError("a publish was taken for a duplicate");
    }
    first_ = count_ == 1 ? response->generation() : std::min(first_, response->generation());
    last_ = std::max(last_, response->generation());
  }

  absl::Status status() const {
    absl::MutexLock lock(&mu_);
    return status_;
  }
  bool AllIn(int64_t generation) const {
    absl::MutexLock lock(&mu_);
    return first_ == generation && last_ == generation;
  }

 private:
  mutable absl::Mutex mu_;
  int64_t count_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t first_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t last_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

// One-row publishes, each sent when the one before is acknowledged, on a connection of their
// own, from the constructor until Stop.
class Probe {
 public:
  struct Outcome {
    absl::Status status;
    int64_t acknowledged = 0;
    absl::Duration slowest;
  };

  Probe(PublishStream* stream, int64_t round)
      : thread_([this, stream, round] { Run(stream, round); }) {}
  ~Probe() {
    if (thread_.joinable()) Stop();
  }

  Outcome Stop() {
    stop_ = true;
    thread_.join();
    return outcome_;
  }

 private:
  void Run(PublishStream* stream, int64_t round) {
    PublishRequest publish;
    *publish.mutable_table() = qasino::bench::SampleTable("bench_probe", 1, 0);
    while (!stop_) {
      publish.set_identity(fmt::format("probe{}-{}", round, outcome_.acknowledged));
      absl::Mutex mu;
      bool done = false;
      absl::Status status;
      const absl::Time begin = absl::Now();
      absl::Time end;
      outcome_.status = stream->Send(publish, [&](absl::StatusOr<PublishResponse> response) {
        absl::MutexLock lock(&mu);
        end = absl::Now();
        status = response.status();
        done = true;
      });
      if (!outcome_.status.ok()) return;
      {
        absl::MutexLock lock(&mu);
        mu.Await(absl::Condition(&done));
      }
      if (!status.ok()) {
        outcome_.status = status;
        return;
      }
      outcome_.slowest = std::max(outcome_.slowest, end - begin);
      ++outcome_.acknowledged;
    }
  }

  std::atomic<bool> stop_ = false;
  Outcome outcome_;  // of the thread until it is joined
  std::thread thread_;
};

struct Clients {
  std::unique_ptr<PublishStream> publish, probe;
  std::unique_ptr<QueryClient> query;
  std::unique_ptr<qasino::v1::SnapshotStore::Stub> store;
};

// The first answer from a snapshot of `generation` or later; its time and generation.
absl::StatusOr<std::pair<absl::Time, int64_t>> FirstSight(QueryClient* query, int64_t generation,
                                                          absl::Time give_up) {
  absl::Status last;
  while (absl::Now() < give_up) {
    auto result = query->Query("SELECT 1");
    if (!result.ok()) {
      last = result.status();
      continue;
    }
    const int64_t seen = result->snapshot().generation();
    while (result->NextBatch() != nullptr) {
    }
    if (seen >= generation) return std::make_pair(absl::Now(), seen);
  }
  return absl::DeadlineExceededError(
      fmt::format("no snapshot of generation {} was seen; last: {}", generation, last.ToString()));
}

// The rows of the sample table in a generation's snapshot.
absl::StatusOr<int64_t> CountRows(QueryClient* query, int64_t generation) {
  auto result = query->Query("SELECT count(*) FROM sample");
  if (!result.ok()) return result.status();
  if (result->snapshot().generation() != generation) {
    return absl::OutOfRangeError("a generation's rows could not be counted before the next came");
  }
  int64_t rows = 0;
  for (const auto& row : *result) rows = row[0].integer();
  if (!result->status().ok()) return result->status();
  return rows;
}

absl::StatusOr<int64_t> SnapshotBytes(qasino::v1::SnapshotStore::Stub* store, int64_t generation) {
  grpc::ClientContext context;
  qasino::v1::GetManifestRequest request;
  request.set_generation(generation);
  qasino::v1::Manifest manifest;
  if (const grpc::Status status = store->GetManifest(&context, request, &manifest); !status.ok()) {
    return absl::InternalError(fmt::format("GetManifest: {}", status.error_message()));
  }
  int64_t bytes = 0;
  for (const auto& shard : manifest.shards()) bytes += static_cast<int64_t>(shard.size_bytes());
  return bytes;
}

// One round in `generation`, as JSON. OUT_OF_RANGE: the machine was too slow for it, and
// another may do.
absl::StatusOr<std::string> Round(const Options& options, const Clients& clients,
                                  const std::vector<qasino::v1::Table>& tables, int64_t number,
                                  const Generations::Generation& generation) {
  Acknowledged acknowledged;
  PublishRequest publish;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < options.publishes; ++i) {
    *publish.mutable_table() = tables[i % tables.size()];
    publish.set_identity(fmt::format("host{:06}.example", i));
    const absl::Status sent = clients.publish->Send(
        publish, [&acknowledged](const absl::StatusOr<PublishResponse>& response) {
          acknowledged.Add(response);
        });
    if (!sent.ok()) {
      (void)clients.publish->Flush();
      return sent;
    }
  }
  if (absl::Status status = clients.publish->Flush(); !status.ok()) return status;
  const absl::Duration publishing = absl::Now() - begin;
  if (!acknowledged.status().ok()) return acknowledged.status();
  if (!acknowledged.AllIn(generation.number)) {
    return absl::OutOfRangeError("the rows were not all published within a generation");
  }

  absl::SleepFor(generation.end - kLead - absl::Now());
  Probe probe(clients.probe.get(), number);
  const auto seen = FirstSight(clients.query.get(), generation.number, generation.end + kPatience);
  absl::SleepFor(kTail);
  const Probe::Outcome outcome = probe.Stop();
  if (!seen.ok()) return seen.status();
  if (!outcome.status.ok()) return outcome.status;
  if (seen->second != generation.number) {
    return absl::OutOfRangeError("a generation was never seen, only a later one");
  }

  const absl::StatusOr<int64_t> rows = CountRows(clients.query.get(), generation.number);
  if (!rows.ok()) return rows.status();
  if (*rows != int64_t{options.publishes} * options.rows) {
    return absl::DataLossError(
        fmt::format("{} rows were seen, not all that were acknowledged", *rows));
  }
  const absl::StatusOr<int64_t> bytes = SnapshotBytes(clients.store.get(), generation.number);
  if (!bytes.ok()) return bytes.status();
  return fmt::format(
      "{{\"seen_ms\": {:.1f}, \"slowest_ack_ms\": {:.1f}, \"acks\": {}, \"rows\": {}, "
      "\"snapshot_bytes\": {}, \"publishing_seconds\": {:.3f}}}",
      absl::ToDoubleMilliseconds(seen->first - generation.end),
      absl::ToDoubleMilliseconds(outcome.slowest), outcome.acknowledged, *rows, *bytes,
      absl::ToDoubleSeconds(publishing));
}

absl::StatusOr<Clients> Connect(const Options& options) {
  Clients clients;
  // Another option makes a connection of its own.
  auto publish = PublishStream::Create({.target = options.ingest});
  if (!publish.ok()) return publish.status();
  auto probe = PublishStream::Create({.target = options.ingest, .keepalive = absl::Seconds(31)});
  if (!probe.ok()) return probe.status();
  auto query = QueryClient::Create({.target = options.query, .retry = {.attempts = 1}});
  if (!query.ok()) return query.status();
  clients.publish = *std::move(publish);
  clients.probe = *std::move(probe);
  clients.query = *std::move(query);
  const auto channels = qasino::bench::Connect(options.store, 1);
  if (channels.empty()) return absl::UnavailableError("the store does not answer");
  clients.store = qasino::v1::SnapshotStore::NewStub(channels[0]);
  return clients;
}

absl::Status Run(const Options& options) {
  absl::StatusOr<Clients> clients = Connect(options);
  if (!clients.ok()) return clients.status();
  Generations generations;
  const auto watcher = GenerationWatcher::Create(
      {.target = options.ingest},
      [&generations](const qasino::v1::WatchGenerationsResponse& response) {
        generations.Add(response);
      });
  if (!watcher.ok()) return watcher.status();
  const std::vector<qasino::v1::Table> tables = qasino::bench::SampleTables("sample", options.rows);

  // The running generation may be about to end; begin with the next.
  int64_t generation = generations.After(0).number;
  std::string rounds;
  int done = 0;
  for (int tries = 0; done < options.rounds; ++tries) {
    const Generations::Generation next = generations.After(generation);
    if (next.number == 0) return absl::DeadlineExceededError("no generation begins");
    generation = next.number;
    const absl::StatusOr<std::string> round = Round(options, *clients, tables, tries, next);
    if (absl::IsOutOfRange(round.status()) && tries < options.rounds + kMostRepeats) continue;
    if (!round.ok()) return round.status();
    rounds += (rounds.empty() ? "" : ", ") + *round;
    ++done;
  }
  fmt::print("{{\"rounds\": [{}]}}\n", rounds);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("How fresh the answers are at the end of a generation.");
  app.add_option("--ingest", options.ingest, "host:port")->required();
  app.add_option("--query", options.query, "host:port")->required();
  app.add_option("--store", options.store, "host:port")->required();
  app.add_option("--publishes", options.publishes)->capture_default_str();
  app.add_option("--rows", options.rows, "rows of each publish")->capture_default_str();
  app.add_option("--rounds", options.rounds, "generations")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  if (const absl::Status status = Run(options); !status.ok()) {
    fmt::print(stderr, "{}\n", status.ToString());
    return 1;
  }
  return 0;
}
