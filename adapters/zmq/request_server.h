#ifndef QASINO_ADAPTERS_ZMQ_REQUEST_SERVER_H_
#define QASINO_ADAPTERS_ZMQ_REQUEST_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "adapters/upstream/upstream.h"
#include "adapters/zmq/load.h"
#include "adapters/zmq/metrics.h"
#include "adapters/zmq/request.h"
#include "adapters/zmq/sockets.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/query.pb.h"
#include "services/server/worker_pool.h"

namespace qasino::zeromq {

// Makes an answer of every request.
//
// Receive is for one thread; the rest for any. When it is destroyed, the upstream was closed
// and nobody has an Outgoing of it any more.
class RequestServer {
 public:
  struct Options {
    std::string identity;
    int64_t max_message_bytes;
    int64_t max_requests;
    int64_t max_bytes;
    int64_t max_answer_bytes;
  };
  // Takes an answer; on any thread, short, without waiting.
  using Send = absl::AnyInvocable<void(Outgoing answer) const>;

  // `upstream` and `metrics` outlive it.
  RequestServer(const Options& options, adapters::Upstream* upstream, Metrics* metrics, Send send);
  RequestServer(const RequestServer&) = delete;
  RequestServer& operator=(const RequestServer&) = delete;

  // Takes a message; does not wait.
  void Receive(Received message);

  // New requests are UNAVAILABLE from now on.
  void Refuse() { refusing_ = true; }
  // Waits until every request that was not refused is answered and the answers have left,
  // at the deadline at the latest.
  void WaitUntilIdle(absl::Time deadline) { load_.WaitUntilIdle(deadline); }

 private:
  // A request on its way.
  struct Call {
    // The envelope, and behind it, until it is read, the JSON.
    std::vector<::zmq::message_t> parts;
    size_t envelope = 0;
    std::unique_ptr<Load::Lease> lease;
  };

  void Run(std::shared_ptr<Call> call);
  void Query(std::shared_ptr<Call> call, Op op, const v1::QueryRequest& query);
  void Publish(std::shared_ptr<Call> call, const v1::PublishRequest& publish);
  // Once for each call.
  void Answer(Call& call, Op op, absl::StatusCode code, std::vector<std::string> bodies);
  void AnswerError(Call& call, Op op, absl::StatusCode code, std::string_view message);

  const Options options_;
  adapters::Upstream* const upstream_;
  Metrics* const metrics_;
  const Send send_;
  std::atomic<bool> refusing_ = false;
  Load load_;
  // Requests that are refused leave answers, too.
  Load refused_;
  // Reads long messages. Last: its tasks use all above.
  server::WorkerPool pool_;
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_REQUEST_SERVER_H_
