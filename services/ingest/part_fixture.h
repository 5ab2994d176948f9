#ifndef QASINO_SERVICES_INGEST_PART_FIXTURE_H_
#define QASINO_SERVICES_INGEST_PART_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "services/ingest/fake_clock.h"
#include "services/ingest/fake_store.h"
#include "services/ingest/ingest_part.h"
#include "services/sqlite/database.h"

// What the tests of the part share.
namespace qasino::ingest {

inline constexpr int64_t kGeneration = 1'000'000'020;  // a multiple of 30

inline v1::PublishRequest OneRow(const std::string& identity, const std::string& table,
                                 int64_t value) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.mutable_table()->set_name(table);
  v1::Column& column = *publish.mutable_table()->add_columns();
  column.set_name("a");
  column.set_type(v1::INTEGER);
  column.add_integers(value);
  return publish;
}

// One integer of what a shard has.
inline int64_t Select(const StoredShard& shard, const std::string& what) {
  auto database = sqlite::Database::OpenInMemory();
  EXPECT_TRUE(database.ok() && database->ReadFrom("main", shard.bytes).ok());
  auto statement = database->Prepare(absl::StrCat("SELECT ", what));
  EXPECT_TRUE(statement.ok()) << statement.status();
  if (!statement.ok()) return -1;
  const auto row = statement->Step();
  EXPECT_TRUE(row.ok() && *row);
  return statement->Integer(0);
}

// The part behind a real port, with a store that is not one.
class IngestPartTest : public ::testing::Test {
 protected:
  void Open(IngestOptions options = {}) {
    options.identity = "server";
    options.clock = &clock_;
    auto part = IngestPart::Create(options, store_.Channel(), registry_);
    ASSERT_TRUE(part.ok()) << part.status();
    part_ = std::move(*part);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(32 << 20);
    builder.RegisterService(&part_->service());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ =
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port), grpc::InsecureChannelCredentials());
    stub_ = v1::Ingest::NewStub(channel_);
  }

  void TearDown() override {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  grpc::Status Publish(const v1::PublishRequest& publish, v1::PublishResponse* response) {
    grpc::ClientContext context;
    return stub_->Publish(&context, publish, response);
  }

  std::string MetricsText() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  prometheus::Registry registry_;
  FakeClock clock_{absl::FromUnixSeconds(kGeneration)};
  FakeStore store_;
  std::unique_ptr<IngestPart> part_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Ingest::Stub> stub_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_PART_FIXTURE_H_
