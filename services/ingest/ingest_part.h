#ifndef QASINO_SERVICES_INGEST_INGEST_PART_H_
#define QASINO_SERVICES_INGEST_INGEST_PART_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/ingest/clock.h"
#include "services/ingest/limits.h"
#include "services/server/part.h"

namespace grpc {
class Channel;
}
namespace prometheus {
class Registry;
}

namespace qasino::ingest {

struct IngestOptions {
  // Under which the server's internal tables are published; empty: the machine's name.
  std::string identity;
  // Whole seconds, 1 s to 1 day. Every ingest process of a store has the same.
  absl::Duration generation_duration = absl::Seconds(30);
  // A reader of the running shard that takes nothing for so long is given up. More than 0.
  absl::Duration reader_timeout = absl::Seconds(60);
  // How long a publish with `persist` or `static` waits for the store. More than 0.
  absl::Duration store_timeout = absl::Seconds(10);
  Limits limits;
  // Not owned, outlives the part. Null: the machine's clock.
  Clock* clock = nullptr;
};

// The ingest part: the service qasino.v1.Ingest, the running generation's shard, and the
// handing in of sealed shards. It needs the store only to hand shards in and for what is
// published with `persist` or `static`, and is ready without it. At the start it asks the store for
// its newest generation, so that a clock that was put back while no process ran makes no number
// repeat or fall.
//
//   auto part = IngestPart::Create(options, store, process->metrics());
//   process->Serve(**part, port);
//
// A crash loses the running generation and the shards that the store has not yet taken;
// Drain loses neither while the store answers in time.
class IngestPart : public server::ServicePart {
 public:
  // Opens the running shard and begins the generation; waits a second, at the most, for the
  // store to tell its newest one, and without it goes by the clock. INVALID_ARGUMENT names an
  // option that is out of range. `metrics` outlives the part.
  static absl::StatusOr<std::unique_ptr<IngestPart>> Create(const IngestOptions& options,
                                                            std::shared_ptr<grpc::Channel> store,
                                                            prometheus::Registry& metrics);
  // After the gRPC server that its service was registered with is gone.
  ~IngestPart() override;

  std::string_view name() const override { return "ingest"; }
  std::string_view service_name() const override { return "qasino.v1.Ingest"; }
  grpc::Service& service() override;
  absl::Status Ready() const override;

  // Refuses new publishes, stores and answers what is queued, seals the running generation
  // as this process's last, hands in every shard that it holds, and ends all streams. What
  // could not be handed in at the deadline is logged and lost; publishes that the store has
  // not answered shortly before it are answered with UNAVAILABLE.
  void Drain(absl::Time deadline) override;

  // The running generation.
  int64_t generation() const;

 private:
  struct State;
  explicit IngestPart(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_INGEST_PART_H_
