#ifndef QASINO_SERVICES_QUERY_QUERY_PART_FIXTURE_H_
#define QASINO_SERVICES_QUERY_QUERY_PART_FIXTURE_H_

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "qasino/v1/query.grpc.pb.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/merge/fake_shard.h"
#include "services/query/query_part.h"
#include "services/server/local_listener.h"

// For tests of the query part: it, a store and ingest processes that have what a test gives
// them, and questions to it over gRPC.
namespace qasino::query {

using merge::FakeShard;
using merge::ManifestOf;
using merge::ShardImage;

inline grpc::Status SendWhole(const ShardImage& shard,
                              grpc::ServerWriter<v1::GetShardResponse>* writer,
                              bool damaged = false) {
  v1::GetShardResponse response;
  *response.mutable_info() = shard.info;
  writer->Write(response);
  std::string bytes(shard.view());
  if (damaged) bytes[bytes.size() / 2] ^= 1;
  for (size_t at = 0; at < bytes.size(); at += 1000) {
    v1::ShardChunk& chunk = *response.mutable_chunk();
    chunk.set_offset(at);
    chunk.set_data(bytes.substr(at, 1000));
    writer->Write(response);
  }
  return grpc::Status::OK;
}

// A store that offers what a test tells it to.
class FakeStore : public v1::SnapshotStore::Service {
 public:
  void Offer(v1::Manifest manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards) {
    absl::MutexLock lock(&mutex_);
    manifest_ = manifest;
    manifests_[manifest.generation()] = std::move(manifest);
    for (const auto& shard : shards) shards_[shard->info.shard_id()] = shard;
    ++offers_;
  }

  // Holds it, without telling watchers.
  void Hold(v1::Manifest manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards) {
    absl::MutexLock lock(&mutex_);
    manifests_[manifest.generation()] = std::move(manifest);
    for (const auto& shard : shards) shards_[shard->info.shard_id()] = shard;
  }

  // GetManifest answers that this is the newest, which watchers are not told of; once a shard is
  // asked for that is not held, `next` is.
  void Change(v1::Manifest manifest, v1::Manifest next) {
    absl::MutexLock lock(&mutex_);
    manifest_ = std::move(manifest);
    next_ = std::move(next);
  }

  void Retire(int64_t generation) {
    absl::MutexLock lock(&mutex_);
    manifests_.erase(generation);
  }

  void Carry(std::shared_ptr<const ShardImage> shard) {
    absl::MutexLock lock(&mutex_);
    carried_ = std::move(shard);
  }

  // GetManifest waits until let go on.
  void Block(bool block) {
    absl::MutexLock lock(&mutex_);
    blocked_ = block;
  }
  int manifests_asked() const { return manifests_asked_.load(); }

  // Ends the watches.
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }

  int fetches() const { return fetches_.load(); }

  // The next shard sent has a byte changed.
  void DamageNext() { damage_ = true; }

