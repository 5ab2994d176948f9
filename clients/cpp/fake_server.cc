#include "clients/cpp/fake_server.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace qasino::client {
namespace {

grpc::Status Unset() { return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not in this test"); }

}  // namespace

class FakeServer::IngestService final : public v1::Ingest::Service {
 public:
  explicit IngestService(FakeServer* fake) : fake_(fake) {}

  grpc::Status Publish(grpc::ServerContext* context, const v1::PublishRequest* request,
                       v1::PublishResponse* response) override {
    return fake_->publish ? fake_->publish(context, request, response) : Unset();
  }

  grpc::Status PublishStream(grpc::ServerContext* context,
                             grpc::ServerReaderWriter<v1::PublishStreamResponse,
                                                      v1::PublishStreamRequest>* stream) override {
    return fake_->publish_stream ? fake_->publish_stream(context, stream) : Unset();
  }

  grpc::Status WatchGenerations(grpc::ServerContext* context, const v1::WatchGenerationsRequest*,
                                grpc::ServerWriter<v1::WatchGenerationsResponse>* writer) override {
    return fake_->watch ? fake_->watch(context, writer) : Unset();
  }

 private:
  FakeServer* const fake_;
};

class FakeServer::QueryService final : public v1::Query::Service {
 public:
  explicit QueryService(FakeServer* fake) : fake_(fake) {}

  grpc::Status Query(grpc::ServerContext* context, const v1::QueryRequest* request,
                     grpc::ServerWriter<v1::QueryResponse>* writer) override {
    return fake_->query ? fake_->query(context, request, writer) : Unset();
  }

 private:
  FakeServer* const fake_;
};

class FakeServer::StoreService final : public v1::SnapshotStore::Service {
 public:
  explicit StoreService(FakeServer* fake) : fake_(fake) {}

  grpc::Status DropStaticTable(grpc::ServerContext* context,
                               const v1::DropStaticTableRequest* request,
                               v1::DropStaticTableResponse* response) override {
    return fake_->drop_static ? fake_->drop_static(context, request, response) : Unset();
  }

  grpc::Status DropPersistentTable(grpc::ServerContext* context,
                                   const v1::DropPersistentTableRequest* request,
                                   v1::DropPersistentTableResponse* response) override {
    return fake_->drop_persistent ? fake_->drop_persistent(context, request, response) : Unset();
  }

  grpc::Status ListGenerations(grpc::ServerContext* context,
                               const v1::ListGenerationsRequest* request,
                               v1::ListGenerationsResponse* response) override {
    return fake_->list_generations ? fake_->list_generations(context, request, response) : Unset();
  }

 private:
  FakeServer* const fake_;
};

FakeServer::FakeServer()
    : ingest_(std::make_unique<IngestService>(this)),
      query_(std::make_unique<QueryService>(this)),
      store_(std::make_unique<StoreService>(this)) {}

FakeServer::~FakeServer() { Stop(); }

void FakeServer::Start() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(ingest_.get());
  builder.RegisterService(query_.get());
  builder.RegisterService(store_.get());
  server_ = builder.BuildAndStart();
  for (const auto& [service, serving] : serving_) {
    server_->GetHealthCheckService()->SetServingStatus(service, serving);
  }
}

void FakeServer::SetServing(const std::string& service, bool serving) {
  serving_[service] = serving;
  if (server_ != nullptr) server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

std::shared_ptr<grpc::Channel> FakeServer::NewChannel() const {
  return grpc::CreateChannel(absl::StrCat("127.0.0.1:", port_), grpc::InsecureChannelCredentials());
}

void FakeServer::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

ConnectOptions FakeServer::options() const {
  ConnectOptions options;
  options.target = absl::StrCat("127.0.0.1:", port_);
  options.retry.initial_backoff = absl::Milliseconds(5);
  options.retry.max_backoff = absl::Milliseconds(50);
  return options;
}

int ClosedPort() {
  FakeServer server;
  server.Start();
  return server.port();
}

}  // namespace qasino::client
