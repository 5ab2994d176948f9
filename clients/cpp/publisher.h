#ifndef QASINO_CLIENTS_CPP_PUBLISHER_H_
#define QASINO_CLIENTS_CPP_PUBLISHER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "clients/cpp/options.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::client {

// Publishes one table a call.
//
//   auto publisher = Publisher::Create({.target = "127.0.0.1:15601"});
//   if (!publisher.ok()) return publisher.status();
//   auto response = (*publisher)->Publish(request);
//
// Any thread may call, several at once. For more than some hundred publishes a second
// use PublishStream.
class Publisher {
 public:
  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<Publisher>> Create(const ConnectOptions& options);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Sends the table and waits for the answer. UNAVAILABLE is tried again within the time
  // limit, which does no harm: a publish counts once. The errors are those of
  // Ingest.Publish; when the time ends while the server is away, the error is its
  // UNAVAILABLE.
  absl::StatusOr<v1::PublishResponse> Publish(const v1::PublishRequest& request,
                                              const CallOptions& call = {});

 private:
  struct State;
  explicit Publisher(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_PUBLISHER_H_
