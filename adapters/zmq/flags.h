#ifndef QASINO_ADAPTERS_ZMQ_FLAGS_H_
#define QASINO_ADAPTERS_ZMQ_FLAGS_H_

#include "adapters/zmq/zmq_part.h"
#include "services/server/command_line.h"

namespace qasino::zeromq {

// Adds the flags that the ZeroMQ doors have in every process that has them; their defaults
// are what the options say now:
//
//   --zmq-port, --pubsub-port, --curve-secret-key, --curve-clients
//
// --identity and those of the services behind are not among them.
void AddFlags(server::CommandLine& line, ZmqOptions& options);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_FLAGS_H_
