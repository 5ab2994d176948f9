#include "services/ingest/sqlite_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/ingest/validate.h"
#include "services/sqlite/database.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

v1::Column Integers(const std::string& name, std::initializer_list<int64_t> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::INTEGER);
  for (const int64_t cell : cells) column.add_integers(cell);
  return column;
}

v1::Column Reals(const std::string& name, std::initializer_list<double> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::REAL);
  for (const double cell : cells) column.add_reals(cell);
  return column;
}

v1::Column Texts(const std::string& name, std::initializer_list<std::string> cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(v1::TEXT);
  for (const std::string& cell : cells) column.add_texts(cell);
  return column;
}

// All kinds of cell, in a column of the type.
v1::Column Mixed(const std::string& name, v1::ColumnType type) {
  v1::Column column;
  column.set_name(name);
  column.set_type(type);
  column.set_kinds(std::string("\0\1\2\2\3\3\3\4\1\2", 10));
  column.add_integers(7);
  column.add_integers(std::numeric_limits<int64_t>::min());
  column.add_reals(2.0);
  column.add_reals(2.5);
  column.add_reals(std::nan(""));
  column.add_texts("12");
  column.add_texts("1.50");
  column.add_texts(std::string("a\0b", 3));
  column.add_blobs("\x01\xff");
  return column;
}

v1::PublishRequest Publish(const std::string& identity, const std::string& table,
                           std::initializer_list<v1::Column> columns) {
  v1::PublishRequest publish;
  publish.set_identity(identity);
  publish.mutable_table()->set_name(table);
  for (const v1::Column& column : columns) *publish.mutable_table()->add_columns() = column;
  EXPECT_EQ(ValidatePublish(publish, 0, {}), absl::OkStatus());
  return publish;
}

