#ifndef QASINO_SERVICES_INGEST_LIMITS_H_
#define QASINO_SERVICES_INGEST_LIMITS_H_

#include <cstdint>

namespace qasino::ingest {

// What one ingest process takes at the most. Past a limit a publish is refused whole, with
// RESOURCE_EXHAUSTED and a message that names the limit.
struct Limits {
  // Of one publish. Bytes are those of the message on the wire.
  int64_t rows_per_publish = 1'000'000;
  int64_t bytes_per_publish = 32 << 20;
  // Publishes in one message of a stream.
  int64_t publishes_per_message = 65'536;
  // What a message with its publishes may take once it is parsed, by an estimate from above; a
  // cell takes more there than on the wire.
  int64_t memory_per_message = 256 << 20;

  // Of one table, merged columns included. SQLite has no more.
  int64_t columns_per_table = 2'000;
  // Of one row as SQLite stores it.
  int64_t bytes_per_row = 32 << 20;

  // Of the running shard.
  int64_t tables_per_shard = 10'000;
  int64_t identities_per_shard = 1'000'000;
  // The names of all its tables and columns; they travel in one message, ShardInfo.
  int64_t catalogue_bytes = 8 << 20;
  // Its database, which is one block of memory.
  int64_t shard_bytes = int64_t{1536} << 20;
  // How long the writer may be busy with one `update`: rows that match many rows, many times,
  // make more work than their number tells.
  int64_t milliseconds_per_update = 2'000;

  // Parsed, and waiting for the writer or for their answers; bytes are those of the estimate.
  // Room is taken before a message is parsed, so that the sum of what is parsed is never more;
  // only a message that is larger than the whole queue has it alone. Where there is no room a
  // Publish is refused, and a PublishStream keeps its message as it came and reads no further.
  // What waits for the store's answer has at most half of it; past that, publishes with
  // `persist` or `static` are refused.
  int64_t queued_bytes = 256 << 20;
  int64_t queued_publishes = 1'000'000;
  // PublishStreams open at a time. Each has one message in memory, as it came or half of it, for
  // which there may be no room yet. So all of them take at the most `queued_bytes` (or
  // `memory_per_message`, where that is more), and this times the process's limit of a
  // message's size.
  int64_t streams = 1'024;

  // Sealed shards that wait for the store; the oldest is dropped first. One shard is
  // always kept, however large.
  int64_t backlog_bytes = int64_t{1} << 30;
  int64_t backlog_shards = 64;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_LIMITS_H_
