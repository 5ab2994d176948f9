#ifndef QASINO_ADAPTERS_ZMQ_LOAD_H_
#define QASINO_ADAPTERS_ZMQ_LOAD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace qasino::zeromq {

// Bounds what the requests in the adapter take, from their arrival until their answers
// have left it: in all, and for each client, so that one that asks and never reads cannot
// shut the others out.
//
// It outlives its leases. Thread-safe.
class Load {
 public:
  struct Limits {
    int64_t requests;
    int64_t bytes;
    int64_t requests_per_client;
    int64_t bytes_per_client;
  };

 private:
  struct Held {
    int64_t requests = 0;
    int64_t bytes = 0;
  };
  using Clients = std::map<std::string, Held, std::less<>>;

 public:
  // The place of one request; given back with the object. One thread at a time.
  class Lease {
   public:
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // Takes so many bytes more. RESOURCE_EXHAUSTED, and none are taken, when that is over
    // a limit, which the message tells.
    absl::Status Grow(int64_t bytes);
    // Holds so many bytes instead, whatever the limits.
    void Resize(int64_t bytes);

   private:
    friend class Load;
    Lease(Load* load, Clients::iterator client, int64_t bytes)
        : load_(load), client_(client), bytes_(bytes) {}

    Load* const load_;
    const Clients::iterator client_;
    int64_t bytes_;
  };

  explicit Load(const Limits& limits) : limits_(limits) {}
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // A place for a request of so many bytes; RESOURCE_EXHAUSTED when there is none.
  absl::StatusOr<std::unique_ptr<Lease>> Admit(std::string_view client, int64_t bytes)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Waits until there is no lease. False: there was one still at the deadline.
  bool WaitUntilIdle(absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // `client`: nothing held by it is null.
  absl::Status Check(const Held* client, int64_t requests, int64_t bytes) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool IsIdle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return all_.requests == 0; }

  const Limits limits_;

  absl::Mutex mu_;
  Held all_ ABSL_GUARDED_BY(mu_);
  // Those that have leases.
  Clients clients_ ABSL_GUARDED_BY(mu_);
};

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_LOAD_H_