v1::PublishRequest Update(const std::string& identity, const std::string& table,
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
    auto shard = OpenSqliteShard(limits);
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
    EXPECT_THAT(Rows("PRAGMA integrity_check"), ElementsAre("ok"));
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

TEST_F(ShardTest, AnEmptyOneSealsToo) {
  Seal();
  EXPECT_EQ(sealed_.info.publishers(), 0);
  EXPECT_EQ(sealed_.info.tables_size(), 0);
  EXPECT_THAT(Rows("SELECT * FROM qasino_server_publishes"), IsEmpty());
  EXPECT_THAT(Rows("SELECT name FROM pragma_table_info('qasino_server_publishes')"),
              ElementsAre("tablename", "identity", "first_rowid", "nr_rows", "nr_updates",
                          "last_update_epoch"));
}

TEST_F(ShardTest, MergesRowsOfOneTable) {
  EXPECT_EQ(Add(Publish("h1", "cpu", {Integers("a", {1, 2}), Texts("b", {"x", "y"})})), 2);
  EXPECT_EQ(Add(Publish("h2", "CPU", {Integers("A", {3}), Texts("B", {"z"})}),
                kNow + absl::Milliseconds(1500)),
            1);
  EXPECT_EQ(Add(Publish("h1", "other", {Integers("a", {})})), 0);
  Seal();
  EXPECT_THAT(Rows("SELECT rowid, * FROM cpu"), ElementsAre("1|1|x", "2|2|y", "3|3|z"));
  EXPECT_THAT(Rows("SELECT *, typeof(last_update_epoch) FROM qasino_server_publishes"),
              ElementsAre("cpu|h1|1|2|1|1700000000.0|real", "cpu|h2|3|1|1|1700000001.5|real",
                          "other|h1|1|0|1|1700000000.0|real"));
  EXPECT_EQ(sealed_.info.publishers(), 2);
  ASSERT_EQ(sealed_.info.tables_size(), 2);
  const v1::TableInfo& cpu = sealed_.info.tables(0);
  EXPECT_EQ(cpu.name(), "cpu");
  EXPECT_EQ(cpu.rows(), 3);
  EXPECT_EQ(cpu.updates(), 2);
  EXPECT_EQ(cpu.last_update().seconds(), 1'700'000'001);
  EXPECT_EQ(cpu.last_update().nanos(), 500'000'000);
  ASSERT_EQ(cpu.columns_size(), 2);
  EXPECT_EQ(cpu.columns(0).name(), "a");
  EXPECT_EQ(cpu.columns(1).type(), v1::TEXT);
  EXPECT_EQ(sealed_.info.tables(1).name(), "other");
  EXPECT_EQ(sealed_.info.tables(1).rows(), 0);
  EXPECT_EQ(sealed_.info.tables(1).updates(), 1);
}

TEST_F(ShardTest, SameTableAndIdentityCountsOnce) {
  EXPECT_EQ(Add(Publish("h1", "t", {Integers("a", {1})})), 1);
  EXPECT_EQ(Add(Publish("h1", "t", {Integers("a", {2}), Texts("more", {"x"})})), -1);
  EXPECT_EQ(Add(Publish("h1", "T", {Integers("a", {3})})), -1);
  EXPECT_EQ(Add(Publish("H1", "t", {Integers("a", {4})})), 1);
  EXPECT_EQ(Add(Publish("h2", "empty", {Integers("a", {})})), 0);
  EXPECT_EQ(Add(Publish("h2", "empty", {Integers("a", {1})})), -1);
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1", "4"));
  EXPECT_EQ(sealed_.info.tables(0).updates(), 2);
  EXPECT_EQ(sealed_.info.publishers(), 3);
}

TEST_F(ShardTest, ColumnsAreTheUnionInOrderOfFirstSight) {
  Add(Publish("h1", "t", {Integers("a", {1}), Integers("b", {2})}));
  Add(Publish("h2", "t", {Texts("z", {"zz"}), Integers("B", {3}), Reals("m", {1.5})}));
  Add(Publish("h3", "t", {Integers("b", {4})}));
  Add(Publish("h4", "t", {Integers("a", {5}), Integers("b", {6})}));
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"),
              ElementsAre("1|2|NULL|NULL", "NULL|3|zz|1.5", "NULL|4|NULL|NULL", "5|6|NULL|NULL"));
  EXPECT_THAT(Rows("SELECT name, type FROM pragma_table_info('t')"),
              ElementsAre("a|INTEGER", "b|INTEGER", "z|TEXT", "m|REAL"));
  EXPECT_EQ(sealed_.info.tables(0).columns_size(), 4);
}

TEST_F(ShardTest, AnyNameIsAName) {
  Add(Publish("h1", "select",
              {Integers("from", {1}), Integers("rowid", {9}), Integers("oid", {8}),
               Texts("where", {"x"})}));
  Add(Publish("h2", "SELECT", {Integers("group", {2}), Integers("rowid", {9})}));
  Seal();
  EXPECT_THAT(Rows("SELECT _rowid_, * FROM \"select\""),
              ElementsAre("1|1|9|8|x|NULL", "2|NULL|9|NULL|NULL|2"));
}

// Whatever the column's type, a cell is what an INSERT in SQLite would have made of it.
TEST_F(ShardTest, CellsAreStoredAsSqliteStoresThem) {
  const std::vector<std::string> literals = {"NULL",
                                             "7",
                                             "2.0",
                                             "2.5",
                                             "'12'",
                                             "'1.50'",
                                             "CAST(x'610062' AS TEXT)",
                                             "x'01ff'",
                                             "-9223372036854775808",
                                             "NULL"};
  auto plain = sqlite::Database::OpenInMemory();
  ASSERT_TRUE(plain.ok());
  for (const std::string type : {"INTEGER", "REAL", "TEXT", "BLOB"}) {
    v1::ColumnType number;
    ASSERT_TRUE(v1::ColumnType_Parse(type, &number));
    Add(Publish("h", absl::StrCat("t", type), {Mixed("c", number)}));
    ASSERT_TRUE(plain->Execute(absl::StrCat("CREATE TABLE t", type, "(c ", type, ")")).ok());
    for (const std::string& literal : literals) {
      ASSERT_TRUE(
          plain->Execute(absl::StrCat("INSERT INTO t", type, " VALUES(", literal, ")")).ok());
    }
  }
  Seal();
  for (const std::string type : {"INTEGER", "REAL", "TEXT", "BLOB"}) {
    const std::string sql = absl::StrCat("SELECT typeof(c), quote(c), length(c) FROM t", type);
    EXPECT_EQ(Rows(sql), RowsOf(*plain, sql)) << type;
  }
}

TEST_F(ShardTest, AColumnKeepsTheTypeThatCameFirst) {
  Add(Publish("h1", "t", {Integers("a", {1})}));
  Add(Publish("h2", "t", {Texts("a", {"2"})}));
  Add(Publish("h3", "t", {Texts("a", {"x"})}));
  Seal();
  EXPECT_THAT(Rows("SELECT a, typeof(a) FROM t"), ElementsAre("1|integer", "2|integer", "x|text"));
  EXPECT_EQ(sealed_.info.tables(0).columns(0).type(), v1::INTEGER);
}

TEST_F(ShardTest, WhatFailsHalfwayLeavesNothing) {
  Open({.bytes_per_row = 1000});
  const std::string large(2000, 'x');
  Add(Publish("h1", "t", {Texts("a", {"kept"})}));

  auto effect = shard_->Publish(Publish("h2", "t", {Texts("a", {"1", "2", large})}), kNow);
  EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(effect.status().message(), HasSubstr("table 't': row 3"));
  // New columns go too.
  effect = shard_->Publish(Publish("h2", "t", {Texts("a", {"1", large}), Texts("new", {"n", "n"})}),
                           kNow);
  EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted);
  // And a new table.
  effect = shard_->Publish(Publish("h3", "fresh", {Texts("a", {"1", large})}), kNow);
  EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted);

  // None of them counts as published.
  EXPECT_EQ(Add(Publish("h2", "t", {Texts("a", {"again"}), Integers("new", {5})})), 1);
  EXPECT_EQ(Add(Publish("h2", "second", {Texts("a", {"again"})})), 1);
  Seal();
  EXPECT_THAT(Rows("SELECT _rowid_, * FROM t"), ElementsAre("1|kept|NULL", "2|again|5"));
  EXPECT_THAT(Rows("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'qasino%'"),
              ElementsAre("t", "second"));
  EXPECT_THAT(Rows("SELECT name, type FROM pragma_table_info('t')"),
              ElementsAre("a|TEXT", "new|INTEGER"));
  EXPECT_THAT(Rows("SELECT tablename, identity, first_rowid, nr_rows FROM qasino_server_publishes"),
              ElementsAre("t|h1|1|1", "t|h2|2|1", "second|h2|1|1"));
  EXPECT_EQ(sealed_.info.publishers(), 2);
}

