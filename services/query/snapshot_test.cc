#include "services/query/snapshot.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/merge/fake_shard.h"

namespace qasino::query {
namespace {

using merge::FakeShard;
using merge::ManifestOf;

using Shards = std::vector<std::shared_ptr<const ShardImage>>;

std::shared_ptr<const Snapshot> Build(const Shards& shards, int64_t generation = 60) {
  absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot =
      Snapshot::Build(ManifestOf(generation, shards), shards, {.identity = "server"});
  EXPECT_TRUE(snapshot.ok()) << snapshot.status();
  return snapshot.ok() ? *snapshot : nullptr;
}

// Rows as text, cells separated by '|', NULL as "-".
std::vector<std::string> Rows(const Snapshot& snapshot, const std::string& sql) {
  absl::StatusOr<Snapshot::Connection> connection = snapshot.Connect();
  EXPECT_TRUE(connection.ok()) << connection.status();
  absl::StatusOr<sqlite::Statement> statement = connection->sandbox().Prepare(sql);
  EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
  std::vector<std::string> rows;
  if (!statement.ok()) return rows;
  while (*statement->Step()) {
    std::string row;
    for (int i = 0; i < statement->ColumnCount(); ++i) {
      if (i > 0) row += '|';
      const bool null = sqlite3_column_type(statement->get(), i) == SQLITE_NULL;
      row += null ? "-" : std::string(statement->Text(i));
    }
    rows.push_back(row);
  }
  return rows;
}

using Expected = std::vector<std::string>;

TEST(Snapshot, EmptyOneHasTheInternalTables) {
  const auto snapshot = Build({}, 0);
  EXPECT_EQ(snapshot->info().publishers(), 0);
  EXPECT_EQ(Rows(*snapshot, "SELECT 1"), Expected{"1"});
  EXPECT_EQ(Rows(*snapshot, "SELECT generation_number FROM qasino_server_info"), Expected{"0"});
  EXPECT_EQ(Rows(*snapshot, "SELECT identity, nr_tables FROM qasino_server_connections"),
            Expected{"server|9"});
  EXPECT_EQ(Rows(*snapshot,
                 "SELECT nr_rows FROM qasino_server_tables "
                 "WHERE tablename = 'qasino_server_tables'"),
            Expected{"9"});
}

TEST(Snapshot, OneShardIsReadInPlace) {
  const auto snapshot = Build({FakeShard("a", 60)
                                   .Table("t", {"x INTEGER", "y TEXT"})
                                   .Publish("h1", "t", {"1, 'one'", "2, NULL"})
                                   .Publish("h2", "t", {"3, 'three'"})
                                   .Seal()});
  EXPECT_EQ(Rows(*snapshot, "SELECT * FROM t"), (Expected{"1|one", "2|-", "3|three"}));
  EXPECT_EQ(Rows(*snapshot, "SELECT rowid FROM T WHERE x = 3"), Expected{"3"});
  EXPECT_EQ(snapshot->info().publishers(), 2);
  EXPECT_EQ(Rows(*snapshot,
                 "SELECT nr_rows, nr_updates, static FROM qasino_server_tables "
                 "WHERE tablename = 't'"),
            Expected{"3|2|0"});
}

TEST(Snapshot, ShardsAreMergedWithTheUnionOfColumns) {
  const auto snapshot = Build({FakeShard("a", 60)
                                   .Table("t", {"x INTEGER", "y TEXT"})
                                   .Publish("h1", "t", {"1, 'one'"})
                                   .Seal(),
                               FakeShard("b", 60)
                                   .Table("T", {"Y TEXT", "z REAL"})
                                   .Publish("h2", "T", {"'two', 2.5"})
                                   .Table("u", {"only INTEGER"})
                                   .Publish("h2", "u", {"7"})
                                   .Seal()});
  EXPECT_EQ(Rows(*snapshot, "SELECT * FROM t"), (Expected{"1|one|-", "-|two|2.5"}));
  EXPECT_EQ(Rows(*snapshot, "SELECT x, z FROM t WHERE z > '2'"), Expected{"-|2.5"});
  EXPECT_EQ(Rows(*snapshot, "SELECT only FROM u"), Expected{"7"});
  EXPECT_EQ(Rows(*snapshot,
                 "SELECT column_name, column_type FROM qasino_server_columns "
                 "WHERE tablename = 't' ORDER BY position"),
            (Expected{"x|INTEGER", "y|TEXT", "z|REAL"}));
  EXPECT_EQ(snapshot->info().publishers(), 2);
}

TEST(Snapshot, AColumnKeepsTheTypeThatTheFirstShardGivesIt) {
  const auto snapshot = Build(
      {FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal(),
       FakeShard("b", 60).Table("t", {"x TEXT"}).Publish("h2", "t", {"'2'", "'two'"}).Seal()});
  EXPECT_EQ(Rows(*snapshot, "SELECT x, typeof(x) FROM t"),
            (Expected{"1|integer", "2|integer", "two|text"}));
}

TEST(Snapshot, TheSameTableFromTheSameIdentityCountsOnceOverAllShards) {
  const auto snapshot =
      Build({FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1", "2"}).Seal(),
             FakeShard("b", 60)
                 .Table("t", {"x INTEGER"})
                 .Publish("h2", "t", {"30"})
                 .Publish("h1", "t", {"10", "20"})
                 .Publish("h3", "t", {"40"})
                 .Seal()});
  EXPECT_EQ(Rows(*snapshot, "SELECT x FROM t"), (Expected{"1", "2", "30", "40"}));
  EXPECT_EQ(Rows(*snapshot, "SELECT nr_rows FROM qasino_server_tables WHERE tablename = 't'"),
            Expected{"4"});
  EXPECT_EQ(Rows(*snapshot,
                 "SELECT identity, nr_tables FROM qasino_server_connections WHERE identity = 'h1'"),
            Expected{"h1|1"});
}

TEST(Snapshot, MoreShardsThanSqliteAttaches) {
  Shards shards;
  for (int i = 0; i < 25; ++i) {
    shards.push_back(FakeShard(fmt::format("s{:02}", i), 60)
                         .Table("t", {"shard INTEGER"})
                         .Publish(fmt::format("h{}", i), "t", {std::to_string(i)})
                         .Table(fmt::format("only{}", i), {"x INTEGER"})
                         .Publish(fmt::format("h{}", i), fmt::format("only{}", i), {"1"})
                         .Seal());
  }
  const auto snapshot = Build(shards);
  EXPECT_EQ(Rows(*snapshot, "SELECT count(*), sum(shard) FROM t"), Expected{"25|300"});
  EXPECT_EQ(Rows(*snapshot, "SELECT x FROM only3 UNION ALL SELECT x FROM only24"),
            (Expected{"1", "1"}));
  EXPECT_EQ(snapshot->info().publishers(), 25);
}

TEST(Snapshot, ATableThatCannotBeMergedHarmsNoOther) {
  // Two ingest processes took 1,500 columns each, of which one is disputed.
  Shards shards;
  for (int shard = 0; shard < 2; ++shard) {
    std::vector<std::string> columns = {shard == 0 ? "disputed INTEGER" : "disputed TEXT"};
    for (int i = 1; i < 1500; ++i) columns.push_back(fmt::format("c{}_{} INTEGER", shard, i));
    shards.push_back(FakeShard(fmt::format("s{}", shard), 60)
                         .Table("wide", columns)
                         .Table("fine", {"x INTEGER"})
                         .Publish(fmt::format("h{}", shard), "fine", {std::to_string(shard)})
                         .Seal());
  }
  const auto snapshot = Build(shards);
  EXPECT_EQ(Rows(*snapshot, "SELECT x FROM fine"), (Expected{"0", "1"}));
  EXPECT_EQ(Rows(*snapshot, "SELECT count(*) FROM qasino_server_columns WHERE tablename = 'wide'"),
            Expected{"2000"});
  EXPECT_EQ(Rows(*snapshot, "SELECT count(*) FROM wide"), Expected{"0"});
  ASSERT_EQ(snapshot->faults().size(), 1u);
  EXPECT_EQ(snapshot->faults()[0], "table wide: 999 columns are left out; a table has 2000");
}

TEST(Snapshot, AStaticTableIsHiddenByAPublishedOne) {
  const auto fixed = FakeShard("static", 0)
                         .Kind(v1::STATIC)
                         .Table("t", {"x INTEGER"})
                         .Publish("h1", "t", {"100"})
                         .Table("s", {"x INTEGER"})
                         .Publish("h1", "s", {"200"})
                         .Seal();
  const auto collected =
      FakeShard("a", 60).Table("T", {"x INTEGER"}).Publish("h1", "T", {"1"}).Seal();
  const auto snapshot = Build({collected, fixed});
  EXPECT_EQ(Rows(*snapshot, "SELECT x FROM t"), Expected{"1"});
  EXPECT_EQ(Rows(*snapshot, "SELECT x FROM s"), Expected{"200"});
  EXPECT_EQ(Rows(*snapshot,
                 "SELECT tablename, static FROM qasino_server_tables WHERE tablename < 'q' "
                 "OR tablename > 'r' ORDER BY 1"),
            (Expected{"T|0", "s|1"}));
}

TEST(Snapshot, ColumnsThatTheFirstShardLacksHaveTheirTypes) {
  const auto snapshot =
      Build({FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal(),
             FakeShard("b", 60)
                 .Table("t", {"y TEXT", "x INTEGER"})
                 .Publish("h2", "t", {"'2', 3"})
                 .Seal()});
  absl::StatusOr<Snapshot::Connection> connection = snapshot->Connect();
  ASSERT_TRUE(connection.ok()) << connection.status();
  absl::StatusOr<sqlite::Statement> statement =
      connection->sandbox().Prepare("SELECT y, a.x FROM (SELECT * FROM t) a");
  ASSERT_TRUE(statement.ok()) << statement.status();
  EXPECT_STREQ(sqlite3_column_decltype(statement->get(), 0), "TEXT");
  EXPECT_STREQ(sqlite3_column_decltype(statement->get(), 1), "INTEGER");
  EXPECT_EQ(Rows(*snapshot, "SELECT * FROM t"), (Expected{"1|-", "3|2"}));
}

TEST(Snapshot, ViewsAreOnTheConnectionsAndInTheirTable) {
  std::string yaml;
  for (const auto& [name, select] : std::vector<std::pair<std::string, std::string>>{
           {"doubled", "SELECT 2 * x AS x FROM t"},
           {"u", "SELECT 1"},
           {"broken", "SELECT * FROM absent"},
           {"both", "SELECT * FROM doubled, u"},
           {"own", "SELECT viewname FROM qasino_server_views"}}) {
    yaml += fmt::format("- viewname: {0}\n  view: CREATE VIEW {0} AS {1}\n", name, select);
  }
  const absl::StatusOr<ViewSet> views = ParseViews(yaml);
  ASSERT_TRUE(views.ok()) << views.status();
  const Shards shards = {
      FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal(),
      FakeShard("b", 60)
          .Table("t", {"x INTEGER"})
          .Publish("h2", "t", {"2"})
          .Table("u", {"z INTEGER"})
          .Publish("h2", "u", {"9"})
          .Seal()};
  const absl::StatusOr<std::shared_ptr<const Snapshot>> built = Snapshot::Build(
      ManifestOf(60, shards), shards, {.identity = "server"}, std::make_shared<ViewSet>(*views));
  ASSERT_TRUE(built.ok()) << built.status();
  const Snapshot& snapshot = **built;
  EXPECT_EQ(snapshot.views_loaded(), 3);
  EXPECT_EQ(snapshot.views_failed(), 2);
  EXPECT_EQ(Rows(snapshot, "SELECT * FROM both"), (Expected{"2|9", "4|9"}));
  EXPECT_EQ(Rows(snapshot, "SELECT viewname, loaded, errormsg FROM qasino_server_views"),
            (Expected{"both|1|", "broken|0|no such table: absent", "doubled|1|", "own|1|",
                      "u|0|table u already exists"}));
  EXPECT_EQ(Rows(snapshot, "SELECT count(*) FROM own"), Expected{"5"});
  EXPECT_EQ(Rows(snapshot, "SELECT * FROM u"), Expected{"9"});
  EXPECT_EQ(Rows(snapshot,
                 "SELECT nr_rows FROM qasino_server_tables "
                 "WHERE tablename = 'qasino_server_views'"),
            Expected{"5"});
}

TEST(Snapshot, ARubbishShardIsDataLoss) {
  auto shard = std::make_shared<ShardImage>();
  shard->info = FakeShard("a", 60).Table("t", {"x INTEGER"}).Seal()->info;
  shard->bytes.reset(new char[shard->info.size_bytes()]());
  const Shards shards = {shard};
  const absl::Status status =
      Snapshot::Build(ManifestOf(60, shards), shards, {.identity = "server"}).status();
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace qasino::query
