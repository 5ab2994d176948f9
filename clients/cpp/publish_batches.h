#ifndef QASINO_CLIENTS_CPP_PUBLISH_BATCHES_H_
#define QASINO_CLIENTS_CPP_PUBLISH_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/publish_stream.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::client {

// The publishes of a PublishStream that have no result yet, in the order in which they
// were accepted, in batches: each the bytes of one message. The first batches have been
// sent over the stream that is up; results answer them in order.
//
// Functions hand back the callbacks that are due with what to tell them; the caller calls
// them without a lock. Not thread-safe.
class PublishBatches {
 public:
  struct Result {
    PublishStream::Callback callback;
    absl::StatusOr<v1::PublishResponse> response;
    uint32_t epoch;  // as in Append
  };
  using Results = std::vector<Result>;

  // A publish at which the stream breaks `attempts` times is given up.
  PublishBatches(const PublishStreamOptions& options, int64_t max_message_bytes, int attempts);

  bool empty() const { return batches_.empty(); }
  int64_t unanswered() const { return unanswered_; }
  int64_t unanswered_bytes() const { return unanswered_bytes_; }
  // Whether a publish of so many bytes may be accepted.
  bool HasRoom(int64_t bytes) const {
    return unanswered_ < options_.max_unanswered &&
           (unanswered_bytes_ + bytes <= options_.max_unanswered_bytes || unanswered_ == 0);
  }
  // No time limit ends before.
  absl::Time next_expiry() const { return next_expiry_; }

  // `bytes`: the publish as field `publishes` of a PublishStreamRequest. `epoch` comes back
  // with its result.
  void Append(std::string bytes, PublishStream::Callback callback, absl::Time deadline,
              uint32_t epoch);

  // The next message to send, which then counts as sent; none when there is nothing to
  // send or it is to grow first.
  std::shared_ptr<const std::string> TakeMessage();

  // Takes the next result that the stream brought. False: all that was sent has one.
  bool Answer(const v1::PublishResult& result, Results* due);

  // Those whose time limit has ended; they are told `why`.
  Results Expire(absl::Time now, const absl::Status& why);

  // The stream has ended, for `why`: what it did not answer is to be sent again, or is
  // given up where it is to blame.
  Results TakeBack(const absl::Status& why);

  // Gives up everything.
  Results GiveUpAll(const absl::Status& why);

 private:
  struct Entry {
    PublishStream::Callback callback;  // none: its time limit ended, and it was told so
    absl::Time deadline;
    uint32_t epoch;
    uint32_t end;  // where in the batch's bytes the next one begins
  };

  struct Batch {
    std::shared_ptr<std::string> bytes = std::make_shared<std::string>();
    std::vector<Entry> entries;
    size_t answered = 0;

    size_t begin(size_t entry) const { return entry == 0 ? 0 : entries[entry - 1].end; }
  };

  // Fails the callbacks of the first batches and drops these.
  Results GiveUp(size_t batches, const absl::Status& why);
  // Drops what needs no sending any more.
  void Shrink(Batch* batch);
  void Release(int64_t publishes, int64_t bytes) {
    unanswered_ -= publishes;
    unanswered_bytes_ -= bytes;
  }

  const PublishStreamOptions options_;
  const size_t max_batch_bytes_;
  const int attempts_;

  std::deque<Batch> batches_;
  size_t sent_ = 0;
  // The first so many batches are single publishes that are sent one by one, to find the
  // one at which the stream breaks.
  size_t single_ = 0;
  // How often in a row the stream broke at a single publish, which is then given up.
  int broken_at_single_ = 0;

  // Publishes in batches_ without a result, and their bytes.
  int64_t unanswered_ = 0;
  int64_t unanswered_bytes_ = 0;
  absl::Time next_expiry_ = absl::InfiniteFuture();
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_PUBLISH_BATCHES_H_
