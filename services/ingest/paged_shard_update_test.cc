// The `update` of tables in a shard.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/ingest/paged_shard.h"
#include "services/ingest/shard_fixture.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

// Rows that came before a table's first update go where updates find them, and leave their
// pages to others.
TEST_F(ShardTest, TheFirstUpdateFindsRowsOfAllSizes) {
  const std::string large(100'000, 'x');
  v1::PublishRequest many = Publish("h1", "t", {Integers("k", {}), Texts("a", {})});
  for (int i = 1; i <= 3'000; ++i) {
    many.mutable_table()->mutable_columns(0)->add_integers(i);
    many.mutable_table()->mutable_columns(1)->add_texts(i % 1'000 == 0 ? large : "small");
  }
  Add(many);
  Add(Publish("h2", "t", {Integers("k", {3'001}), Reals("b", {2.0})}));
  Add(Publish("h1", "other", {Texts("a", {large})}));
  auto copy = shard_->Copy();
  ASSERT_TRUE(copy.ok()) << copy.status();
  const size_t before = copy->bytes.size();
  // One that fails leaves the rows where they were.
  v1::PublishRequest wrong = Update("h3", "t", {Integers("k", {1'000}), Texts("c", {"c"})}, {"k"});
  wrong.mutable_table()->mutable_columns(1)->set_texts(0, std::string(33 << 20, 'x'));
  Refusal(wrong);
  EXPECT_EQ(
      Change(Update("h3", "t", {Integers("k", {1'000, 3'002}), Texts("c", {"c", "d"})}, {"k"})),
      "1+1");
  EXPECT_EQ(Add(Publish("h4", "t", {Integers("k", {7}), Texts("d", {"late"})})), 1);
  EXPECT_EQ(Add(Publish("h4", "after", {Texts("a", {large, large})})), 2);
  Seal();
  EXPECT_THAT(Rows("SELECT count(*), sum(k), sum(length(a)), sum(b), max(_rowid_) FROM t"),
              ElementsAre("3003|4507510|314985|2.0|3003"));
  EXPECT_THAT(Rows("SELECT k, length(a), c FROM t WHERE k >= 1000 AND c IS NOT NULL"),
              ElementsAre("1000|100000|c", "3002|NULL|d"));
  EXPECT_THAT(Rows("SELECT typeof(b), d FROM t WHERE _rowid_ IN (3001, 3003)"),
              ElementsAre("real|NULL", "null|late"));
  // Nothing of the rows is there twice.
  EXPECT_LE(sealed_.bytes.size(), before + 2 * large.size() + 5 * 4'096);
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

TEST_F(ShardTest, UpdatesThatMakeTablesAndColumnsFillTheShardToo) {
  Open({.shard_bytes = 1 << 20});
  int tables = 0;
  std::string refusal;
  while (refusal.empty()) {
    const auto effect = shard_->Publish(
        Update("h", absl::StrCat("t", tables), {Integers("k", {tables}), Texts("a", {"x"})}, {"k"}),
        kNow);
    if (effect.ok()) {
      ++tables;
    } else {
      EXPECT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
      refusal = std::string(effect.status().message());
    }
  }
  EXPECT_THAT(refusal, HasSubstr("at most 1048576 bytes"));
  // Columns need no page of their own, as long as their names fit.
  int columns = 0;
  absl::Status status;
  while (status.ok()) {
    const std::string name = absl::StrCat(std::string(120, 'c'), columns);
    status =
        shard_->Publish(Update("h", "t0", {Integers("k", {0}), Texts(name, {"y"})}, {"k"}), kNow)
            .status();
    if (status.ok()) ++columns;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 1048576 bytes"));
  EXPECT_EQ(Change(Update("h", "t1", {Integers("k", {1}), Texts("a", {"z"})}, {"k"})), "0+1");
  Seal();
  EXPECT_EQ(sealed_.info.tables_size(), tables);
  EXPECT_EQ(sealed_.info.tables(0).columns_size(), 2 + columns);
  EXPECT_THAT(Rows("SELECT * FROM t1"), ElementsAre("1|z"));
  EXPECT_THAT(Rows("SELECT count(*) FROM pragma_table_info('t0')"),
              ElementsAre(absl::StrCat(2 + columns)));
  EXPECT_LE(sealed_.bytes.size(), 1u << 20);
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

// Columns that came after a row take nothing in it, as in SQLite, neither room nor time.
TEST_F(ShardTest, LaterColumnsOfUpdatedTablesTakeNoRoomInRows) {
  Open({.shard_bytes = 4 << 20});
  v1::PublishRequest many = Update("h1", "t", {Integers("k", {})}, {"k"});
  for (int i = 0; i < 10'000; ++i) many.mutable_table()->mutable_columns(0)->add_integers(i);
  EXPECT_EQ(Change(many), "10000+0");
  v1::PublishRequest wide = Publish("h2", "t", {Integers("k", {})});
  for (int i = 1; i < 2'000; ++i) {
    *wide.mutable_table()->add_columns() = Integers(absl::StrCat("c", i), {});
  }
  EXPECT_EQ(Add(wide), 0);
  EXPECT_EQ(Add(Publish("h3", "t", {Integers("k", {7}), Integers("c1999", {8})})), 1);
  Seal();
  EXPECT_LE(sealed_.bytes.size(), 4u << 20);
  EXPECT_THAT(Rows("SELECT count(*), count(k), count(c1), sum(c1999) FROM t"),
              ElementsAre("10001|10001|0|8"));
}

// An update that changes nothing still makes a run, and 256 MiB of them would not be written.
TEST_F(ShardTest, UpdatesWithoutRowsHaveTheLimitOfBytes) {
  Open({.shard_bytes = 1 << 20});
  absl::Status refusal;
  int taken = 0;
  for (; refusal.ok() && taken < 20'000; ++taken) {
    refusal =
        shard_->Publish(Update(absl::StrCat("h", taken), "t", {Integers("k", {})}, {"k"}), kNow)
            .status();
  }
  EXPECT_EQ(refusal.code(), absl::StatusCode::kResourceExhausted) << refusal;
  EXPECT_THAT(std::string(refusal.message()), HasSubstr("at most 1048576 bytes"));
  // One that has a run may go on.
  EXPECT_EQ(Change(Update("h0", "t", {Integers("k", {})}, {"k"})), "0+0");
  Seal();
  EXPECT_LE(sealed_.bytes.size(), 1u << 20);
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

}  // namespace
}  // namespace qasino::ingest
