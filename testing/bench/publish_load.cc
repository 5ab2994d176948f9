// Publishes many tables and waits until all are acknowledged: over one PublishStream, or by
// unary calls of which many are in flight.

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "clients/cpp/publish_stream.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "testing/bench/call_load.h"
#include "testing/bench/sample_table.h"

namespace {

using qasino::v1::PublishRequest;
using qasino::v1::PublishResponse;

struct Options {
  std::string target;
  std::string name = "sample";
  int64_t publishes = 1'000;
  int rows = 1'000;
  int tables = 1;
  int64_t identities = 1'000;
  bool prepare = false;
  bool unary = false;
  int in_flight = 64;
};

// The publishes of a run, each of another pair of table and identity.
class Publishes {
 public:
  explicit Publishes(const Options& options) : options_(options) {
    for (qasino::v1::Table& table : qasino::bench::SampleTables(options.name, options.rows)) {
      samples_.emplace_back().mutable_table()->Swap(&table);
    }
  }

  // Publish `number`. Valid until the next call; not thread-safe.
  const PublishRequest& Get(int64_t number) {
    PublishRequest& publish = samples_[number % static_cast<int64_t>(samples_.size())];
    Name(number, &publish);
    return publish;
  }

  // The same as a copy; thread-safe.
  void Get(int64_t number, PublishRequest* publish) const {
    *publish = samples_[number % static_cast<int64_t>(samples_.size())];
    Name(number, publish);
  }

  std::string TableName(int64_t table) const {
    return options_.tables == 1 ? options_.name : fmt::format("{}_{}", options_.name, table);
  }

 private:
  void Name(int64_t number, PublishRequest* publish) const {
    const int64_t identity = number % options_.identities;
    const int64_t table = (number / options_.identities + identity) % options_.tables;
    publish->set_identity(fmt::format("host{:06}.example", identity));
    if (options_.tables > 1) publish->mutable_table()->set_name(TableName(table));
  }

  const Options options_;
  std::vector<PublishRequest> samples_;
};

// What became of the publishes. Thread-safe.
class Results {
 public:
  void Add(const PublishResponse& response) {
    absl::MutexLock lock(&mu_);
    ++acknowledged_;
    duplicates_ += response.duplicate() ? 1 : 0;
    if (first_ == 0 || response.generation() < first_) first_ = response.generation();
    if (response.generation() > last_) last_ = response.generation();
  }

  void AddError(const std::string& error) {
    absl::MutexLock lock(&mu_);
    if (error_.empty()) error_ = error;
  }

  // main's exit code.
  int Print(const Options& options, double seconds) {
    absl::MutexLock lock(&mu_);
    if (!error_.empty()) {
      fmt::print(stderr, "a publish failed: {}\n", error_);
      return 1;
    }
    if (duplicates_ > 0 || acknowledged_ != options.publishes) {
      fmt::print(stderr, "{} of {} publishes were acknowledged, {} as duplicates\n", acknowledged_,
                 options.publishes, duplicates_);
      return 1;
    }
    fmt::print(
        "{{\"publishes\": {}, \"rows\": {}, \"seconds\": {:.6f}, \"first_generation\": {}, "
        "\"last_generation\": {}}}\n",
        acknowledged_, acknowledged_ * options.rows, seconds, first_, last_);
    return 0;
  }

 private:
  absl::Mutex mu_;
  int64_t acknowledged_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t duplicates_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t first_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t last_ ABSL_GUARDED_BY(mu_) = 0;
  std::string error_ ABSL_GUARDED_BY(mu_);
};

class UnaryLoad : public qasino::bench::CallLoad {
 public:
  UnaryLoad(const std::vector<std::shared_ptr<grpc::Channel>>& channels, const Options& options,
            const Publishes* publishes, Results* results)
      : publishes_(publishes), results_(results), slots_(options.in_flight) {
    for (const auto& channel : channels) stubs_.push_back(qasino::v1::Ingest::NewStub(channel));
  }

 private:
  struct Slot {
    std::optional<grpc::ClientContext> context;
    PublishRequest request;
    PublishResponse response;
  };

  void Start(int64_t call, int number) override {
    Slot& slot = slots_[number];
    publishes_->Get(call, &slot.request);
    slot.context.emplace();
    stubs_[number % stubs_.size()]->async()->Publish(
        &*slot.context, &slot.request, &slot.response,
        [this, number, &slot](const grpc::Status& status) {
          if (status.ok()) {
            results_->Add(slot.response);
          } else {
            results_->AddError(status.error_message());
          }
          Done(number, status);
        });
  }

  const Publishes* const publishes_;
  Results* const results_;
  std::vector<std::unique_ptr<qasino::v1::Ingest::Stub>> stubs_;
  std::vector<Slot> slots_;
};

int Run(const Options& options) {
  Publishes publishes(options);
  Results results;
  auto stream = qasino::client::PublishStream::Create({.target = options.target});
  if (!stream.ok()) {
    fmt::print(stderr, "{}\n", stream.status().ToString());
    return 1;
  }
  const auto send = [&](const PublishRequest& publish, Results* into) {
    const absl::Status sent =
        (*stream)->Send(publish, [into](absl::StatusOr<PublishResponse> response) {
          if (response.ok()) {
            into->Add(*response);
          } else {
            into->AddError(response.status().ToString());
          }
        });
    if (!sent.ok()) into->AddError(sent.ToString());
  };

  // Before the clock starts: the connection, and with --prepare every table, empty.
  Results prepared;
  PublishRequest empty;
  *empty.mutable_table() = qasino::bench::SampleTable("bench_prepared", 0, 0);
  empty.set_identity("bench");
  send(empty, &prepared);
  for (int table = 0; options.prepare && table < options.tables; ++table) {
    empty.mutable_table()->set_name(publishes.TableName(table));
    send(empty, &prepared);
  }
  if (absl::Status status = (*stream)->Flush(); !status.ok()) {
    fmt::print(stderr, "{}\n", status.ToString());
    return 1;
  }

  if (options.unary) {
    const auto channels = qasino::bench::Connect(options.target, 1);
    if (channels.empty()) return 2;
    UnaryLoad load(channels, options, &publishes, &results);
    const auto begin = std::chrono::steady_clock::now();
    load.Run(options.publishes, options.in_flight);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return results.Print(options, took.count());
  }
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < options.publishes; ++i) send(publishes.Get(i), &results);
  const absl::Status flushed = (*stream)->Flush();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (!flushed.ok()) results.AddError(flushed.ToString());
  return results.Print(options, took.count());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Publishes many tables and waits until all are acknowledged.");
  app.add_option("--target", options.target, "host:port of ingest")->required();
  app.add_option("--name", options.name, "of the table")->capture_default_str();
  app.add_option("--publishes", options.publishes, "at most tables * identities")
      ->capture_default_str();
  app.add_option("--rows", options.rows, "rows of each publish")->capture_default_str();
  app.add_option("--tables", options.tables, "names of tables")->capture_default_str();
  app.add_option("--identities", options.identities)->capture_default_str();
  app.add_flag("--prepare", options.prepare, "create every table before the clock starts");
  app.add_flag("--unary", options.unary, "one call a publish");
  app.add_option("--in-flight", options.in_flight, "unary calls")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return Run(options);
}
