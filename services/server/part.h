#ifndef QASINO_SERVICES_SERVER_PART_H_
#define QASINO_SERVICES_SERVER_PART_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace grpc {
class Service;
}

namespace qasino::server {

// A part of Qasino that a process runs: a service, or an adapter with doors of its
// own. Each says when it can do its job, and can be asked to finish.
//
// The process owns nothing of a part; a part outlives the Process it is given to.
// All functions may be called from any thread.
class Part {
 public:
  virtual ~Part() = default;

  // "ingest", "http": in logs and in the lines that name addresses.
  virtual std::string_view name() const = 0;

  // OK when the part can do its job; else what it waits for, in words for the
  // operator who reads /readyz.
  virtual absl::Status Ready() const = 0;

  // Refuses new work with UNAVAILABLE, finishes what runs, hands on what it holds,
  // and ends its streams. Returns when done, and at the deadline at the latest.
  virtual void Drain(absl::Time deadline) = 0;
};

// A part that offers a gRPC service: ingest, store or query.
class ServicePart : public Part {
 public:
  // The service's full name in grpc.health.v1, e.g. "qasino.v1.Ingest".
  virtual std::string_view service_name() const = 0;

  virtual grpc::Service& service() = 0;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_PART_H_
