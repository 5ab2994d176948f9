#ifndef QASINO_ADAPTERS_HTTP_SESSION_H_
#define QASINO_ADAPTERS_HTTP_SESSION_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "adapters/http/service.h"
#include "adapters/http/transport.h"
#include "adapters/http/worker.h"

namespace qasino::http {

// Serves a connection until it ends, as a coroutine of the worker's, and calls `ended` then
// (also when it is destroyed with the worker's context). Called in the worker's thread;
// `worker` and `service` outlive the connection.
//
// One request after another: what is pipelined waits in the connection. Between requests the
// connection holds no buffers. A request must arrive within Service::receive_timeout and a
// second for each 64 KiB of its body (else 408), an answer is given up when nothing of it is
// taken for Service::write_timeout. When the client has gone the query that runs is stopped;
// one that has only ended what it sends has Service::half_closed_timeout for it.
void Serve(Worker& worker, const Service& service, std::unique_ptr<Transport> transport, bool tls,
           absl::AnyInvocable<void()> ended);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_SESSION_H_