TEST_F(ShardTest, LimitsAreNamed) {
  Open({.columns_per_table = 3, .tables_per_shard = 2, .identities_per_shard = 2});
  Add(Publish("h1", "t", {Integers("a", {1}), Integers("b", {1})}));
  Add(Publish("h1", "u", {Integers("a", {1})}));
  const auto refusal = [&](const v1::PublishRequest& publish) {
    const auto effect = shard_->Publish(publish, kNow);
    EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
    return std::string(effect.status().message());
  };
  EXPECT_EQ(refusal(Publish("h2", "v", {Integers("a", {1})})),
            "table 'v': the generation has 2 tables already, which is the limit");
  EXPECT_EQ(refusal(Publish("h2", "t", {Integers("c", {1}), Integers("d", {1})})),
            "table 't': would have 4 columns together with those published before, over the limit "
            "of 3");
  EXPECT_EQ(Add(Publish("h2", "t", {Integers("c", {1}), Integers("a", {1})})), 1);
  EXPECT_EQ(refusal(Publish("h3", "t", {Integers("a", {1})})),
            "identity 'h3': the generation has 2 identities already, which is the limit");
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|1|NULL", "1|NULL|1"));
}

TEST_F(ShardTest, TheCatalogueHasALimit) {
  Open({.catalogue_bytes = 250});
  Add(Publish("h1", "t", {Integers("a", {1})}));
  const auto effect =
      shard_->Publish(Publish("h1", "u", {Integers(std::string(128, 'c'), {1})}), kNow);
  EXPECT_TRUE(effect.ok()) << effect.status();
  const auto refused =
      shard_->Publish(Publish("h1", "v", {Integers(std::string(128, 'c'), {1})}), kNow);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(ShardTest, NeverGrowsOverItsBytes) {
  Open({.shard_bytes = 4 << 20});
  const std::string text(500, 'x');
  int64_t stored = 0;
  absl::Status refusal;
  for (int i = 0; i < 20'000 && refusal.ok(); ++i) {
    const auto effect = shard_->Publish(
        Publish(absl::StrCat("h", i), "t", {Integers("a", {i}), Texts("b", {text})}), kNow);
    refusal = effect.status();
    if (effect.ok()) ++stored;
  }
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("4194304 bytes"));
  Seal();
  EXPECT_LE(sealed_.bytes.size(), 4u << 20);
  // And the estimates do not waste much of it.
  EXPECT_GE(sealed_.bytes.size(), 2u << 20);
  EXPECT_EQ(sealed_.info.tables(0).rows(), stored);
}

TEST_F(ShardTest, ACopyDoesNotDisturb) {
  Add(Publish("h1", "t", {Integers("a", {1})}));
  auto copy = shard_->Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  Add(Publish("h2", "t", {Integers("a", {2}), Integers("b", {2})}));
  EXPECT_EQ(Add(Publish("h1", "t", {Integers("a", {1})})), -1);
  Read(std::move(*copy));
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1"));
  EXPECT_THAT(Rows("SELECT identity FROM qasino_server_publishes"), ElementsAre("h1"));
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|NULL", "2|2"));
  EXPECT_THAT(Rows("SELECT identity FROM qasino_server_publishes"), ElementsAre("h1", "h2"));
}

TEST_F(ShardTest, ManyTablesAndShapesOutliveTheStatementCache) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1000; ++i) {
      const std::string table = absl::StrCat("t", i);
      if (i % 2 == 0) {
        Add(Publish(absl::StrCat("h", round), table, {Integers("a", {round})}));
        Add(Publish(absl::StrCat("g", round), table, {Integers("A", {round})}));
      }
      Add(Publish(absl::StrCat("i", round), table,
                  {Integers("a", {round}), Integers("b", {round})}));
    }
  }
  for (int i = 0; i < 40; ++i) {
    Add(Publish(absl::StrCat("s", i), "t0", {Integers(absl::StrCat("x", i), {i})}));
  }
  Seal();
  EXPECT_EQ(sealed_.info.tables_size(), 1000);
  EXPECT_THAT(Rows("SELECT count(*), count(a), count(x7), count(b) FROM t0"),
              ElementsAre("49|9|1|3"));
  EXPECT_THAT(Rows("SELECT count(*), sum(a), sum(b) FROM t999"), ElementsAre("3|3|3"));
}

