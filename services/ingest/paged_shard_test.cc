#include "services/ingest/paged_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/ingest/shard_fixture.h"
#include "services/sqlite/database.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

// A publish that fits is not refused for an estimate.
TEST_F(ShardTest, RoomIsMeasuredWhereItIsScarce) {
  Open({.shard_bytes = 1 << 20});
  v1::PublishRequest most = Publish("h1", "t", {Texts("a", {})});
  for (int i = 0; i < 2'000; ++i) {
    most.mutable_table()->mutable_columns(0)->add_texts(std::string(480, 'x'));
  }
  v1::PublishRequest more = most;
  for (int i = 0; i < 2'000; ++i) more.mutable_table()->mutable_columns(0)->add_texts("y");
  for (int i = 0; i < 200; ++i) {
    more.mutable_table()->mutable_columns(0)->add_texts(std::string(480, 'x'));
  }
  EXPECT_THAT(std::string(shard_->Publish(more, kNow).status().message()),
              HasSubstr("1048576 bytes"));
  EXPECT_EQ(Add(most), 2'000);
  Seal();
  EXPECT_LE(sealed_.bytes.size(), 1u << 20);
}

TEST_F(ShardTest, RowsOverManyPages) {
  for (const int size : {4'000, 4'057, 4'058, 4'059, 5'000, 8'200, 100'000, 3'000'000}) {
    const std::string text(static_cast<size_t>(size), 'x');
    EXPECT_EQ(Add(Publish(absl::StrCat("h", size), "t", {Texts("a", {text, "", text})})), 3);
  }
  auto copy = shard_->Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  Read(std::move(*copy));
  EXPECT_THAT(Rows("SELECT count(*), max(length(a)), sum(a <> '') FROM t"),
              ElementsAre("24|3000000|16"));
  Seal();
  EXPECT_THAT(Rows("SELECT sum(length(a)) FROM t"), ElementsAre(absl::StrCat(2 * 3'129'374)));
}

TEST_F(ShardTest, AsManyTablesAsThereMayBe) {
  const Limits limits;
  for (int i = 0; i < limits.tables_per_shard; ++i) {
    Add(Publish("h", absl::StrCat("t", i), {Integers("a", {i}), Texts("b", {"x"})}));
  }
  EXPECT_EQ(shard_->Publish(Publish("h", "more", {Integers("a", {1})}), kNow).status().code(),
            absl::StatusCode::kResourceExhausted);
  Seal();
  EXPECT_THAT(Rows("SELECT count(*) FROM sqlite_schema"), ElementsAre("10001"));
  EXPECT_THAT(Rows("SELECT a FROM t9999"), ElementsAre("9999"));
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

}  // namespace
}  // namespace qasino::ingest
