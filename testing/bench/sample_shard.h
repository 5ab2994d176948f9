#ifndef QASINO_TESTING_BENCH_SAMPLE_SHARD_H_
#define QASINO_TESTING_BENCH_SAMPLE_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "qasino/v1/ingest.pb.h"
#include "services/ingest/shard.h"

namespace qasino::bench {

// A shard such as ingest collects into. Ends the program with a message when there is none.
std::unique_ptr<ingest::Shard> OpenShard();

// Publishes sample tables into a shard, each from an identity of its own, as ingest does once
// it has parsed and validated them. What is published is made beforehand.
class SamplePublishes {
 public:
  SamplePublishes(const std::string& table, int rows);

  // `publishes` of them. Ends the program with a message when one is refused.
  void AddTo(ingest::Shard& shard, int publishes);

 private:
  std::vector<v1::PublishRequest> requests_;
};

// Seals it. Ends the program with a message when that fails, or when it has not so many rows.
ingest::SealedShard Seal(ingest::Shard& shard, int64_t rows);

}  // namespace qasino::bench

#endif  // QASINO_TESTING_BENCH_SAMPLE_SHARD_H_