TEST_F(ShardTest, TheWidestTable) {
  v1::PublishRequest publish;
  publish.set_identity("h");
  publish.mutable_table()->set_name(std::string(128, 't'));
  for (int i = 0; i < 2000; ++i) {
    v1::Column& column = *publish.mutable_table()->add_columns();
    column = Integers(absl::StrCat(std::string(120, 'c'), i), {i});
  }
  EXPECT_EQ(Add(publish), 1);
  Seal();
  EXPECT_EQ(sealed_.info.tables(0).columns_size(), 2000);
}

TEST_F(ShardTest, AnUpdateChangesWhatItFindsAndAddsTheRest) {
  Add(Publish("h1", "t", {Integers("k", {1, 2}), Texts("a", {"x", "y"}), Reals("b", {1, 2})}));
  Add(Publish("h2", "t", {Integers("k", {2, 3}), Texts("a", {"z", "w"})}));
  // Whoever published them; columns that it does not name are kept; new ones are NULL elsewhere.
  EXPECT_EQ(Change(Update("h3", "T", {Integers("K", {2, 4}), Integers("c", {7, 8})}, {"K"})),
            "1+2");
  Seal();
  EXPECT_THAT(Rows("SELECT _rowid_, * FROM t"),
              ElementsAre("1|1|x|1.0|NULL", "2|2|y|2.0|7", "3|2|z|NULL|7", "4|3|w|NULL|NULL",
                          "5|4|NULL|NULL|8"));
  EXPECT_TRUE(sealed_.info.tables(0).updated());
  EXPECT_EQ(sealed_.info.tables(0).updates(), 3);
  EXPECT_EQ(sealed_.info.tables(0).rows(), 5);
  EXPECT_EQ(sealed_.info.tables(0).columns_size(), 4);
}

TEST_F(ShardTest, AnUpdateMakesATable) {
  EXPECT_EQ(
      Change(Update("h1", "t", {Integers("k", {1, 2, 1}), Texts("a", {"x", "y", "z"})}, {"k"})),
      "2+1");
  EXPECT_EQ(Change(Update("h1", "empty", {Integers("k", {})}, {"k"})), "0+0");
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|z", "2|y"));
  EXPECT_THAT(Rows("SELECT tablename, nr_rows, nr_updates FROM qasino_server_publishes"),
              ElementsAre("t|2|1", "empty|0|1"));
}

TEST_F(ShardTest, WithoutKeycolsAllColumnsAreKeys) {
  Add(Publish("h1", "t", {Integers("a", {1, 2}), Texts("b", {"x", "y"})}));
  EXPECT_EQ(Change(Update("h2", "t", {Integers("a", {1, 2, 2}), Texts("b", {"x", "z", "z"})})),
            "1+0");
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|x", "2|y", "2|z"));
}

TEST_F(ShardTest, KeysCompareAsTheColumnsStoreThem) {
  v1::Column null = Integers("k", {});
  null.set_kinds(std::string(1, '\0'));
  Add(Publish("h1", "t", {null, Texts("a", {"null"})}));
  Add(Publish("h2", "t", {Integers("k", {12}), Texts("a", {"twelve"})}));
  EXPECT_EQ(Change(Update("u", "t", {null, Texts("a", {"NULL"})}, {"k"})), "0+1");
  EXPECT_EQ(Change(Update("u", "t", {Texts("k", {"12"}), Texts("a", {"text"})}, {"k"})), "0+1");
  EXPECT_EQ(Change(Update("u", "t", {Reals("k", {12.0}), Texts("a", {"real"})}, {"k"})), "0+1");
  EXPECT_EQ(Change(Update("u", "t", {Texts("k", {"x"}), Texts("a", {"new"})}, {"k"})), "1+0");
  // An integer of 64 bits in a column of reals is not what it was.
  Add(Publish("h1", "r", {Reals("k", {1.5}), Texts("a", {"old"})}));
  const int64_t large = (int64_t{1} << 62) + 1;
  EXPECT_EQ(Change(Update("u", "r", {Integers("k", {large}), Texts("a", {"1"})}, {"k"})), "1+0");
  EXPECT_EQ(Change(Update("u", "r", {Integers("k", {large}), Texts("a", {"2"})}, {"k"})), "0+1");
  Seal();
  EXPECT_THAT(Rows("SELECT quote(k), a FROM t"), ElementsAre("NULL|NULL", "12|real", "'x'|new"));
}

TEST_F(ShardTest, ThePairOfAnUpdateIsPublished) {
  EXPECT_FALSE(shard_->IsPublished(Publish("h1", "t", {Integers("a", {1})})));
  EXPECT_EQ(Change(Update("h1", "t", {Integers("a", {1})})), "1+0");
  EXPECT_TRUE(shard_->IsPublished(Publish("h1", "T", {Integers("a", {1})})));
  EXPECT_FALSE(shard_->IsPublished(Publish("h2", "t", {Integers("a", {1})})));
  EXPECT_EQ(Add(Publish("h1", "t", {Integers("a", {2})})), -1);
  EXPECT_EQ(Add(Publish("h2", "t", {Integers("a", {3})})), 1);
  EXPECT_EQ(Change(Update("h2", "t", {Integers("a", {4})})), "1+0");
  EXPECT_EQ(Change(Update("h2", "t", {Integers("a", {4})})), "0+0");
  Seal();
  EXPECT_THAT(Rows("SELECT a FROM t"), ElementsAre("1", "3", "4"));
  EXPECT_EQ(sealed_.info.publishers(), 2);
  EXPECT_EQ(sealed_.info.tables(0).updates(), 4);
}

