#ifndef QASINO_CLIENTS_CPP_PUBLISH_STREAM_H_
#define QASINO_CLIENTS_CPP_PUBLISH_STREAM_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/options.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::client {

// What a PublishStream may hold.
struct PublishStreamOptions {
  // Publishes accepted that have no result yet, and their serialised bytes. Send waits
  // while either is reached. A single publish may exceed the bytes when it is alone.
  int64_t max_unanswered = 16384;
  int64_t max_unanswered_bytes = 64 << 20;
  // Publishes that are waiting to be sent travel together up to this count and size.
  int64_t max_batch = 256;
  int64_t max_batch_bytes = 1 << 20;
  // For a sender that has somebody waiting for the answer: while the server is away,
  // Send and TrySend are UNAVAILABLE at once, and what had no result when the stream
  // broke gets UNAVAILABLE instead of being sent again (it may be stored all the same).
  // At the very first, publishes wait for the connection, for at most 2 s. False: they
  // wait until their time limit.
  bool fail_when_away = false;
};

// Publishes many tables over one stream that it keeps up by itself.
//
//   auto stream = PublishStream::Create({.target = "127.0.0.1:15601"});
//   for (...)
//     (*stream)->Send(request, [](absl::StatusOr<v1::PublishResponse> r) { ... });
//   absl::Status done = (*stream)->Finish();
//
// Publishes are applied in the order of their Sends. When the stream breaks, those
// without a result are sent again on a new one, with backoff, until their time limit:
// a publish counts once, so an answer may then say `duplicate` though it was this
// publish that counted.
//
// Any thread may call any function. Callbacks run on threads of this library, without a
// lock held, in the order of the Sends (but one whose time limit ends is called then);
// they should be short, and must not wait: no Send, Flush or Finish, but TrySend may be
// called. Two may run at the same time.
class PublishStream {
 public:
  using Callback = absl::AnyInvocable<void(absl::StatusOr<v1::PublishResponse>)>;

  // Does not connect yet; fails for options that are wrong and TLS files that cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<PublishStream>> Create(
      const ConnectOptions& options, const PublishStreamOptions& stream_options = {});

  // Gives up what has no result: those callbacks get CANCELLED. Returns when no callback
  // runs any more. Not from a callback.
  ~PublishStream();
  PublishStream(const PublishStream&) = delete;
  PublishStream& operator=(const PublishStream&) = delete;

  // Accepts a publish, waiting for room first. `request` is not needed after the return.
  // OK: `callback` will be called, once, with the result, or with an error when there is
  // none within the time limit: DEADLINE_EXCEEDED, or UNAVAILABLE when the server is
  // away.
  // Else it is not called:
  //   DEADLINE_EXCEEDED    there was no room within the time limit.
  //   RESOURCE_EXHAUSTED   the publish is longer than max_message_bytes.
  //   FAILED_PRECONDITION  Finish was called.
  //   UNAVAILABLE          the server is away, with fail_when_away.
  absl::Status Send(const v1::PublishRequest& request, Callback callback,
                    const CallOptions& call = {});

  // The same without waiting: RESOURCE_EXHAUSTED when there is no room.
  absl::Status TrySend(const v1::PublishRequest& request, Callback callback,
                       const CallOptions& call = {});

  // Waits until everything accepted before has been answered and its callback has
  // returned. DEADLINE_EXCEEDED when that is not so at `deadline`; nothing is given up.
  absl::Status Flush(absl::Time deadline = absl::InfiniteFuture());

  // Takes no more, flushes, and closes the stream. What has no result at `deadline` is
  // given up: its callbacks get CANCELLED and the answer is DEADLINE_EXCEEDED.
  absl::Status Finish(absl::Time deadline = absl::InfiniteFuture());

 private:
  class State;
  explicit PublishStream(std::shared_ptr<State> state);

  const std::shared_ptr<State> state_;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_PUBLISH_STREAM_H_
