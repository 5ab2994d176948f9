#ifndef QASINO_ADAPTERS_HTTP_EXCHANGE_H_
#define QASINO_ADAPTERS_HTTP_EXCHANGE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "adapters/http/async.h"
#include "adapters/http/body.h"
#include "adapters/http/metrics.h"
#include "adapters/http/request.h"
#include "adapters/http/response.h"
#include "clients/cpp/async_query.h"

namespace qasino::http {

// A request and its answer, as those see it who answer. Used in the connection's thread.
//
//   ReadBody at most once; then Send; or Begin, SendPart…, and End or Abandon
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  virtual Executor executor() = 0;

  // What is asked, for the metrics.
  virtual void SetOperation(Operation operation) = 0;

  // Reads the request's body. Errors, of which the client is to be told:
  //   RESOURCE_EXHAUSTED   longer than the limit
  //   INVALID_ARGUMENT     not what HTTP or gzip says
  //   DEADLINE_EXCEEDED    it comes too slowly
  //   UNIMPLEMENTED        another Content-Encoding than gzip
  //   UNAVAILABLE          with those of others it takes too much memory
  //   FAILED_PRECONDITION  another Expect than 100-continue
  // CANCELLED: the client has gone.
  virtual Task<absl::Status> ReadBody(BodySink& sink) = 0;

  // The body of the answer, or its next part: filled before the call that sends it, which
  // empties it.
  virtual std::string& body() = 0;

  // Sends a whole answer. False, here and below: the client does not take it.
  virtual Task<bool> Send(const Response& response) = 0;

  // Sends the head and the first part of an answer whose length is not known. For HEAD that
  // is all.
  virtual Task<bool> Begin(const Response& response) = 0;
  virtual Task<bool> SendPart() = 0;
  // The last part; the answer is whole.
  virtual Task<bool> End() = 0;
  // The last part of an answer that is not whole, which the client can tell: the connection
  // ends without the end of the answer.
  virtual Task<void> Abandon() = 0;

  // What is cancelled when the client goes; null: nothing any more.
  virtual void SetRunning(std::shared_ptr<client::AsyncQuery> query) = 0;
};

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_EXCHANGE_H_