  grpc::Status WatchSnapshots(grpc::ServerContext* context, const v1::WatchSnapshotsRequest*,
                              grpc::ServerWriter<v1::WatchSnapshotsResponse>* writer) override {
    int seen = -1;
    while (!context->IsCancelled()) {
      v1::WatchSnapshotsResponse response;
      {
        absl::MutexLock lock(&mutex_);
        const auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return offers_ != seen || stopping_;
        };
        if (!mutex_.AwaitWithTimeout(absl::Condition(&changed), absl::Milliseconds(20))) continue;
        if (stopping_) return {grpc::StatusCode::UNAVAILABLE, "the store is stopping"};
        seen = offers_;
        *response.mutable_manifest() = manifest_;
      }
      writer->Write(response);
    }
    return grpc::Status::CANCELLED;
  }

  grpc::Status GetShard(grpc::ServerContext*, const v1::GetShardRequest* request,
                        grpc::ServerWriter<v1::GetShardResponse>* writer) override {
    std::shared_ptr<const ShardImage> shard;
    {
      absl::MutexLock lock(&mutex_);
      shard = shards_[request->shard_id()];
      if (shard == nullptr && next_.has_value()) manifest_ = *std::exchange(next_, std::nullopt);
    }
    if (shard == nullptr) return {grpc::StatusCode::NOT_FOUND, "no such shard"};
    ++fetches_;
    return SendWhole(*shard, writer, damage_.exchange(false));
  }

  grpc::Status GetManifest(grpc::ServerContext* context, const v1::GetManifestRequest* request,
                           v1::Manifest* response) override {
    ++manifests_asked_;
    absl::MutexLock lock(&mutex_);
    while (blocked_ && !stopping_ && !context->IsCancelled()) {
      const auto free = [this]()
                            ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !blocked_ || stopping_; };
      mutex_.AwaitWithTimeout(absl::Condition(&free), absl::Milliseconds(20));
    }
    if (stopping_) return {grpc::StatusCode::UNAVAILABLE, "the store is stopping"};
    if (request->generation() == 0) {
      *response = manifest_;
      return grpc::Status::OK;
    }
    const auto found = manifests_.find(request->generation());
    if (found == manifests_.end()) return {grpc::StatusCode::NOT_FOUND, "the oldest held is 60"};
    *response = found->second;
    return grpc::Status::OK;
  }

  grpc::Status ListGenerations(grpc::ServerContext*, const v1::ListGenerationsRequest*,
                               v1::ListGenerationsResponse* response) override {
    absl::MutexLock lock(&mutex_);
    for (auto held = manifests_.rbegin(); held != manifests_.rend(); ++held) {
      v1::GenerationInfo& info = *response->add_generations();
      info.set_generation(held->first);
      info.set_revision(held->second.revision());
      info.set_shards(held->second.shards_size());
    }
    return grpc::Status::OK;
  }

  grpc::Status GetCarriedShard(grpc::ServerContext*, const v1::GetCarriedShardRequest*,
                               grpc::ServerWriter<v1::GetShardResponse>* writer) override {
    std::shared_ptr<const ShardImage> shard;
    {
      absl::MutexLock lock(&mutex_);
      shard = carried_;
    }
    return SendWhole(*shard, writer);
  }

 private:
  absl::Mutex mutex_;
  v1::Manifest manifest_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Manifest> next_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, v1::Manifest> manifests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const ShardImage>> shards_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const ShardImage> carried_ ABSL_GUARDED_BY(mutex_) =
      FakeShard("carried", 0).Kind(v1::PERSISTENT).Anonymous().Seal();
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;
  int offers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<int> fetches_ = 0;
  std::atomic<int> manifests_asked_ = 0;
  std::atomic<bool> damage_ = false;
};

// An ingest process that has collected what a test tells it to.
class FakeIngest : public v1::Ingest::Service {
 public:
  FakeIngest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    listener_ = *server::LocalListener::Create(builder);
    server_ = builder.BuildAndStart();
  }
  ~FakeIngest() override {
    listener_->Stop();
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
  }

  IngestPeer Peer(const std::string& name) { return {name, listener_->NewChannel()}; }

  void Collect(std::shared_ptr<const ShardImage> shard) {
    absl::MutexLock lock(&mutex_);
    shard_ = std::move(shard);
  }
  // The next copies wait until let go on.
  void Block(bool block) {
    absl::MutexLock lock(&mutex_);
    blocked_ = block;
  }
  void Fail(grpc::Status status) {
    absl::MutexLock lock(&mutex_);
    status_ = std::move(status);
  }
  int copies() const { return copies_.load(); }

  grpc::Status GetRunningShard(grpc::ServerContext* context, const v1::GetRunningShardRequest*,
                               grpc::ServerWriter<v1::GetShardResponse>* writer) override {
    std::shared_ptr<const ShardImage> shard;
    {
      absl::MutexLock lock(&mutex_);
      shard = shard_;
      ++copies_;
      const auto free = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !blocked_; };
      while (!context->IsCancelled()) {
        if (mutex_.AwaitWithTimeout(absl::Condition(&free), absl::Milliseconds(20))) break;
      }
      if (!status_.ok()) return status_;
    }
    return SendWhole(*shard, writer);
  }

 private:
  absl::Mutex mutex_;
  std::shared_ptr<const ShardImage> shard_ ABSL_GUARDED_BY(mutex_);
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  bool blocked_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<int> copies_ = 0;
  std::unique_ptr<server::LocalListener> listener_;
  std::unique_ptr<grpc::Server> server_;
};

struct Answer {
  grpc::Status status;
  v1::SnapshotInfo snapshot;
  uint64_t rows = 0;
  int64_t first_integer = 0;
  // Of the first column.
  std::vector<std::string> texts;
  bool has_summary = false;
};

