#ifndef QASINO_SERVICES_INGEST_SHARD_FIXTURE_H_
#define QASINO_SERVICES_INGEST_SHARD_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/ingest/paged_shard.h"
#include "services/ingest/validate.h"
#include "services/sqlite/database.h"

// What the tests of the shard share.
namespace qasino::ingest {

inline constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

// Columns of one type, and publishes of them, which are valid.
inline v1::Column Integers(const std::string& name, std::initializer_list<int64_t> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::INTEGER);
  for (const int64_t cell : cells) column.add_integers(cell);
  return column;
}

inline v1::Column Reals(const std::string& name, std::initializer_list<double> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::REAL);
  for (const double cell : cells) column.add_reals(cell);
  return column;
}

inline v1::Column Texts(const std::string& name, std::initializer_list<std::string> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::TEXT);
  for (const std::string& cell : cells) column.add_texts(cell);
  return column;
}

inline v1::PublishRequest Publish(const std::string& identity, const std::string& table,
                                  std::initializer_list<v1::Column> columns) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.mutable_table()->set_name(table);
  for (const v1::Column& column : columns) *publish.mutable_table()->add_columns() = column;
  EXPECT_EQ(ValidatePublish(publish, 0, {}), absl::OkStatus());
  return publish;
}

inline v1::PublishRequest Update(const std::string& identity, const std::string& table,
                                 std::initializer_list<v1::Column> columns,
                                 std::initializer_list<std::string> keys = {}) {
  v1::PublishRequest publish = Publish(identity, table, columns);
  publish.set_update(true);
  for (const std::string& key : keys) publish.add_keycols(key);
  EXPECT_EQ(ValidatePublish(publish, 0, {}), absl::OkStatus());
  return publish;
}

// A shard under test, and what it was sealed into.
class ShardTest : public ::testing::Test {
 protected:
  void Open(const Limits& limits = {}) {
    auto shard = OpenPagedShard(limits);
    ASSERT_TRUE(shard.ok()) << shard.status();
    shard_ = std::move(*shard);
  }
  void SetUp() override { Open(); }

  // Rows added, or -1 for a duplicate.
  int64_t Add(const v1::PublishRequest& publish, absl::Time now = kNow) {
    const auto effect = shard_->Publish(publish, now);
    EXPECT_TRUE(effect.ok()) << effect.status();
    if (!effect.ok()) return -2;
    return effect->duplicate ? -1 : effect->rows;
  }

  // "added+changed".
  std::string Change(const v1::PublishRequest& publish, absl::Time now = kNow) {
    const auto effect = shard_->Publish(publish, now);
    EXPECT_TRUE(effect.ok()) << effect.status();
    if (!effect.ok()) return "";
    EXPECT_FALSE(effect->duplicate);
    return absl::StrCat(effect->rows, "+", effect->changed);
  }

  std::string Refusal(const v1::PublishRequest& publish) {
    const auto effect = shard_->Publish(publish, kNow);
    EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
    return std::string(effect.status().message());
  }

  void Seal() {
    auto sealed = shard_->Seal();
    ASSERT_TRUE(sealed.ok()) << sealed.status();
    Read(std::move(*sealed));
  }

  void Read(SealedShard sealed) {
    reader_ = {};
    sealed_ = std::move(sealed);
    auto reader = sqlite::Database::OpenInMemory();
    ASSERT_TRUE(reader.ok());
    reader_ = std::move(*reader);
    ASSERT_TRUE(reader_.ReadFrom("main", sealed_.bytes).ok());
    EXPECT_THAT(Rows("PRAGMA integrity_check"), ::testing::ElementsAre("ok"));
    EXPECT_EQ(sealed_.info.size_bytes(), sealed_.bytes.size());
    EXPECT_EQ(sealed_.info.xxh3(), XXH3_64bits(sealed_.bytes.data(), sealed_.bytes.size()));
    EXPECT_EQ(sealed_.info.format(), v1::SQLITE3);
  }

  // A row as "a|b"; NULL is "NULL".
  static std::vector<std::string> RowsOf(sqlite::Database& database, const std::string& sql) {
    auto statement = database.Prepare(sql);
    EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
    std::vector<std::string> rows;
    if (!statement.ok()) return rows;
    while (true) {
      const auto more = statement->Step();
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) return rows;
      std::vector<std::string> cells;
      for (int i = 0; i < statement->ColumnCount(); ++i) {
        const bool null = sqlite3_column_type(statement->get(), i) == SQLITE_NULL;
        cells.push_back(null ? "NULL" : std::string(statement->Text(i)));
      }
      rows.push_back(absl::StrJoin(cells, "|"));
    }
  }
  std::vector<std::string> Rows(const std::string& sql) { return RowsOf(reader_, sql); }

  std::unique_ptr<Shard> shard_;
  SealedShard sealed_;
  sqlite::Database reader_;
};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_SHARD_FIXTURE_H_
