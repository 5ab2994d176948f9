// The sockets against clients that libzmq alone would let have all memory.

#include "adapters/zmq/sockets.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <zmq.hpp>

#include "absl/time/clock.h"
#include "adapters/zmq/connections.h"

namespace qasino::zeromq {
namespace {

// A connection that speaks ZMTP 3.0 byte by byte.
class RawClient {
 public:
  RawClient(int port, std::string_view type) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    std::string greeting("\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL", 16);
    greeting.resize(64);
    EXPECT_TRUE(Send(greeting));
    EXPECT_EQ(recv(fd_, greeting.data(), greeting.size(), MSG_WAITALL), 64);
    std::string ready("\x05READY\x0bSocket-Type\0\0\0", 21);
    ready.push_back(static_cast<char>(type.size()));
    ready += type;
    EXPECT_TRUE(Send(std::string{'\x04', static_cast<char>(ready.size())} + ready));
  }
  ~RawClient() { close(fd_); }

  // False: the server has hung up.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready = {.fd = fd_, .events = POLLOUT | POLLRDHUP, .revents = 0};
      if (poll(&ready, 1, -1) != 1 || (ready.revents & ~POLLOUT) != 0) return false;
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

 private:
  const int fd_ = socket(AF_INET, SOCK_STREAM, 0);
};

// A part of 64 KiB, behind which there are more.
std::string LongPart() {
  return std::string("\x03\0\0\0\0\0\x01\0\0", 9) + std::string(64 << 10, 'x');
}

class SocketsTest : public testing::Test {
 protected:
  SocketsTest() {
    auto sockets = Sockets::Create({.listen = "127.0.0.1",
                                    .port = 0,
                                    .pubsub_port = 0,
                                    .max_message_bytes = 1 << 20,
                                    .max_unfinished_bytes = 1 << 20,
                                    .is_topic = [](std::string_view topic) {
                                      return std::string_view("GENSIG").starts_with(topic);
                                    }});
    EXPECT_TRUE(sockets.ok()) << sockets.status();
    sockets_ = *std::move(sockets);
    // Echoes.
    sockets_->Start([this](Received message) {
      Outgoing answer;
      answer.bodies.push_back(message.parts.back().to_string());
      message.parts.pop_back();
      answer.envelope = std::move(message.parts);
      sockets_->Send(std::move(answer));
    });
  }

  ::zmq::context_t context_;
  std::unique_ptr<Sockets> sockets_;
};

TEST_F(SocketsTest, AMessageWithoutEndIsHungUpOn) {
  ::zmq::socket_t honest(context_, ::zmq::socket_type::req);
  honest.set(::zmq::sockopt::rcvtimeo, 30'000);
  honest.connect("tcp://127.0.0.1:" + std::to_string(sockets_->port()));
  const auto ask = [&](size_t bytes) {
    honest.send(::zmq::message_t(bytes), ::zmq::send_flags::none);
    ::zmq::message_t answer;
    ASSERT_TRUE(honest.recv(answer));
    EXPECT_EQ(answer.size(), bytes);
  };
  ask(1);
  RawClient client(sockets_->port(), "DEALER");
  const std::string part = LongPart();
  while (client.Send(part)) {
  }
  // More than a client may have unfinished, in whole messages; and what was taken is not
  // counted later.
  for (int i = 0; i < 100; ++i) ask(1 << 19);
  absl::SleepFor(3 * Connections::kLookEvery);
  ask(1 << 19);
}

TEST_F(SocketsTest, SubscriptionsWithoutEndAreHungUpOn) {
  ::zmq::socket_t honest(context_, ::zmq::socket_type::sub);
  honest.set(::zmq::sockopt::subscribe, "GENSIG");
  honest.connect("tcp://127.0.0.1:" + std::to_string(sockets_->pubsub_port()));
  {
    RawClient client(sockets_->pubsub_port(), "SUB");
    const std::string subscription("\0\x07\x01GENSIG", 9);
    while (client.Send(subscription)) {
    }
  }
  // It may have been late with its own.
  honest.set(::zmq::sockopt::rcvtimeo, 10);
  ::zmq::message_t frame;
  do {
    sockets_->Publish("GENSIG");
  } while (!honest.recv(frame));
  EXPECT_EQ(frame.to_string_view(), "GENSIG");
}

TEST_F(SocketsTest, AMessageOfManySmallPartsIsHungUpOn) {
  RawClient client(sockets_->port(), "DEALER");
  std::string parts;
  for (int i = 0; i < 10'000; ++i) parts.append("\x01\x00", 2);
  while (client.Send(parts)) {
  }
}

}  // namespace
}  // namespace qasino::zeromq
