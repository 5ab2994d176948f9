#include "adapters/zmq/answer_collector.h"

#include <fmt/format.h>

#include <atomic>
#include <utility>

#include "qasino/v1/query.pb.h"

namespace qasino::zeromq {
namespace {

// Lives for as long as a Read has its callback.
class Collector : public std::enable_shared_from_this<Collector> {
 public:
  Collector(std::shared_ptr<client::AsyncQuery> query, std::unique_ptr<legacy::ResultWriter> writer,
            int64_t max_bytes, GrowCallback grow, CollectedCallback done)
      : query_(std::move(query)),
        writer_(std::move(writer)),
        max_bytes_(max_bytes),
        grow_(std::move(grow)),
        done_(std::move(done)) {}

  // Reads on. A part that has come already is handed over within Read; the loop keeps such
  // parts from piling up on the stack.
  void Read() {
    const std::shared_ptr<Collector> self = shared_from_this();
    do {
      step_ = Step::kReading;
      query_->Read([self](const v1::QueryResponse* part) {
        const bool more = self->Take(part);
        if (!more) return;
        if (self->step_.exchange(Step::kTaken) == Step::kLeft) self->Read();
      });
    } while (step_.exchange(Step::kLeft) == Step::kTaken);
  }

 private:
  enum class Step {
    // Read was called and neither has come yet:
    kReading,
    // the callback; whoever comes second reads on,
    kTaken,
    // the return.
    kLeft,
  };

  // False: that was all.
  bool Take(const v1::QueryResponse* part) {
    if (part == nullptr) {
      const absl::Status status = query_->status();
      if (status.ok()) {
        done_(std::move(answer_));
      } else {
        done_(status);
      }
      return false;
    }
    const size_t before = answer_.size();
    writer_->Part(*part, &answer_);
    absl::Status status;
    if (static_cast<int64_t>(answer_.size()) > max_bytes_) {
      status = absl::ResourceExhaustedError(
          fmt::format("the answer is longer than {} bytes", max_bytes_));
    } else {
      status = grow_(static_cast<int64_t>(answer_.size() - before));
    }
    if (status.ok()) return true;
    query_->Cancel();
    done_(status);
    return false;
  }

  const std::shared_ptr<client::AsyncQuery> query_;
  const std::unique_ptr<legacy::ResultWriter> writer_;
  const int64_t max_bytes_;
  GrowCallback grow_;
  CollectedCallback done_;
  std::string answer_;
  std::atomic<Step> step_ = Step::kReading;
};

}  // namespace

void CollectAnswer(std::shared_ptr<client::AsyncQuery> query,
                   std::unique_ptr<legacy::ResultWriter> writer, int64_t max_bytes,
                   GrowCallback grow, CollectedCallback done) {
  std::make_shared<Collector>(std::move(query), std::move(writer), max_bytes, std::move(grow),
                              std::move(done))
      ->Read();
}

}  // namespace qasino::zeromq
