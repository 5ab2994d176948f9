#ifndef QASINO_SERVICES_STORE_CATALOGUE_H_
#define QASINO_SERVICES_STORE_CATALOGUE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::store {

// What the store holds, and what follows from it: which generation is to be
// announced, in which revision, how complete it is, and which are to go. It knows
// neither disk nor network nor clock; times are what its caller says, and only
// their differences matter.
//
// A generation's state is its Manifest. While the generation waits for the shards of
// other ingest processes it is held but not announced, and its revision is 0.
//
// The rules:
//  - Expected in a generation are the ingest processes (by ingest_id) that handed in
//    a shard for the newest earlier generation and did not say `last`; if that one
//    still waits itself, those that it expects as well.
//  - A generation's first revision is due when every expected process has handed in,
//    or `completeness_wait` after the first shard that was sealed at its end. The
//    manifest then says who is missing. Each later shard makes a new revision, and
//    ends the waiting for its sender.
//  - Generations that wait are announced oldest first, so that each has what is carried at
//    its end: the first revision of one is due as soon as that of a later one is, and
//    not due while an older one waits. What the older one lacks comes late, if at all.
//  - A process that stops hands in its `last` shard before the generation's end. Such
//    shards alone are not announced until `completeness_wait` after that end: what
//    they lack may still be collected, by the others or by the process's successor.
//  - Newest is the highest generation announced. Shards of older ones make new
//    revisions of these, and change nothing about which is newest.
//  - The `retain` highest announced generations stay, and what waits beside them;
//    older ones are retired, and shards for such are refused.
//  - Shards are merged in the order of (identity, sealed_at, shard_id): a disputed
//    column is decided the same way in every generation, and what came to a process
//    counts before what came to its successor.
//  - What the store makes itself, at most one shard of persistent tables and one of
//    static ones, comes first and last. Nobody waits for these, and nothing but the
//    revision follows from them. An announced generation always has those of its last
//    Update.
//  - Generation 0 is the snapshot before the first: it has static tables alone, counts
//    for no generation that is held, and goes when one is announced.
//
// A value: copying costs little, for manifests are shared. The store changes a copy,
// writes what came of it to the disk, and then puts the copy in the original's place;
// if the disk fails, nothing has happened. Const functions are thread-safe.
class Catalogue {
 public:
  struct Options {
    std::string store_id;
    int retain = 10;
    absl::Duration completeness_wait = absl::Seconds(2);
    size_t max_shards = 1'000;             // of one generation
    size_t max_manifest_bytes = 48 << 20;  // must fit in one gRPC message
    int max_waiting = 64;                  // generations held but not announced
  };
  using ManifestPtr = std::shared_ptr<const v1::Manifest>;

  explicit Catalogue(const Options& options);

  // Takes in a manifest found on the disk at start-up, oldest first. `lost` are the
  // identities of shards that were in it and are gone: it is then a new revision,
  // incomplete, to be written again; `made_lost`, that one of the store's own is gone,
  // makes a new revision too. `now` starts the wait of one that waits, and `until_end`
  // is how long its generation still lasts by the clock on the wall.
  void Restore(v1::Manifest manifest, const std::vector<std::string>& lost, absl::Time now,
               absl::Duration until_end = absl::ZeroDuration(), bool made_lost = false);

  // Whether a shard would be taken in: true when it is held already. Errors as in
  // SnapshotStore.PutShard.
  absl::StatusOr<bool> Admit(const v1::ShardInfo& info) const;

  // Takes in a shard that Admit gave false for. Follow it by Update, once for all the
  // shards of a generation that came together. `until_end` is as for Restore; not
  // more than the generation's duration is believed.
  void Add(const v1::ShardInfo& info, absl::Time now,
           absl::Duration until_end = absl::ZeroDuration());

  // Whether Update would announce the generation, or has: then give it the shards that the
  // store makes first.
  bool IsAnnouncedBy(int64_t generation, absl::Time now) const;

  // Replaces the store's own shards of a generation that is announced, or is about to be, or
  // is 0. Follow it by Update. Returns those whose files nobody needs once the manifest is
  // written. The shards of the revision before are kept: a reader may just be coming for
  // them.
  std::vector<v1::ShardInfo> SetMade(int64_t generation, const std::vector<v1::ShardInfo>& made);

  // Settles a generation after Add or SetMade: a new revision of an announced one, the first of
  // one that is due, or still waiting. `committed_at` is the wall clock's time, for
  // the manifest. Returns the manifest, which is to be written.
  ManifestPtr Update(int64_t generation, absl::Time now, absl::Time committed_at);

  // The oldest waiting generation whose first revision is due; nothing if none is.
  // Follow it by Update.
  std::optional<int64_t> Due(absl::Time now) const;

  // When Due should be asked again at the latest; infinite if nothing waits.
  absl::Time NextDue() const;

  // Drops what is older than the generations to retain; returns their numbers.
  std::vector<int64_t> Retire();

  // The newest snapshot; the empty one when nothing was announced yet.
  ManifestPtr newest() const { return newest_; }

  // The oldest generation announced and held; 0: none.
  int64_t oldest() const;

  // A generation's newest revision; null if it is not held or not announced.
  ManifestPtr Find(int64_t generation) const;

  // A generation's manifest as it was last settled, announced or not; null if not held.
  ManifestPtr Held(int64_t generation) const;

  // A shard's info, which lives as long as the manifest beside it; null if not held.
  // Shards of waiting generations are found too, and the store's own of the revision before.
  struct HeldShard {
    ManifestPtr manifest;
    const v1::ShardInfo* info = nullptr;
  };
  HeldShard FindShard(int64_t generation, const std::string& shard_id) const;

  // The newest generation and those that wait, oldest first.
  std::vector<int64_t> Unfinished() const;

  // All announced generations, newest first.
  std::vector<ManifestPtr> List() const;

  // Generations held, waiting ones too, and the bytes of their shards.
  size_t held_generations() const { return generations_.size() - generations_.count(0); }
  uint64_t held_bytes() const;

 private:
  struct Generation {
    ManifestPtr manifest;
    // Waited for: ingest_id to identity. In a waiting generation it is unused. After
    // a restart the id may be unknown; the key is then the identity behind a '/',
    // which no ingest_id has.
    std::map<std::string, std::string> missing;
    // Some process has sealed it at its end; else all its shards are `last` ones.
    bool ended = false;
    // When the wait for the others began: its end.
    absl::Time waits_since;
    size_t manifest_bytes = 0;
    // Has the store's own shards of the revision before; null when there are none.
    ManifestPtr superseded;
  };
  using Generations = std::map<int64_t, Generation>;

  // Ingest processes expected in `at` that have not handed in.
  std::map<std::string, std::string> Missing(Generations::const_iterator at) const;

  // The first revision is to be made now.
  bool IsDue(Generations::const_iterator at, absl::Time now) const;
  // It would be, were there no other generation.
  bool IsRipe(Generations::const_iterator at, absl::Time now) const;

  Options options_;
  Generations generations_;
  ManifestPtr newest_;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_CATALOGUE_H_
