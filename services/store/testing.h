#ifndef QASINO_SERVICES_STORE_TESTING_H_
#define QASINO_SERVICES_STORE_TESTING_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "qasino/v1/snapshot.pb.h"
#include "services/store/checksum.h"

// What the store's tests share.
namespace qasino::store {

// An empty folder of the running test's own.
inline std::string NewTestFolder() {
  static int next = 0;
  const std::string path = ::testing::TempDir() + "/store-test-" +
                           ::testing::UnitTest::GetInstance()->current_test_info()->name() + "-" +
                           std::to_string(next++);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

inline std::string ReadTestFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

inline void WriteTestFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The info of a shard with these bytes, as the ingest process `ingest` would seal it;
// its identity is "host-" and that name.
inline v1::ShardInfo TestShard(int64_t generation, const std::string& ingest,
                               const std::string& bytes = "bytes", bool last = false) {
  v1::ShardInfo info;
  info.set_shard_id(ingest + "-" + std::to_string(generation));
  info.set_generation(generation);
  info.mutable_duration()->set_seconds(30);
  info.set_kind(v1::COLLECTED);
  info.set_format(v1::SQLITE3);
  info.set_size_bytes(bytes.size());
  info.set_xxh3(Checksum::Of(bytes));
  info.set_ingest_id("id-" + ingest);
  info.set_identity("host-" + ingest);
  info.set_last(last);
  v1::TableInfo& table = *info.add_tables();
  table.set_name("cpu");
  v1::ColumnInfo& column = *table.add_columns();
  column.set_name("load");
  column.set_type(v1::REAL);
  table.set_rows(3);
  return info;
}

// The info of a shard with these bytes as the store itself makes it.
inline v1::ShardInfo TestMadeShard(v1::ShardKind kind, const std::string& id,
                                   int64_t generation = 0, const std::string& bytes = "made") {
  v1::ShardInfo info;
  info.set_shard_id(id);
  info.set_generation(generation);
  info.set_kind(kind);
  info.set_format(v1::SQLITE3);
  info.set_size_bytes(bytes.size());
  info.set_xxh3(Checksum::Of(bytes));
  return info;
}

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_TESTING_H_
