#ifndef QASINO_SERVICES_INGEST_INGEST_SERVICE_H_
#define QASINO_SERVICES_INGEST_INGEST_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "services/ingest/clock.h"
#include "services/ingest/collector.h"
#include "services/ingest/limits.h"
#include "services/ingest/metrics.h"

namespace grpc {
class Service;
}

namespace qasino::ingest {

// The gRPC service qasino.v1.Ingest in front of a Collector. Nothing in it waits: a call is
// taken up again when the collector answers or the transport is ready, on their threads.
//
// Publishes are validated on the thread that received them, so that the writer spends its
// time on rows. A PublishStream hands a whole message at a time to the collector, has
// several under way, reads no further while too many publishes have no result, and writes the
// results that are ready as one message. No message is parsed before the queue has room for
// it: a Publish is refused then, and a PublishStream keeps the message until there is, and
// reads no further.
//
// All functions may be called from any thread.
class IngestService {
 public:
  struct Options {
    std::string identity;
    absl::Duration generation_duration;
    // A reader of the running shard that takes nothing for so long, by the machine's clock, is
    // cancelled.
    absl::Duration reader_timeout = absl::Seconds(60);
    Limits limits;
  };

  // All outlive it.
  IngestService(const Options& options, Collector& collector, Clock& clock, Metrics& metrics);
  // After the gRPC server that it was registered with is gone.
  ~IngestService();
  IngestService(const IngestService&) = delete;
  IngestService& operator=(const IngestService&) = delete;

  grpc::Service& service();

  // Tells the watchers of a generation that began.
  void Announce(int64_t generation);

  // Refuses calls with UNAVAILABLE from now on. Watches end; a PublishStream reads no
  // further and ends after its last result.
  void Stop();

  // Waits until no stream is left. False when the deadline, of the machine's clock, is first.
  bool AwaitEnd(absl::Time deadline);

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_INGEST_SERVICE_H_
