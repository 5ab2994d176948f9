#ifndef QASINO_SERVICES_STORE_STORE_H_
#define QASINO_SERVICES_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/server/part.h"

namespace prometheus {
class Registry;
}

namespace qasino::store {

class FileSystem;

struct StoreOptions {
  // --data-dir: everything that the store keeps; made if need be.
  std::string data_dir = "qasino-data";
  // --retain: how many announced generations are kept. 1 to 1000.
  int64_t retain = 10;
  // --max-shard-size: the bytes of one shard. At least 1.
  int64_t max_shard_bytes = int64_t{4} << 30;
  // --max-static-size and --max-persistent-size: what all tables of the kind may take in
  // memory. 1 byte to 1 GiB, for a shard of them must be less than SQLite's 2 GiB.
  int64_t max_static_bytes = 256 << 20;
  int64_t max_persistent_bytes = int64_t{1} << 30;
  // --archive-dir: where snapshots are kept for good; empty: nowhere.
  std::string archive_dir;
  // --completeness-wait: how long a generation waits, after its first shard, for the
  // ingest processes that are expected. Not negative.
  absl::Duration completeness_wait = absl::Seconds(2);
  // --max-clock-skew: how far ahead of this store's clock a generation may begin; shards
  // of later ones are refused. 0 to 24 hours.
  absl::Duration max_clock_skew = absl::Minutes(10);

  // How often watchers are told that the watch lives, and a failed disk is tried again.
  absl::Duration progress_interval = absl::Seconds(5);
  // A peer that neither sends nor takes anything for so long is given up; watchers
  // that read are never.
  absl::Duration idle_limit = absl::Seconds(60);
  // At the same time; more are refused with RESOURCE_EXHAUSTED.
  int64_t max_puts = 64;
  int64_t max_gets = 256;
  int64_t max_watches = 1'000;
  // Changes of tables that wait, and the memory that they take.
  int64_t max_changes = 10'000;
  int64_t max_changing_bytes = 256 << 20;
  // Threads that read and write files.
  int64_t worker_threads = 4;

  // For tests; null: the system's own. `clock` is the time of day, for what is
  // written down; `steady_clock` never steps and serves for waiting. `files` must
  // outlive the part.
  FileSystem* files = nullptr;
  std::function<absl::Time()> clock;
  std::function<absl::Time()> steady_clock;
};

// The snapshot store as a part of a process; serves qasino.v1.SnapshotStore.
//
// What was acknowledged survives a crash of the process and of the machine. A second
// store on the same data folder is refused. Ready while the disk takes what is
// written; while it does not, what is held is still served.
class StorePart : public server::ServicePart {
 public:
  // Recovers what the data folder holds, which takes as long as reading all of it.
  // INVALID_ARGUMENT names the option that is out of range; other errors name the
  // path. `metrics` must outlive the part.
  static absl::StatusOr<std::unique_ptr<StorePart>> Create(const StoreOptions& options,
                                                           prometheus::Registry& metrics);

  // After the server that ran the service has been shut down.
  ~StorePart() override;

  std::string_view name() const override { return "store"; }
  std::string_view service_name() const override { return "qasino.v1.SnapshotStore"; }
  grpc::Service& service() override;
  absl::Status Ready() const override;

  // Watches end at once with UNAVAILABLE; puts, gets and changes of tables may finish until
  // the deadline and are then broken off. Then the newest snapshot is archived, and what
  // waits to be, until the deadline.
  void Drain(absl::Time deadline) override;

  // Looks at the clocks anew, as tests do that set them.
  void Wake();

 private:
  struct State;
  explicit StorePart(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_STORE_H_
