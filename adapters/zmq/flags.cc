#include "adapters/zmq/flags.h"

namespace qasino::zeromq {

void AddFlags(server::CommandLine& line, ZmqOptions& options) {
  line.AddOptionalPort("--zmq-port", &options.port,
                       "Requests over ZeroMQ (REQ and DEALER); 0 takes a free port, off: none");
  line.AddOptionalPort("--pubsub-port", &options.pubsub_port,
                       "The signal of each generation over ZeroMQ (SUB); 0 takes a free port, "
                       "off: none");
  line.AddString("--curve-secret-key", &options.curve_secret_key_file,
                 "File with the secret key of CURVE for the ZeroMQ ports, in Z85 or as a "
                 "certificate of ZeroMQ; none: plain text");
  line.AddString("--curve-clients", &options.curve_clients_file,
                 "File with the public keys of the ZeroMQ clients that are let in, in Z85, one a "
                 "line; none: all that know the server's public key");
}

}  // namespace qasino::zeromq
