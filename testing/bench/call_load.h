#ifndef QASINO_TESTING_BENCH_CALL_LOAD_H_
#define QASINO_TESTING_BENCH_CALL_LOAD_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace grpc {
class Channel;
class Status;
}  // namespace grpc

namespace qasino::bench {

// Keeps a number of calls in flight until a number of calls have ended, and takes the time.
// A slot is a place for one call: the calls of a slot follow one another.
//
//   class EchoLoad : public CallLoad { void Start(int64_t number, int slot) override; … };
//   EchoLoad load(…);
//   load.Run(/*calls=*/10000, /*in_flight=*/64);
//   return load.Print();
class CallLoad {
 public:
  virtual ~CallLoad() = default;

  // Returns when every call has ended. None begins after `most_seconds`. Once.
  void Run(int64_t calls, int in_flight,
           double most_seconds = std::numeric_limits<double>::infinity());

  // Prints {"calls": …, "seconds": …} on standard output and returns 0; or says on standard
  // error how a call failed and returns 1. After Run.
  int Print() const;

 protected:
  // Begins call `number`, from 0, in `slot`, and returns at once. From any thread.
  virtual void Start(int64_t number, int slot) = 0;

  // To be called once at the end of each call, from any thread; starts the slot's next one.
  void Done(int slot, const grpc::Status& status);

 private:
  double Elapsed() const;

  // Constant while calls run.
  int64_t calls_ = 0;
  double most_seconds_ = 0;
  std::chrono::steady_clock::time_point begin_;

  std::atomic<int64_t> next_ = 0;
  std::atomic<int64_t> ended_ = 0;
  double seconds_ = 0;

  mutable absl::Mutex mu_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;  // slots
  std::string first_error_ ABSL_GUARDED_BY(mu_);
};

// Connected channels to one target, each with a connection of its own. An empty result means
// that the target did not answer within 10 s, which was said on standard error.
std::vector<std::shared_ptr<grpc::Channel>> Connect(const std::string& target, int channels);

}  // namespace qasino::bench

#endif  // QASINO_TESTING_BENCH_CALL_LOAD_H_
