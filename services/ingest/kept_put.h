#ifndef QASINO_SERVICES_INGEST_KEPT_PUT_H_
#define QASINO_SERVICES_INGEST_KEPT_PUT_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::ingest {

// A publish on its way to the store, which keeps the table: as a static one where it has
// `static`, else as a persistent one.
struct KeptPut {
  // Passed ValidatePublish; not owned, and lives until the answer.
  const v1::PublishRequest* publish = nullptr;
  // Of a persistent table: the generation that ran when it was published.
  int64_t generation = 0;
  // Of a persistent table: once it is put, it is carried no longer than for this generation.
  bool then_drop = false;
};

// What became of it.
struct KeptAnswer {
  // UNAVAILABLE where the store is away, which does not tell whether it has taken the put; else
  // the store's own error.
  absl::Status status;
  // As in PublishResponse.
  int64_t generation = 0;
  bool duplicate = false;
};

using KeptDone = std::function<void(KeptAnswer)>;

// Hands a put to the store. `done` is called once, on any thread, and perhaps before this
// returns. Puts of one table and identity are made in the order in which they came.
using ForwardKept = std::function<void(const KeptPut& put, KeptDone done)>;

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_KEPT_PUT_H_
