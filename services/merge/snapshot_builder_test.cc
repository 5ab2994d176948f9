#include "services/merge/snapshot_builder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/merge/fake_shard.h"
#include "services/sqlite/database.h"

namespace qasino::merge {
namespace {

using Shards = std::vector<std::shared_ptr<const ShardImage>>;
using Expected = std::vector<std::string>;

// A snapshot as one database with everything in it.
class Whole {
 public:
  explicit Whole(const Shards& shards, const ServerFacts& facts = {.identity = "server"},
                 InternalTables internal = InternalTables::kFilled) {
    absl::StatusOr<BuiltSnapshot> built =
        BuildSnapshot(ManifestOf(60, shards), shards, facts, /*attachable=*/0, internal);
    EXPECT_TRUE(built.ok()) << built.status();
    built_ = *std::move(built);
    database_ = *sqlite::Database::OpenInMemory();
    EXPECT_TRUE(database_.ReadFrom("main", built_.main.view()).ok());
  }

  // Cells separated by '|', NULL as "-".
  Expected Rows(const std::string& sql) {
    absl::StatusOr<sqlite::Statement> statement = database_.Prepare(sql);
    EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
    Expected rows;
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

  Expected TableFacts(const std::string& name) {
    return Rows(
        fmt::format("SELECT nr_rows, nr_updates, static, last_update_epoch FROM "
                    "qasino_server_tables WHERE tablename = '{}'",
                    name));
  }

  int64_t publishers() const { return built_.publishers; }

 private:
  BuiltSnapshot built_;
  sqlite::Database database_;
};

TEST(BuildSnapshot, WithoutAttachingTheDatabaseHasEverything) {
  const Shards shards = {
      FakeShard("p", 30)
          .Kind(v1::PERSISTENT)
          .Anonymous()
          .Table("kept", {"x INTEGER"})
          .Publish("h1", "kept", {"1"})
          .Seal(),
      FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1", "2"}).Seal(),
      FakeShard("b", 60).Table("t", {"x TEXT", "y REAL"}).Publish("h2", "t", {"'3', 0.5"}).Seal(),
      FakeShard("s", 0)
          .Kind(v1::STATIC)
          .Anonymous()
          .Table("fixed", {"x INTEGER"})
          .Publish("h3", "fixed", {"7"})
          .Seal()};
  Whole whole(shards);
  EXPECT_EQ(whole.Rows("SELECT * FROM t"), (Expected{"1|-", "2|-", "3|0.5"}));
  EXPECT_EQ(whole.Rows("SELECT x FROM kept UNION ALL SELECT x FROM fixed"), (Expected{"1", "7"}));
  EXPECT_EQ(whole.Rows("SELECT count(*) FROM sqlite_master WHERE type <> 'table'"), Expected{"0"});
  EXPECT_EQ(whole.Rows("PRAGMA integrity_check"), Expected{"ok"});
  EXPECT_EQ(whole.Rows("SELECT shard_id, kind, identity FROM qasino_server_shards"),
            (Expected{"p|persistent|", "a|collected|server", "b|collected|server", "s|static|"}));
  EXPECT_EQ(whole.TableFacts("fixed"), Expected{"1|1|1|1.0"});
  EXPECT_EQ(whole.TableFacts("kept"), Expected{"1|1|0|31.0"});
  // Who put a static table is nobody's publisher.
  EXPECT_EQ(whole.publishers(), 2);
  EXPECT_EQ(whole.Rows("SELECT identity FROM qasino_server_connections ORDER BY 1"),
            (Expected{"h1", "h2", "server"}));
}

TEST(BuildSnapshot, RowsOfAnUpdatedTableAllCount) {
  for (const bool in_first : {true, false}) {
    FakeShard a("a", 60);
    a.Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"});
    FakeShard b("b", 60);
    b.Table("T", {"x INTEGER"})
        .Publish("h1", "T", {"2"})
        .Publish("h2", "T", {"3"})
        .Publish("h1", "T", {"4"});
    if (in_first) {
      a.Updated("t");
    } else {
      b.Updated("T");
    }
    Whole whole({a.Seal(), b.Seal()});
    EXPECT_EQ(whole.Rows("SELECT x FROM t"), (Expected{"1", "2", "3", "4"}));
    EXPECT_EQ(whole.TableFacts("t"), Expected{"4|4|0|61.0"});
    EXPECT_EQ(whole.publishers(), 2);
    EXPECT_EQ(whole.Rows("SELECT nr_tables FROM qasino_server_connections WHERE identity = 'h1'"),
              Expected{"1"});
  }
}

TEST(BuildSnapshot, ARepeatedPublishDoesNotCount) {
  Whole whole({FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal(),
               FakeShard("b", 90)
                   .Table("t", {"x INTEGER"})
                   .Publish("h2", "t", {})
                   .Publish("h1", "t", {"2", "3"})
                   .Publish("h3", "t", {})
                   .Seal(),
               FakeShard("c", 120).Table("t", {"x INTEGER"}).Publish("h1", "t", {"4"}).Seal()});
  EXPECT_EQ(whole.Rows("SELECT x FROM t"), Expected{"1"});
  EXPECT_EQ(whole.TableFacts("t"), Expected{"1|3|0|91.0"});
}

TEST(BuildSnapshot, WhatIsRunningHidesWhatIsCarried) {
  const Shards shards = {FakeShard("r", 90)
                             .Kind(v1::RUNNING)
                             .Table("t", {"x INTEGER"})
                             .Publish("h1", "t", {"1"})
                             .Updated("t")
                             .Seal(),
                         FakeShard("p", 60)
                             .Kind(v1::PERSISTENT)
                             .Anonymous()
                             .Table("t", {"x INTEGER"})
                             .Publish("h1", "t", {"10"})
                             .Publish("h2", "t", {"20"})
                             .Updated("t")
                             .Seal()};
  Whole whole(shards, {.identity = "server"}, InternalTables::kNone);
  EXPECT_EQ(whole.Rows("SELECT x FROM t"), (Expected{"1", "20"}));
  EXPECT_EQ(whole.Rows("SELECT count(*) FROM sqlite_master"), Expected{"1"});
}

TEST(BuildSnapshot, WhatIsCollectedHidesWhatIsCarriedFromBefore) {
  for (const bool updated : {false, true}) {
    FakeShard carried("p", 30);
    carried.Kind(v1::PERSISTENT)
        .Anonymous()
        .Table("t", {"x INTEGER"})
        .Publish("h1", "t", {"10"})
        .Publish("h2", "t", {"20"});
    if (updated) carried.Updated("t");
    const auto late = [](const std::string& id, const std::string& x) {
      return FakeShard(id, 60).Table("T", {"x INTEGER"}).Publish("h1", "T", {x}).Seal();
    };
    Whole whole({carried.Seal(), late("a", "1")});
    EXPECT_EQ(whole.Rows("SELECT x FROM t"), (Expected{"20", "1"}));
    EXPECT_EQ(whole.TableFacts("t"), Expected{"2|2|0|61.0"});
    Whole twice({carried.Seal(), late("a", "1"), late("b", "2")});
    EXPECT_EQ(twice.Rows("SELECT x FROM t"), (Expected{"20", "1"}));
  }
}

TEST(BuildSnapshot, WhatIsCarriedFromThisGenerationHidesWhatIsCollected) {
  Whole whole({FakeShard("p", 60)
                   .Kind(v1::PERSISTENT)
                   .Anonymous()
                   .Table("t", {"x INTEGER"})
                   .Publish("h1", "t", {"10"})
                   .Seal(),
               FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal()});
  EXPECT_EQ(whole.Rows("SELECT x FROM t"), Expected{"10"});
}

TEST(BuildSnapshot, ThereMayBeNothingInIt) {
  Whole whole({}, {.identity = "server"}, InternalTables::kNone);
  EXPECT_EQ(whole.Rows("SELECT count(*) FROM sqlite_master"), Expected{"0"});
}

TEST(BuildSnapshot, AHiddenStaticTableHidesNothing) {
  Whole whole({FakeShard("a", 60).Table("t", {"x INTEGER"}).Publish("h1", "t", {"1"}).Seal(),
               FakeShard("s", 0)
                   .Kind(v1::STATIC)
                   .Anonymous()
                   .Table("T", {"x INTEGER"})
                   .Publish("h1", "T", {"2"})
                   .Seal()});
  EXPECT_EQ(whole.Rows("SELECT x FROM t"), Expected{"1"});
  EXPECT_EQ(whole.TableFacts("t"), Expected{"1|1|0|61.0"});
}

TEST(BuildSnapshot, ViewsAndGenerationsAreThoseOfTheFacts) {
  ServerFacts facts{.identity = "server"};
  facts.views = {{.name = "a", .loaded = true, .sql = "CREATE VIEW a AS SELECT 1"},
                 {.name = "b", .error = "no such table: x", .sql = "CREATE VIEW b AS SELECT x"}};
  v1::GenerationInfo generation;
  generation.set_generation(60);
  generation.set_revision(2);
  generation.set_complete(true);
  generation.set_shards(3);
  generation.set_size_bytes(4096);
  generation.mutable_committed_at()->set_seconds(91);
  generation.mutable_committed_at()->set_nanos(500'000'000);
  facts.generations.push_back(generation);
  Whole whole({}, facts);
  EXPECT_EQ(whole.Rows("SELECT * FROM qasino_server_views"),
            (Expected{"a|1||CREATE VIEW a AS SELECT 1",
                      "b|0|no such table: x|CREATE VIEW b AS SELECT x"}));
  EXPECT_EQ(whole.Rows("SELECT * FROM qasino_server_generations"), Expected{"60|2|1|3|4096|91.5"});
  EXPECT_TRUE(IsInternalTable("Qasino_Server_Generations"));
  EXPECT_FALSE(IsInternalTable("qasino_server_publishes"));
}

}  // namespace
}  // namespace qasino::merge