class QueryPartTest : public testing::Test {
 protected:
  void Start(QueryOptions options = {}, bool offer_empty = true) {
    if (offer_empty) store_.Offer(ManifestOf(0, {}), {});
    grpc::ServerBuilder store_builder;
    store_builder.RegisterService(&store_);
    store_listener_ = *server::LocalListener::Create(store_builder);
    store_server_ = store_builder.BuildAndStart();
    options.identity = "query";
    absl::StatusOr<std::unique_ptr<QueryPart>> part =
        QueryPart::Create(options, store_listener_->NewChannel(), registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
    grpc::ServerBuilder builder;
    builder.RegisterService(&part_->service());
    listener_ = *server::LocalListener::Create(builder);
    server_ = builder.BuildAndStart();
    stub_ = v1::Query::NewStub(listener_->NewChannel());
  }

  void TearDown() override {
    if (listener_ != nullptr) listener_->Stop();
    if (server_ != nullptr) server_->Shutdown();
    part_.reset();
    store_.Stop();
    if (store_listener_ != nullptr) store_listener_->Stop();
    if (store_server_ != nullptr) store_server_->Shutdown();
  }

  Answer Ask(const std::string& sql, absl::Duration timeout = absl::Seconds(30)) {
    v1::QueryRequest request;
    request.set_sql(sql);
    return Ask(request, timeout);
  }

  Answer AskOf(int64_t generation, const std::string& sql,
               absl::Duration timeout = absl::Seconds(30)) {
    v1::QueryRequest request;
    request.set_sql(sql);
    request.set_generation(generation);
    return Ask(request, timeout);
  }

  Answer AskRunning(const std::string& sql) {
    v1::QueryRequest request;
    request.set_sql(sql);
    request.set_running(true);
    return Ask(request);
  }

  int64_t IntegerOfRunning(const std::string& sql) {
    const Answer answer = AskRunning(sql);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    return answer.first_integer;
  }

  Answer Ask(const v1::QueryRequest& request, absl::Duration timeout = absl::Seconds(30)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    auto reader = stub_->Query(&context, request);
    v1::QueryResponse response;
    Answer answer;
    while (reader->Read(&response)) {
      if (response.has_header()) answer.snapshot = response.header().snapshot();
      if (answer.rows == 0 && response.has_batch() &&
          response.batch().columns(0).integers_size() > 0) {
        answer.first_integer = response.batch().columns(0).integers(0);
      }
      if (response.has_batch()) {
        for (const std::string& text : response.batch().columns(0).texts()) {
          answer.texts.push_back(text);
        }
      }
      answer.rows += response.batch().rows();
      answer.has_summary |= response.has_summary();
    }
    answer.status = reader->Finish();
    return answer;
  }

  // Asks until the answer is from this generation and revision.
  Answer AskAt(int64_t generation, int64_t revision, const std::string& sql) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    Answer answer;
    do {
      answer = Ask(sql);
      if (answer.snapshot.generation() == generation && answer.snapshot.revision() == revision) {
        return answer;
      }
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    ADD_FAILURE() << "no snapshot " << generation << "/" << revision;
    return answer;
  }

  void WaitUntilReady() {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!part_->Ready().ok() && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(2));
    ASSERT_TRUE(part_->Ready().ok()) << part_->Ready();
  }

  // Waits until so many queries run or wait.
  void WaitUntilActive(double queries) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (absl::Now() < deadline) {
      for (const prometheus::MetricFamily& family : registry_.Collect()) {
        if (family.name != "qasino_query_active") continue;
        if (family.metric[0].gauge.value == queries) return;
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
    FAIL() << "there were never " << queries << " queries";
  }

  // Asks until the answer's first column is this.
  void AwaitTexts(const std::string& sql, const std::vector<std::string>& wanted) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    Answer answer;
    do {
      answer = Ask(sql);
      if (answer.status.ok() && answer.texts == wanted) return;
      absl::SleepFor(absl::Milliseconds(2));
    } while (absl::Now() < deadline);
    EXPECT_EQ(answer.texts, wanted) << answer.status.error_message();
  }

  double Metric(const std::string& name, const std::string& label = "") {
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (!label.empty() && (metric.label.empty() || metric.label[0].value != label)) continue;
        return family.type == prometheus::MetricType::Gauge ? metric.gauge.value
                                                            : metric.counter.value;
      }
    }
    ADD_FAILURE() << "no metric " << name;
    return 0;
  }

  prometheus::Registry registry_;
  FakeStore store_;
  std::unique_ptr<server::LocalListener> store_listener_;
  std::unique_ptr<grpc::Server> store_server_;
  std::unique_ptr<QueryPart> part_;
  std::unique_ptr<server::LocalListener> listener_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Query::Stub> stub_;
};

inline std::shared_ptr<const ShardImage> Shard(const std::string& id, int64_t generation,
                                               int rows) {
  FakeShard shard(id, generation);
  shard.Table("t", {"x INTEGER", "y TEXT"});
  std::vector<std::string> values;
  for (int i = 0; i < rows; ++i) values.push_back(fmt::format("{}, 'row {}'", i, i));
  return shard.Publish("host of " + id, "t", values).Seal();
}

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_QUERY_PART_FIXTURE_H_
