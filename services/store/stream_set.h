#ifndef QASINO_SERVICES_STORE_STREAM_SET_H_
#define QASINO_SERVICES_STORE_STREAM_SET_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace qasino::store {

// A call that lasts: a put, a get, a watch. Thread-safe.
class Stream {
 public:
  virtual ~Stream() = default;
  // Called every few seconds, with the steady clock's time.
  virtual void Tick(absl::Time now) = 0;
  // The newest snapshot has changed.
  virtual void NewestChanged() {}
  // The store is stopping: end in order, as soon as may be.
  virtual void End() {}
  // End now, whatever state it is in.
  virtual void Abort() = 0;
};

// The calls of one kind, of which there may be so many and no more. A stream is in it
// until it takes itself out, as the last act of its destructor: when the set is empty
// nothing of its streams runs any more. Thread-safe; no stream is called with a lock
// held.
class StreamSet {
 public:
  // `what` names the kind in errors: "puts".
  StreamSet(std::string what, size_t limit);

  // RESOURCE_EXHAUSTED when there are too many, UNAVAILABLE after Close.
  absl::Status Add(const std::shared_ptr<Stream>& stream);
  // Does nothing for a stream that was not added.
  void Remove(const Stream* stream);
  // From now on none are added.
  void Close();

  std::vector<std::shared_ptr<Stream>> All() const;
  size_t size() const;
  // Waits until none is left; false when some are at the deadline.
  bool AwaitEmpty(absl::Time deadline) const;

 private:
  const std::string what_;
  const size_t limit_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<const Stream*, std::weak_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_STREAM_SET_H_
