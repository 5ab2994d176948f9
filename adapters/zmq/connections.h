#ifndef QASINO_ADAPTERS_ZMQ_CONNECTIONS_H_
#define QASINO_ADAPTERS_ZMQ_CONNECTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <zmq.hpp>

#include "absl/time/time.h"

namespace qasino::zeromq {

// The TCP connections of a socket, and what their clients have sent that nobody took yet.
//
// libzmq bounds the length of a message's part, and the messages that wait; but it has room for
// any number of parts of a message that does not end, and keeps each subscription that it is
// ever sent. So who sends more than that, and nothing that can be taken, is hung up on.
//
//   Connections connections(context, door, "router", limits);   // before it is bound
//   …
//   connections.Took(fd, bytes, parts);                          // of each message
//   connections.Look(absl::Now());                               // a few times a second
//
// Used by one thread at a time, that of the socket. Throws zmq::error_t.
class Connections {
 public:
  struct Limits {
    // Bytes that one client, and that all of them may have sent without their being taken,
    // and without anything being taken between two looks. Past the latter those with the most
    // are hung up on.
    int64_t bytes_per_client;
    int64_t bytes;
    // So many bytes of each are forgotten in a second, for what is never taken, the signs of
    // life.
    int64_t forgotten_per_second = 0;
  };

  // How often Look looks at most.
  static constexpr absl::Duration kLookEvery = absl::Milliseconds(200);

  // `name` is this socket's own within the context; both outlive this object.
  Connections(::zmq::context_t& context, ::zmq::socket_t& door, const std::string& name,
              const Limits& limits);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // A message of so many bytes in so many parts was taken that came over `fd`, libzmq's file
  // descriptor of the connection.
  void Took(int fd, int64_t bytes, int64_t parts);

  void Look(absl::Time now);

  // There are none, as far as is known: who only waits for them need not look.
  bool empty() const { return connections_.empty(); }

  // Is readable when Look should be called for new connections.
  ::zmq::socket_t& events() { return events_; }

 private:
  struct Connection {
    int64_t taken = 0;
    bool progress = true;  // something was taken since the last look
    int64_t waiting = 0;   // as of the last look
    bool hung_up = false;
  };

  void TakeEvents();
  void HangUp(int fd, Connection& connection);

  ::zmq::socket_t& door_;
  ::zmq::socket_t events_;
  const Limits limits_;
  absl::Time looked_ = absl::InfinitePast();
  std::map<int, Connection> connections_;  // by file descriptor
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_CONNECTIONS_H_
