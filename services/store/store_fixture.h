#ifndef QASINO_SERVICES_STORE_STORE_FIXTURE_H_
#define QASINO_SERVICES_STORE_STORE_FIXTURE_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/server/local_listener.h"
#include "services/store/faulty_file_system.h"
#include "services/store/store.h"
#include "services/store/testing.h"

namespace qasino::store {

// For whatever should happen soon; long, because a busy machine is slow.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// The whole store behind a gRPC server, as clients see it.
class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.data_dir = NewTestFolder();
    options_.files = &files_;
    options_.completeness_wait = absl::Hours(1);
    options_.progress_interval = absl::Milliseconds(20);
    Start();
  }
  void TearDown() override { Stop(); }

  void Start() {
    registry_ = std::make_unique<prometheus::Registry>();
    auto part = StorePart::Create(options_, *registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = *std::move(part);
    grpc::ServerBuilder builder;
    builder.RegisterService(&part_->service());
    builder.SetMaxReceiveMessageSize(32 << 20);
    listener_ = *server::LocalListener::Create(builder);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    stub_ = v1::SnapshotStore::NewStub(listener_->NewChannel());
  }

  void Stop() {
    if (part_ == nullptr) return;
    part_->Drain(absl::Now() + kPatience);
    listener_->Stop();
    server_->Shutdown();
    stub_.reset();
    server_.reset();
    part_.reset();
  }

  void Restart() {
    Stop();
    Start();
  }

  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    return context;
  }

  // An upload that a test steers message by message.
  struct Upload {
    explicit Upload(v1::SnapshotStore::Stub& stub)
        : context(NewContext()), writer(stub.PutShard(context.get(), &response)) {}

    Upload& Info(const v1::ShardInfo& info) {
      v1::PutShardRequest request;
      *request.mutable_info() = info;
      writer->Write(request);
      return *this;
    }
    Upload& Chunk(uint64_t offset, const std::string& data) {
      v1::PutShardRequest request;
      request.mutable_chunk()->set_offset(offset);
      request.mutable_chunk()->set_data(data);
      writer->Write(request);
      return *this;
    }
    // A chunk as a later version of the contract may have it, with a field unknown here.
    Upload& LaterChunk(uint64_t offset, const std::string& data) {
      v1::PutShardRequest request;
      v1::ShardChunk& chunk = *request.mutable_chunk();
      chunk.set_offset(offset);
      chunk.set_data(data);
      chunk.GetReflection()->MutableUnknownFields(&chunk)->AddVarint(1000, 1);
      writer->Write(request);
      return *this;
    }
    Upload& Nothing() {
      writer->Write(v1::PutShardRequest());
      return *this;
    }
    grpc::Status End() {
      writer->WritesDone();
      return writer->Finish();
    }

    v1::PutShardResponse response;
    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientWriter<v1::PutShardRequest>> writer;
  };

  grpc::Status Put(const v1::ShardInfo& info, const std::string& bytes,
                   bool* already_held = nullptr) {
    Upload upload(*stub_);
    upload.Info(info);
    constexpr size_t kChunk = 1 << 20;
    for (size_t offset = 0; offset < bytes.size(); offset += kChunk) {
      upload.Chunk(offset, bytes.substr(offset, kChunk));
    }
    grpc::Status status = upload.End();
    if (already_held != nullptr) *already_held = upload.response.already_held();
    return status;
  }
  // One message, whatever it is.
  grpc::Status PutRaw(const std::string& bytes) { return CallRaw("PutShard", bytes); }
  grpc::Status CallRaw(const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(listener_->NewChannel());
    grpc::CompletionQueue queue;
    const auto context = NewContext();
    const auto call = stub.PrepareCall(context.get(), "/qasino.v1.SnapshotStore/" + method, &queue);
    const auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      EXPECT_TRUE(queue.Next(&tag, &ok));
    };
    call->StartCall(nullptr);
    wait();
    const grpc::Slice slice(bytes);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    wait();
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    return status;
  }
  void PutOk(int64_t generation, const std::string& ingest, const std::string& bytes = "bytes") {
    const grpc::Status status = Put(TestShard(generation, ingest, bytes), bytes);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  struct Got {
    grpc::Status status;
    v1::ShardInfo info;
    std::string bytes;
    size_t chunks = 0;
  };
  Got Get(int64_t generation, const std::string& shard_id, uint64_t offset = 0) {
    v1::GetShardRequest request;
    request.set_generation(generation);
    request.set_shard_id(shard_id);
    request.set_offset(offset);
    const auto context = NewContext();
    const auto reader = stub_->GetShard(context.get(), request);
    Got got;
    v1::GetShardResponse response;
    for (bool first = true; reader->Read(&response); first = false) {
      EXPECT_EQ(response.has_info(), first);
      if (first) {
        got.info = response.info();
        continue;
      }
      EXPECT_EQ(response.chunk().offset(), offset + got.bytes.size());
      EXPECT_LE(response.chunk().data().size(), size_t{1} << 20);
      got.bytes += response.chunk().data();
      ++got.chunks;
    }
    got.status = reader->Finish();
    return got;
  }

  // A watch of which tests read the manifests.
  struct Watch {
    Watch(v1::SnapshotStore::Stub& stub, int64_t generation = 0, int64_t revision = 0)
        : context(NewContext()) {
      v1::WatchSnapshotsRequest request;
      request.set_from_generation(generation);
      request.set_from_revision(revision);
      reader = stub.WatchSnapshots(context.get(), request);
    }
    ~Watch() {
      if (reader == nullptr) return;
      context->TryCancel();
      reader->Finish();
    }
    v1::WatchSnapshotsResponse Next() {
      v1::WatchSnapshotsResponse response;
      EXPECT_TRUE(reader->Read(&response));
      return response;
    }
    // The next manifest, past progress messages.
    v1::Manifest NextManifest() {
      v1::WatchSnapshotsResponse response;
      while (reader->Read(&response)) {
        if (response.has_manifest()) return response.manifest();
      }
      ADD_FAILURE() << "the watch ended";
      return {};
    }

    std::unique_ptr<grpc::ClientContext> context;
    std::unique_ptr<grpc::ClientReader<v1::WatchSnapshotsResponse>> reader;
  };

  grpc::Status GetManifest(int64_t generation, v1::Manifest* manifest) {
    v1::GetManifestRequest request;
    request.set_generation(generation);
    return stub_->GetManifest(NewContext().get(), request, manifest);
  }

  std::vector<int64_t> Generations() {
    v1::ListGenerationsResponse response;
    EXPECT_TRUE(stub_->ListGenerations(NewContext().get(), {}, &response).ok());
    std::vector<int64_t> generations;
    for (const auto& generation : response.generations()) {
      generations.push_back(generation.generation());
    }
    return generations;
  }

  double Metric(const std::string& name, const std::string& reason = "") {
    for (const auto& family : registry_->Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        if (!reason.empty() && metric.label.at(0).value != reason) continue;
        return metric.counter.value + metric.gauge.value +
               static_cast<double>(metric.histogram.sample_count);
      }
    }
    ADD_FAILURE() << "no metric " << name;
    return -1;
  }

  size_t Incoming() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.data_dir + "/incoming")) {
      count += entry.exists() ? 1 : 0;
    }
    return count;
  }

  template <typename Condition>
  static bool Eventually(Condition condition) {
    const absl::Time deadline = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }

  static std::string Large(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
    return bytes;
  }

  FaultyFileSystem files_;
  std::atomic<int64_t> steady_seconds_ = 1'000;  // of the test that sets this clock
  std::atomic<int64_t> wall_seconds_ = 0;        // likewise
  StoreOptions options_;
  std::unique_ptr<prometheus::Registry> registry_;
  std::unique_ptr<StorePart> part_;
  std::unique_ptr<server::LocalListener> listener_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::SnapshotStore::Stub> stub_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_STORE_FIXTURE_H_
