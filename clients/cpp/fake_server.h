#ifndef QASINO_CLIENTS_CPP_FAKE_SERVER_H_
#define QASINO_CLIENTS_CPP_FAKE_SERVER_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/cpp/options.h"
#include "qasino/v1/ingest.grpc.pb.h"
#include "qasino/v1/query.grpc.pb.h"
#include "qasino/v1/snapshot.grpc.pb.h"

namespace grpc {
class Channel;
class Server;
}  // namespace grpc

namespace qasino::client {

// The services whose behaviour a test writes as functions; a function that is not set
// answers UNIMPLEMENTED. Set them before Start; they run on gRPC's threads.
class FakeServer final {
 public:
  using PublishCall = std::function<grpc::Status(grpc::ServerContext*, const v1::PublishRequest*,
                                                 v1::PublishResponse*)>;
  using PublishStreamCall = std::function<grpc::Status(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::PublishStreamResponse, v1::PublishStreamRequest>*)>;
  using WatchCall = std::function<grpc::Status(grpc::ServerContext*,
                                               grpc::ServerWriter<v1::WatchGenerationsResponse>*)>;
  using QueryCall = std::function<grpc::Status(grpc::ServerContext*, const v1::QueryRequest*,
                                               grpc::ServerWriter<v1::QueryResponse>*)>;
  using DropStaticCall = std::function<grpc::Status(
      grpc::ServerContext*, const v1::DropStaticTableRequest*, v1::DropStaticTableResponse*)>;
  using DropPersistentCall =
      std::function<grpc::Status(grpc::ServerContext*, const v1::DropPersistentTableRequest*,
                                 v1::DropPersistentTableResponse*)>;
  using ListGenerationsCall = std::function<grpc::Status(
      grpc::ServerContext*, const v1::ListGenerationsRequest*, v1::ListGenerationsResponse*)>;

  FakeServer();
  ~FakeServer();

  PublishCall publish;
  PublishStreamCall publish_stream;
  WatchCall watch;
  QueryCall query;
  DropStaticCall drop_static;
  DropPersistentCall drop_persistent;
  ListGenerationsCall list_generations;

  // Listens on a free port of 127.0.0.1, or after a Stop on the same one.
  void Start();
  // Cuts all calls off.
  void Stop();

  // What grpc.health.v1 says of a service; of those not set, that it does not know them. It
  // lasts over a Stop.
  void SetServing(const std::string& service, bool serving);

  // To be given to a client.
  std::shared_ptr<grpc::Channel> NewChannel() const;

  int port() const { return port_; }
  // To this server, in time limits and waits that suit a test.
  ConnectOptions options() const;

 private:
  class IngestService;
  class QueryService;
  class StoreService;

  std::unique_ptr<IngestService> ingest_;
  std::unique_ptr<QueryService> query_;
  std::unique_ptr<StoreService> store_;
  std::unique_ptr<grpc::Server> server_;
  std::map<std::string, bool> serving_;
  int port_ = 0;
};

// A port of 127.0.0.1 on which nothing listens.
int ClosedPort();

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_FAKE_SERVER_H_