TEST_F(ShardTest, RunsOfRowsSayFromWhomTheyCame) {
  const auto one = [](int64_t value) { return Integers("a", {value}); };
  Add(Publish("h1", "t", {Integers("a", {1, 2})}));
  Change(Update("h1", "t", {one(3)}), kNow + absl::Seconds(1));  // extends h1's
  Change(Update("h2", "t", {one(3)}), kNow + absl::Seconds(2));  // adds none
  Change(Update("h3", "t", {one(4)}), kNow + absl::Seconds(3));
  Change(Update("h2", "t", {one(5)}), kNow + absl::Seconds(4));  // h2's first rows
  Change(Update("h3", "t", {one(6)}), kNow + absl::Seconds(5));  // a second run
  Change(Update("h3", "t", {one(1)}), kNow + absl::Seconds(6));  // adds none
  const std::vector<std::string> before = {"t|h1|1|3|2|1700000001.0", "t|h2|5|1|2|1700000004.0",
                                           "t|h3|4|1|1|1700000003.0", "t|h3|6|1|2|1700000006.0"};
  auto copy = shard_->Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  Read(std::move(*copy));
  EXPECT_EQ(Rows("SELECT * FROM qasino_server_publishes"), before);
  // What the copy made it write is written again where it changes.
  Change(Update("h3", "t", {one(7)}), kNow + absl::Seconds(7));
  Change(Update("h1", "t", {one(8)}), kNow + absl::Seconds(8));
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM qasino_server_publishes"),
              ElementsAre(before[0], before[1], before[2], "t|h3|6|2|3|1700000007.0",
                          "t|h1|8|1|1|1700000008.0"));
}

TEST_F(ShardTest, AnUpdateThatFailsLeavesNothing) {
  Open({.bytes_per_row = 1000});
  const std::string large(2000, 'x');
  Add(Publish("h1", "t", {Integers("k", {1, 2}), Texts("a", {"one", "two"})}));
  // The first update of the shard fails: in its second row, after a column was added.
  EXPECT_THAT(
      Refusal(Update("h2", "t", {Integers("k", {1, 2}), Texts("new", {"n", large})}, {"k"})),
      HasSubstr("table 't': row 2"));
  EXPECT_FALSE(shard_->IsPublished(Update("h2", "t", {Integers("k", {1})})));
  // It would make a table.
  Refusal(Update("h2", "fresh", {Integers("k", {1, 2}), Texts("new", {"n", large})}, {"k"}));
  // Rows are changed, then one cannot be added.
  Refusal(Update("h2", "t", {Integers("k", {1, 3}), Texts("a", {"changed", large})}, {"k"}));
  // Plain publishes still fail and work as ever.
  Refusal(Publish("h3", "t", {Integers("k", {7, 8}), Texts("b", {"x", large})}));
  EXPECT_EQ(Add(Publish("h3", "t", {Integers("k", {9}), Texts("c", {"nine"})})), 1);
  EXPECT_EQ(Change(Update("h2", "t", {Integers("k", {2}), Texts("d", {"d"})}, {"k"})), "0+1");
  EXPECT_EQ(Add(Publish("h3", "fresh", {Texts("z", {"z"})})), 1);
  Refusal(Update("h9", "t", {Integers("k", {1, 2}), Texts("new", {"n", large})}, {"k"}));
  Seal();
  EXPECT_THAT(Rows("SELECT _rowid_, * FROM t"),
              ElementsAre("1|1|one|NULL|NULL", "2|2|two|NULL|d", "3|9|NULL|nine|NULL"));
  EXPECT_THAT(Rows("SELECT name FROM pragma_table_info('t')"), ElementsAre("k", "a", "c", "d"));
  EXPECT_THAT(Rows("SELECT * FROM fresh"), ElementsAre("z"));
  EXPECT_THAT(Rows("SELECT tablename, identity, first_rowid, nr_rows FROM qasino_server_publishes"),
              ElementsAre("t|h1|1|2", "t|h3|3|1", "t|h2|4|0", "fresh|h3|1|1"));
  ASSERT_EQ(sealed_.info.tables_size(), 2);
  EXPECT_EQ(sealed_.info.tables(0).columns_size(), 4);
  EXPECT_FALSE(sealed_.info.tables(1).updated());
  EXPECT_EQ(sealed_.info.publishers(), 3);
}

