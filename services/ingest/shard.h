#ifndef QASINO_SERVICES_INGEST_SHARD_H_
#define QASINO_SERVICES_INGEST_SHARD_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::ingest {

// A shard as it goes to the store. Copies share the bytes.
struct SealedShard {
  v1::ShardInfo info;
  // info.size_bytes of them, kept alive by `owner`.
  std::string_view bytes;
  std::shared_ptr<const void> owner;
};

// What a publish did to a shard.
struct PublishEffect {
  // The identity had published this table before; nothing changed.
  bool duplicate = false;
  // Rows added, and rows that an `update` changed, which count as often as they were.
  int64_t rows = 0;
  int64_t changed = 0;
};

// The tables of one generation, while they are collected. How they are kept, and in what
// format they are sealed, is the implementation's choice.
//
//   for (...) shard->Publish(publish, clock.Now());
//   absl::StatusOr<SealedShard> sealed = shard->Seal();   // perhaps on another thread
//
// Used by one thread at a time.
class Shard {
 public:
  virtual ~Shard() = default;

  // Adds a publish that passed ValidatePublish, or changes what is here where it has
  // `update`; whole or not at all. `persist` and `static` are not looked at.
  // RESOURCE_EXHAUSTED names the limit that it would pass; any other error means that the
  // shard is broken and stays so.
  virtual absl::StatusOr<PublishEffect> Publish(const v1::PublishRequest& publish,
                                                absl::Time now) = 0;

  // The publish's identity has published its table before, with `update` or without.
  virtual bool IsPublished(const v1::PublishRequest& publish) const = 0;

  // The shard as it is now, as a copy. Of `info`, what the shard itself knows is set: format,
  // size, checksum, tables, publishers.
  virtual absl::StatusOr<SealedShard> Copy() = 0;

  // The same for good: the shard's memory is freed, and only the destructor may follow.
  virtual absl::StatusOr<SealedShard> Seal() = 0;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_SHARD_H_
