#ifndef QASINO_SERVICES_INGEST_FAKE_STORE_H_
#define QASINO_SERVICES_INGEST_FAKE_STORE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "qasino/v1/snapshot.pb.h"

namespace grpc {
class Channel;
class Server;
}  // namespace grpc

namespace qasino::ingest {

// A shard that a FakeStore was given.
struct StoredShard {
  v1::ShardInfo info;
  std::string bytes;
};

// What a FakeStore was asked to keep, or to drop: one of the three is set.
struct KeptCall {
  std::optional<v1::PutStaticTableRequest> put_static;
  std::optional<v1::PutPersistentTableRequest> put_persistent;
  std::optional<v1::DropPersistentTableRequest> drop_persistent;
};

// A store for tests, behind a real port: it takes shards, answers what it is told to, and can
// go away and come back. Thread-safe.
class FakeStore {
 public:
  FakeStore();
  ~FakeStore();

  // A channel to it, also while it is away.
  std::shared_ptr<grpc::Channel> Channel() const;

  // Nobody listens on the port any more, until Return.
  void Leave();
  void Return();

  // The next puts are answered so, one after another; later ones with OK.
  void AnswerNext(absl::Status status);
  // Puts wait until this is undone.
  void Hold(bool hold);

  // The same for what it is to keep: puts of static and persistent tables, and drops. It keeps
  // nothing, and answers puts with the generation of SetKeptGeneration, if that is later than
  // theirs.
  void AnswerNextKept(absl::Status status);
  void HoldKept(bool hold);
  void SetKeptGeneration(int64_t generation);
  // The next put of a persistent table is answered as one that was there.
  void AnswerNextKeptAsDuplicate();
  // Waits until so many such calls have come, and returns them in the order of their arrival.
  std::vector<KeptCall> AwaitKept(size_t count);

  // What it tells of its newest manifest: 0, the empty snapshot, to begin with.
  void SetNewest(int64_t generation);

  // Waits until it holds `count` shards, and returns all of them in order of arrival.
  std::vector<StoredShard> Await(size_t count);
  // Waits until a shard marked `last` is there.
  std::vector<StoredShard> AwaitLast();
  // Waits until so many puts have been begun, whatever became of them.
  void AwaitPuts(int count);

 private:
  class Service;

  const std::unique_ptr<Service> service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_FAKE_STORE_H_
