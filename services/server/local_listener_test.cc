#include "services/server/local_listener.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "qasino/v1/ingest.grpc.pb.h"

namespace qasino::server {
namespace {

class FakeIngest : public v1::Ingest::Service {
 public:
  grpc::Status Publish(grpc::ServerContext*, const v1::PublishRequest*,
                       v1::PublishResponse* response) override {
    response->set_generation(17);
    return grpc::Status::OK;
  }
};

// The Unix sockets of this process with a name but no file: those that listen, or the server's
// ends of connections.
std::vector<int> Sockets(bool listening) {
  std::vector<int> found;
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_un address = {};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sun_family != AF_UNIX || size <= sizeof address.sun_family) continue;
    int listens = 0;
    size = sizeof listens;
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
    if ((listens != 0) == listening) found.push_back(fd);
  }
  return found;
}

class LocalListenerTest : public testing::Test {
 protected:
  LocalListenerTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&ingest_);
    listener_ = *LocalListener::Create(builder);
    server_ = builder.BuildAndStart();
  }
  ~LocalListenerTest() override {
    listener_->Stop();
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
  }

  static grpc::Status Publish(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    v1::PublishResponse response;
    return v1::Ingest::NewStub(channel)->Publish(&context, v1::PublishRequest(), &response);
  }

  FakeIngest ingest_;
  std::unique_ptr<LocalListener> listener_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(LocalListenerTest, EachChannelHasItsConnection) {
  const auto first = listener_->NewChannel();
  const auto second = listener_->NewChannel();
  EXPECT_TRUE(Publish(first).ok());
  EXPECT_TRUE(Publish(second).ok());
  EXPECT_EQ(Sockets(/*listening=*/false).size(), 2u);
}

TEST_F(LocalListenerTest, ALostConnectionIsMadeAnew) {
  const auto channel = listener_->NewChannel();
  ASSERT_TRUE(Publish(channel).ok());
  const std::vector<int> connections = Sockets(/*listening=*/false);
  ASSERT_EQ(connections.size(), 1u);
  ASSERT_EQ(shutdown(connections[0], SHUT_RDWR), 0);
  while (!Publish(channel).ok()) absl::SleepFor(absl::Milliseconds(5));
}

TEST_F(LocalListenerTest, OtherProcessesAreNotAnswered) {
  const std::vector<int> listening = Sockets(/*listening=*/true);
  ASSERT_EQ(listening.size(), 1u);
  sockaddr_un address = {};
  socklen_t size = sizeof address;
  ASSERT_EQ(getsockname(listening[0], reinterpret_cast<sockaddr*>(&address), &size), 0);
  // What an honest client begins with, so that a server would send its settings.
  constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
  const pid_t child = fork();
  if (child == 0) {
    const int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, reinterpret_cast<const sockaddr*>(&address), size) != 0) _exit(1);
    (void)send(connection, kPreface, sizeof kPreface, MSG_NOSIGNAL);
    char byte;
    // Its end, or a reset when what was sent had not been read.
    _exit(read(connection, &byte, 1) <= 0 ? 0 : 2);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(Publish(listener_->NewChannel()).ok());
}

TEST_F(LocalListenerTest, ConnectionsOutliveItsStop) {
  const auto channel = listener_->NewChannel();
  ASSERT_TRUE(Publish(channel).ok());
  listener_->Stop();
  EXPECT_TRUE(Publish(channel).ok());
  EXPECT_EQ(Publish(listener_->NewChannel()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(LocalListenerTest, AfterTheServersEndCallsAreUnavailable) {
  const auto used = listener_->NewChannel();
  ASSERT_TRUE(Publish(used).ok());
  const auto unused = listener_->NewChannel();
  listener_->Stop();
  server_->Shutdown(absl::ToChronoTime(absl::Now()));
  server_->Wait();
  EXPECT_EQ(Publish(used).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Publish(unused).error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace qasino::server
