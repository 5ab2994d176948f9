#include "services/merge/fake_shard.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <utility>

namespace qasino::merge {

FakeShard::FakeShard(std::string shard_id, int64_t generation)
    : database_(*sqlite::Database::OpenInMemory()) {
  info_.set_shard_id(std::move(shard_id));
  info_.set_identity("server");
  info_.set_ingest_id(info_.shard_id());
  info_.set_generation(generation);
  info_.mutable_duration()->set_seconds(30);
  info_.set_kind(v1::COLLECTED);
  info_.set_format(v1::SQLITE3);
  info_.mutable_counts()->set_inserts_received(1);
  EXPECT_TRUE(database_
                  .Execute("CREATE TABLE qasino_server_publishes (tablename TEXT, identity TEXT, "
                           "first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
                           "last_update_epoch REAL)")
                  .ok());
}

FakeShard& FakeShard::Table(const std::string& name, const std::vector<std::string>& columns) {
  v1::TableInfo& table = *info_.add_tables();
  table.set_name(name);
  std::string sql;
  for (const std::string& column : columns) {
    const size_t blank = column.find(' ');
    v1::ColumnInfo& added = *table.add_columns();
    added.set_name(column.substr(0, blank));
    v1::ColumnType type = v1::COLUMN_TYPE_UNSPECIFIED;
    EXPECT_TRUE(v1::ColumnType_Parse(column.substr(blank + 1), &type));
    added.set_type(type);
    sql += fmt::format("{}{} {}", sql.empty() ? "" : ", ", sqlite::QuoteName(added.name()),
                       column.substr(blank + 1));
  }
  EXPECT_TRUE(
      database_.Execute(fmt::format("CREATE TABLE {} ({})", sqlite::QuoteName(name), sql)).ok());
  return *this;
}

v1::TableInfo& FakeShard::Info(const std::string& name) {
  for (v1::TableInfo& table : *info_.mutable_tables()) {
    if (table.name() == name) return table;
  }
  ADD_FAILURE() << "no table " << name;
  return *info_.add_tables();
}

FakeShard& FakeShard::Publish(const std::string& identity, const std::string& name,
                              const std::vector<std::string>& rows) {
  v1::TableInfo& table = Info(name);
  const int64_t first = table.rows() + 1;
  for (const std::string& row : rows) {
    const absl::Status status =
        database_.Execute(fmt::format("INSERT INTO {} VALUES ({})", sqlite::QuoteName(name), row));
    EXPECT_TRUE(status.ok()) << status;
  }
  table.set_rows(table.rows() + static_cast<int64_t>(rows.size()));
  table.set_updates(table.updates() + 1);
  table.mutable_last_update()->set_seconds(info_.generation() + 1);
  EXPECT_TRUE(
      database_
          .Execute(fmt::format("INSERT INTO qasino_server_publishes VALUES ({}, {}, {}, {}, 1, {})",
                               sqlite::QuoteText(name), sqlite::QuoteText(identity), first,
                               rows.size(), info_.generation() + 1))
          .ok());
  info_.set_publishers(++publishers_);
  return *this;
}

FakeShard& FakeShard::Kind(v1::ShardKind kind) {
  info_.set_kind(kind);
  return *this;
}

FakeShard& FakeShard::Anonymous() {
  info_.clear_identity();
  info_.clear_ingest_id();
  info_.clear_counts();
  return *this;
}

FakeShard& FakeShard::Updated(const std::string& name) {
  Info(name).set_updated(true);
  return *this;
}

std::shared_ptr<const ShardImage> FakeShard::Seal() {
  const sqlite::Image image = *database_.Serialize();
  auto shard = std::make_shared<ShardImage>();
  info_.set_size_bytes(image.size());
  info_.set_xxh3(XXH3_64bits(image.view().data(), image.size()));
  info_.mutable_sealed_at()->set_seconds(info_.generation() + 30);
  shard->info = info_;
  shard->bytes.reset(new char[image.size()]);
  std::memcpy(shard->bytes.get(), image.view().data(), image.size());
  return shard;
}

v1::Manifest ManifestOf(int64_t generation,
                        const std::vector<std::shared_ptr<const ShardImage>>& shards) {
  v1::Manifest manifest;
  manifest.set_store_id("store");
  manifest.set_generation(generation);
  manifest.mutable_duration()->set_seconds(30);
  manifest.set_revision(1);
  manifest.set_complete(true);
  manifest.mutable_committed_at()->set_seconds(generation + 31);
  for (const auto& shard : shards) *manifest.add_shards() = shard->info;
  return manifest;
}

}  // namespace qasino::merge