TEST_F(ShardTest, UpdatesHaveTheLimitsOfPublishes) {
  Open({.columns_per_table = 3, .tables_per_shard = 1, .identities_per_shard = 1});
  EXPECT_EQ(Change(Update("h1", "t", {Integers("a", {1}), Integers("b", {1})}, {"a"})), "1+0");
  EXPECT_THAT(Refusal(Update("h1", "t", {Integers("c", {1}), Integers("d", {1})})),
              HasSubstr("would have 4 columns"));
  EXPECT_THAT(Refusal(Update("h1", "u", {Integers("c", {1})})), HasSubstr("1 tables already"));
  EXPECT_THAT(Refusal(Update("h2", "t", {Integers("a", {1})})), HasSubstr("1 identities already"));
  EXPECT_EQ(Change(Update("h1", "t", {Integers("a", {1}), Integers("c", {2})}, {"a"})), "0+1");
  Seal();
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|1|2"));
}

TEST_F(ShardTest, SetsOfKeyColumnsAreLimited) {
  v1::PublishRequest publish =
      Update("h", "t", {Integers("a", {1}), Integers("b", {1}), Integers("c", {1})});
  for (const char* key : {"a", "b", "c"}) {
    publish.clear_keycols();
    publish.add_keycols(key);
    Change(publish);
  }
  publish.clear_keycols();
  Change(publish);
  publish.add_keycols("a");
  publish.add_keycols("b");
  EXPECT_THAT(Refusal(publish), HasSubstr("key columns"));
  publish.clear_keycols();
  publish.add_keycols("B");
  EXPECT_EQ(Change(publish), "0+1");
}

