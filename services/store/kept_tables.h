#ifndef QASINO_SERVICES_STORE_KEPT_TABLES_H_
#define QASINO_SERVICES_STORE_KEPT_TABLES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/store/file_system.h"
#include "services/store/journal_record.pb.h"
#include "services/store/kept_limits.h"
#include "services/store/kept_shard.h"

namespace qasino::store {

// A table name in lower case, and an identity.
using Pair = std::pair<std::string, std::string>;

// The static and the persistent tables as they are now, in memory, with their journal on
// disk. A change is in the journal, and synced, before it is seen here; so what was
// answered OK is there after any crash.
//
// Persistent tables have a history of one generation: what is put for a generation that is
// not sealed yet waits, so that Persistent(g) is what was carried at the end of g. The
// journal keeps changes in the order of their arrival; what has a generation is applied in
// the order of generations.
//
// A change that came for a generation that is built already is applied at once, and is in
// what is built next.
//
// Used by one thread at a time.
class KeptTables {
 public:
  // Whether a shard that came in never got into a manifest.
  using IsLost = std::function<bool(int64_t generation, const std::string& shard_id)>;

  // Reads the journal; what cannot be read, or cannot be applied, is logged by name and
  // left out. The folder is locked by the caller. `built` is the newest generation whose
  // snapshot was announced: changes up to it are applied.
  static absl::StatusOr<std::unique_ptr<KeptTables>> Open(const std::string& data_dir,
                                                          const std::string& store_id,
                                                          FileSystem* files,
                                                          const KeptLimits& limits, int64_t built,
                                                          const IsLost& is_lost = nullptr);
  ~KeptTables();
  KeptTables(const KeptTables&) = delete;
  KeptTables& operator=(const KeptTables&) = delete;

  // One change, and what became of it.
  struct Change {
    // Exactly one of the four changes is set; its message was validated
    // (services/names, and as ValidatePublish does). Its time is now when it has none; the
    // rest is filled in.
    JournalRecord record;
    absl::Status status;
    // Of put_persistent: it was put for this generation already.
    bool duplicate = false;
  };
  // Makes the changes, in order, with one write to the disk for all that can be made. A
  // change that is refused (NOT_FOUND, RESOURCE_EXHAUSTED, INVALID_ARGUMENT) does not
  // hinder the others; when the disk fails, all that needed it have its error and nothing
  // has changed.
  void Apply(std::vector<Change>& changes);

  // The newest generation whose changes were applied for good. After Open it may be later than
  // the one that Open was told: the snapshot of that one was not announced, or is lost.
  int64_t built() const;

  // The journal was not whole, or not there at all: what is here may lack tables, or have them
  // as they were before.
  bool lost_some() const;

  // Some are carried or about to be.
  bool AnyPersistent() const;
  // The changes, to be given to Apply, that follow from these pairs having been published
  // without `persist` in that generation.
  std::vector<Change> EndedBy(int64_t generation, const std::vector<Pair>& published) const;

  // The static tables; nothing when there are none. The same shard (id and bytes) until
  // they change.
  absl::StatusOr<std::optional<KeptShard>> Static();

  // The persistent tables as they stood at the end of `generation`; nothing when there
  // are none. Changes up to `generation` are applied for good. The same shard until
  // something changes, and never one that was made for a later generation. Asked for an older
  // generation than built(), it answers with those pairs of the present state that were put
  // up to it, in a shard of its own.
  absl::StatusOr<std::optional<KeptShard>> Persistent(int64_t generation);

  // The persistent tables with all that waits; a shard of its own id each time.
  absl::StatusOr<std::optional<KeptShard>> Carried();

  // Bytes in memory, of the journal, and counts, for the metrics.
  struct Size {
    int64_t static_tables = 0;
    int64_t static_bytes = 0;
    int64_t persistent_pairs = 0;
    int64_t persistent_bytes = 0;
    int64_t journal_bytes = 0;
  };
  Size size() const;

 private:
  class State;
  explicit KeptTables(std::unique_ptr<State> state);
  const std::unique_ptr<State> state_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_KEPT_TABLES_H_
