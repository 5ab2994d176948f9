#ifndef QASINO_ADAPTERS_UPSTREAM_UPSTREAM_H_
#define QASINO_ADAPTERS_UPSTREAM_UPSTREAM_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/async_query.h"
#include "clients/cpp/options.h"
#include "clients/cpp/publish_stream.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/query.pb.h"

namespace qasino::adapters {

// Where an adapter sends what comes in through its doors.
struct UpstreamOptions {
  client::ConnectOptions ingest{.target = "127.0.0.1:15601"};
  client::ConnectOptions query{.target = "127.0.0.1:15602"};
  // The time limit of a query, besides the server's own; and of a publish.
  absl::Duration query_timeout = absl::Seconds(60);
  absl::Duration publish_timeout = absl::Seconds(15);
  // Long-lived PublishStreams that share the publishes. At least 1.
  int publish_streams = 2;
  // An adapter that only queries has no streams.
  bool publishes = true;
};

// The services behind an adapter. When one is away, what needs it fails at once with
// UNAVAILABLE, and works again within a second of its return.
//
// Any thread may call any function.
class Upstream {
 public:
  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<Upstream>> Create(const UpstreamOptions& options);
  // As Close.
  ~Upstream();
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  // Sends a publish off; `request` is not needed after the return. Publishes of one
  // identity are applied in the order in which they were sent. The callback runs once, on
  // another thread or in this call, short and without waiting. Errors: those of
  // Ingest.Publish; RESOURCE_EXHAUSTED also when too many publishes are unanswered.
  void Publish(const v1::PublishRequest& request, client::PublishStream::Callback callback);

  // Sends a statement off; never null.
  std::shared_ptr<client::AsyncQuery> Query(const v1::QueryRequest& request);

  // OK when the services are there and ready; else which is not, and why.
  absl::Status Ready() const;

  // Lets go of the services: what runs is cancelled, what comes later is UNAVAILABLE.
  // Returns when no callback runs any more. Not from a callback.
  void Close();

 private:
  struct State;
  explicit Upstream(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::adapters

#endif  // QASINO_ADAPTERS_UPSTREAM_UPSTREAM_H_