// One row of an update may change any number of rows.
TEST_F(ShardTest, UpdatesNeverGrowTheShardOverItsBytes) {
  Open({.shard_bytes = 8 << 20});
  v1::PublishRequest many = Publish("h", "t", {Integers("k", {}), Texts("a", {})});
  for (int i = 0; i < 10'000; ++i) {
    many.mutable_table()->mutable_columns(0)->add_integers(7);
    many.mutable_table()->mutable_columns(1)->add_texts("short");
  }
  Add(many);
  const std::string text(10'000, 'x');
  EXPECT_EQ(Refusal(Update("u", "t", {Integers("k", {7}), Texts("a", {text})}, {"k"})),
            "table 't': no room for the update: the generation has at most 8388608 bytes");
  EXPECT_EQ(Change(Update("u", "t", {Integers("k", {7}), Texts("a", {"SHORT"})}, {"k"})),
            "0+10000");
  // Up to the brim, with publishes of both sorts; the index counts too.
  int64_t stored = 10'000;
  for (int sort = 0; sort < 2; ++sort) {
    bool full = false;
    for (int i = 0; !full; ++i) {
      v1::PublishRequest publish =
          Publish(absl::StrCat("h", sort, "-", i), "t",
                  {Integers("k", {i + 100'000 * sort}), Texts("a", {text.substr(0, 3000)})});
      publish.set_update(sort == 1);
      const auto effect = shard_->Publish(publish, kNow);
      full = !effect.ok();
      if (full) {
        EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
      } else {
        stored += effect->rows;
      }
    }
  }
  Seal();
  EXPECT_LE(sealed_.bytes.size(), 8u << 20);
  EXPECT_GE(sealed_.bytes.size(), 4u << 20);
  EXPECT_THAT(Rows("SELECT count(*) FROM t"), ElementsAre(absl::StrCat(stored)));
  EXPECT_EQ(sealed_.info.tables(0).rows(), stored);
}

TEST_F(ShardTest, AnUpdateThatTakesTooLongIsUndone) {
  Open({.milliseconds_per_update = 1});
  v1::PublishRequest many = Publish("h", "t", {Integers("k", {}), Integers("a", {})});
  for (int i = 0; i < 20'000; ++i) {
    many.mutable_table()->mutable_columns(0)->add_integers(7);
    many.mutable_table()->mutable_columns(1)->add_integers(0);
  }
  Add(many);
  // Each of its rows changes all rows, as many times.
  many.set_identity("u");
  many.set_update(true);
  many.add_keycols("k");
  for (int64_t& cell : *many.mutable_table()->mutable_columns(1)->mutable_integers()) cell = 1;
  EXPECT_EQ(Refusal(many), "table 't': the update takes over 1 ms, which is the limit");
  EXPECT_EQ(Add(Publish("h2", "t", {Integers("k", {8})})), 1);
  Seal();
  EXPECT_THAT(Rows("SELECT k, sum(a), count(*) FROM t GROUP BY k"),
              ElementsAre("7|0|20000", "8|NULL|1"));
}

// Whatever was updated: no index, and rows in the order in which they were added.
TEST_F(ShardTest, RowsAreInOrderAndIndexesStayBehind) {
  Add(Publish("h1", "t", {Integers("k", {5, 3, 9}), Texts("a", {"x", "y", "z"})}));
  Change(Update("h2", "t", {Integers("k", {4, 3}), Texts("a", {"n", "Y"})}, {"k"}));
  auto copy = shard_->Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  Read(std::move(*copy));
  EXPECT_THAT(Rows("SELECT name FROM sqlite_schema WHERE type = 'index'"), IsEmpty());
  EXPECT_THAT(Rows("SELECT k FROM t"), ElementsAre("5", "3", "9", "4"));
  // The shard still has it, and goes on.
  EXPECT_EQ(Change(Update("h3", "t", {Integers("k", {9, 1}), Texts("b", {"B", "B"})}, {"k"})),
            "1+1");
  EXPECT_EQ(Add(Publish("h4", "t", {Integers("k", {2})})), 1);
  Seal();
  EXPECT_THAT(Rows("SELECT name FROM sqlite_schema WHERE type = 'index'"), IsEmpty());
  EXPECT_THAT(Rows("SELECT k FROM t"), ElementsAre("5", "3", "9", "4", "1", "2"));
  EXPECT_THAT(Rows("SELECT * FROM t WHERE k = 9"), ElementsAre("9|z|B"));
}

TEST_F(ShardTest, TheWidestTableIsUpdatedByAllItsColumns) {
  v1::PublishRequest publish;
  publish.set_identity("h");
  publish.set_update(true);
  publish.mutable_table()->set_name("t");
  for (int i = 0; i < 2000; ++i) {
    *publish.mutable_table()->add_columns() = Integers(absl::StrCat("c", i), {i});
  }
  EXPECT_EQ(Change(publish), "1+0");
  EXPECT_EQ(Change(publish), "0+0");
  publish.mutable_table()->mutable_columns(1999)->set_integers(0, 0);
  EXPECT_EQ(Change(publish), "1+0");
  Seal();
  EXPECT_THAT(Rows("SELECT count(*) FROM t"), ElementsAre("2"));
}

// What a shard is to be, as plainly as it can be said.
class Model {
 public:
  struct TableModel {
    std::string name;
    std::vector<v1::ColumnInfo> columns;
    std::vector<std::vector<std::string>> rows;  // cells as SQLite's quote() writes them
    std::vector<std::string> owners;             // of each row
    std::map<std::string, int> publishes;        // by identity
    bool updated = false;
  };

  // False: a duplicate.
  bool Apply(const v1::PublishRequest& publish) {
    const v1::Table& published = publish.table();
    TableModel& table = tables[absl::AsciiStrToLower(published.name())];
    if (!publish.update() && table.publishes.contains(publish.identity())) return false;
    if (table.name.empty()) table.name = published.name();
    std::vector<size_t> places;
    for (const v1::Column& column : published.columns()) {
      size_t place = 0;
      while (place < table.columns.size() &&
             !absl::EqualsIgnoreCase(table.columns[place].name(), column.name())) {
        ++place;
      }
      if (place == table.columns.size()) {
        v1::ColumnInfo& info = table.columns.emplace_back();
        info.set_name(column.name());
        info.set_type(column.type());
        for (auto& row : table.rows) row.push_back("NULL");
      }
      places.push_back(place);
    }
    for (int64_t i = 0; i < RowCount(published); ++i) {
      std::vector<std::string> row(table.columns.size(), "NULL");
      std::vector<bool> is_key(table.columns.size());
      for (size_t c = 0; c < places.size(); ++c) {
        const v1::Column& column = published.columns(static_cast<int>(c));
        row[places[c]] = Cell(column, i, table.columns[places[c]].type());
        bool key = publish.keycols().empty();
        for (const std::string& name : publish.keycols()) {
          key = key || absl::EqualsIgnoreCase(name, column.name());
        }
        is_key[places[c]] = key;
      }
      bool found = false;
      for (auto& old : table.rows) {
        if (!publish.update()) break;
        bool same = true;
        for (size_t c = 0; c < row.size(); ++c) same = same && (!is_key[c] || row[c] == old[c]);
        if (!same) continue;
        found = true;
        for (const size_t place : places) old[place] = row[place];
      }
      if (found) continue;
      table.rows.push_back(row);
      table.owners.push_back(publish.identity());
    }
    ++table.publishes[publish.identity()];
    table.updated = table.updated || publish.update();
    return true;
  }

  std::map<std::string, TableModel> tables;

 private:
  // The columns here have one array; texts of digits alone are integers to a column of these.
  static std::string Cell(const v1::Column& column, int64_t row, v1::ColumnType stored_as) {
    if (!column.kinds().empty()) {
      // Only NULLs beside the column's own type.
      if (column.kinds()[row] == 0) return "NULL";
      const std::string before = column.kinds().substr(0, row);
      row -= std::count(before.begin(), before.end(), '\0');
    }
    if (column.type() == v1::INTEGER) {
      const std::string digits = absl::StrCat(column.integers(static_cast<int>(row)));
      if (stored_as == v1::TEXT) return absl::StrCat("'", digits, "'");
      return stored_as == v1::REAL ? digits + ".0" : digits;
    }
    const std::string& text = column.texts(static_cast<int>(row));
    int64_t number = 0;
    if (stored_as != v1::TEXT && stored_as != v1::BLOB && absl::SimpleAtoi(text, &number)) {
      return stored_as == v1::REAL ? text + ".0" : text;
    }
    return absl::StrCat("'", text, "'");
  }
};

// Random publishes of both sorts, of which some fail.
TEST_F(ShardTest, IsWhatAPlainModelSays) {
  for (int seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&](int limit) { return static_cast<int>(random() % limit); };
    Open({.bytes_per_row = 2000});
    Model model;
    const int publishes = 20 + below(60);
    for (int p = 0; p < publishes; ++p) {
      v1::PublishRequest publish;
      publish.set_identity(absl::StrCat("h", below(6)));
      const char* const names[] = {"t", "T", "u", "v"};
      publish.mutable_table()->set_name(names[below(4)]);
      publish.set_update(below(3) > 0);
      const int rows = below(5);
      const bool too_large = rows > 0 && below(8) == 0;
      std::vector<std::string> columns = {"a", "b", "c", "d", "e"};
      std::shuffle(columns.begin(), columns.end(), random);
      columns.resize(1 + below(4));
      for (size_t c = 0; c < columns.size(); ++c) {
        v1::Column& column = *publish.mutable_table()->add_columns();
        column.set_name(below(4) == 0 ? absl::AsciiStrToUpper(columns[c]) : columns[c]);
        const bool text = below(2) == 0;
        column.set_type(text ? v1::TEXT : v1::INTEGER);
        const bool some_null = below(3) == 0;
        for (int row = 0; row < rows; ++row) {
          if (some_null) column.mutable_kinds()->push_back(below(2) == 0 ? '\0' : (text ? 3 : 1));
          if (some_null && column.kinds().back() == 0) continue;
          if (text) {
            column.add_texts(below(2) == 0 ? absl::StrCat(below(3)) : absl::StrCat("x", below(3)));
          } else {
            column.add_integers(below(4));
          }
        }
        if (publish.update() && below(2) == 0) publish.add_keycols(columns[c]);
      }
      if (too_large) {
        v1::Column& column = *publish.mutable_table()->add_columns();
        column.set_name(below(2) == 0 ? "wide" : "f");
        column.set_type(v1::TEXT);
        for (int row = 0; row < rows; ++row)
          column.add_texts(row + 1 == rows ? std::string(3000, 'x') : "");
      }
      ASSERT_EQ(ValidatePublish(publish, 0, {}), absl::OkStatus());
      const bool was_published = shard_->IsPublished(publish);
      const auto effect = shard_->Publish(publish, kNow);
      if (too_large && (publish.update() || !was_published)) {
        ASSERT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
        continue;
      }
      if (publish.update() && effect.status().code() == absl::StatusCode::kResourceExhausted) {
        ASSERT_THAT(std::string(effect.status().message()), HasSubstr("sets of key columns"));
        continue;
      }
      ASSERT_TRUE(effect.ok()) << effect.status();
      ASSERT_EQ(effect->duplicate, !model.Apply(publish));
      if (below(20) == 0) {
        const auto copy = shard_->Copy();
        ASSERT_TRUE(copy.ok()) << copy.status();
      }
    }
    Seal();
    ASSERT_EQ(sealed_.info.tables_size(), static_cast<int>(model.tables.size()));
    for (const v1::TableInfo& info : sealed_.info.tables()) {
      SCOPED_TRACE(info.name());
      const Model::TableModel& table = model.tables[absl::AsciiStrToLower(info.name())];
      EXPECT_EQ(info.name(), table.name);
      EXPECT_EQ(info.updated(), table.updated);
      ASSERT_EQ(info.rows(), static_cast<int64_t>(table.rows.size()));
      ASSERT_EQ(info.columns_size(), static_cast<int>(table.columns.size()));
      std::string quoted;
      for (int c = 0; c < info.columns_size(); ++c) {
        EXPECT_EQ(info.columns(c).name(), table.columns[c].name());
        EXPECT_EQ(info.columns(c).type(), table.columns[c].type());
        absl::StrAppend(&quoted, c == 0 ? "" : ", ", "quote(", info.columns(c).name(), ")");
      }
      std::vector<std::string> expected;
      for (const auto& row : table.rows) expected.push_back(absl::StrJoin(row, "|"));
      EXPECT_EQ(Rows(absl::StrCat("SELECT ", quoted, " FROM ", info.name())), expected);
      // Each row is in the run of who added it; runs are as few as can be.
      int64_t publishes_of_all = 0;
      for (const auto& [identity, count] : table.publishes) publishes_of_all += count;
      EXPECT_EQ(info.updates(), publishes_of_all);
      std::vector<std::string> runs;
      for (size_t begin = 0, end = 0; begin < table.owners.size(); begin = end) {
        while (end < table.owners.size() && table.owners[end] == table.owners[begin]) ++end;
        runs.push_back(absl::StrCat(begin + 1, "|", end - begin, "|", table.owners[begin]));
      }
      EXPECT_EQ(Rows(absl::StrCat("SELECT first_rowid, nr_rows, identity FROM "
                                  "qasino_server_publishes WHERE nr_rows > 0 AND tablename = '",
                                  info.name(), "' ORDER BY first_rowid")),
                runs);
      for (const auto& [identity, count] : table.publishes) {
        EXPECT_THAT(Rows(absl::StrCat("SELECT sum(nr_updates) FROM qasino_server_publishes WHERE "
                                      "tablename = '",
                                      info.name(), "' AND identity = '", identity, "'")),
                    ElementsAre(absl::StrCat(count)));
      }
    }
  }
}

}  // namespace
}  // namespace qasino::ingest
