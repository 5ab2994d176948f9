#include "services/store/kept_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "services/sqlite/database.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Change = KeptTables::Change;
using Operation = FaultyFileSystem::Operation;

// A table of integers; each column is "name=cell,cell" with empty cells NULL.
v1::Table Table(const std::string& name, const std::vector<std::string>& columns) {
  v1::Table table;
  table.set_name(name);
  for (const std::string& text : columns) {
    v1::Column& column = *table.add_columns();
    const size_t equals = text.find('=');
    column.set_name(text.substr(0, equals));
    column.set_type(v1::INTEGER);
    if (equals == std::string::npos) continue;
    std::stringstream cells(text.substr(equals + 1));
    for (std::string cell; std::getline(cells, cell, ',');) {
      column.mutable_kinds()->push_back(cell == "-" ? 0 : 1);
      if (cell != "-") column.add_integers(std::stoll(cell));
    }
  }
  return table;
}

Change PutStatic(const std::string& identity, const v1::Table& table) {
  Change change;
  change.record.mutable_put_static()->set_identity(identity);
  *change.record.mutable_put_static()->mutable_table() = table;
  return change;
}

Change DropStatic(const std::string& name) {
  Change change;
  change.record.mutable_drop_static()->set_table_name(name);
  return change;
}

Change Put(const std::string& identity, int64_t generation, const v1::Table& table) {
  Change change;
  v1::PutPersistentTableRequest& put = *change.record.mutable_put_persistent();
  put.set_identity(identity);
  put.set_generation(generation);
  *put.mutable_table() = table;
  return change;
}

Change Update(const std::string& identity, int64_t generation, const v1::Table& table,
              const std::vector<std::string>& keys) {
  Change change = Put(identity, generation, table);
  change.record.mutable_put_persistent()->set_update(true);
  for (const std::string& key : keys) change.record.mutable_put_persistent()->add_keycols(key);
  return change;
}

Change Drop(const std::string& identity, const std::string& table, int64_t generation) {
  Change change;
  v1::DropPersistentTableRequest& drop = *change.record.mutable_drop_persistent();
  drop.set_identity(identity);
  drop.set_table_name(table);
  drop.set_generation(generation);
  return change;
}

// The rows of a shard's table, after a line of its columns.
std::vector<std::string> Rows(const absl::StatusOr<std::optional<KeptShard>>& shard,
                              const std::string& table) {
  if (!shard.ok()) return {shard.status().ToString()};
  if (!shard->has_value()) return {"no shard"};
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  EXPECT_TRUE(database.ReadFrom("main", (*shard)->bytes->view()).ok());
  absl::StatusOr<sqlite::Statement> select =
      database.Prepare("SELECT * FROM " + sqlite::QuoteName(table) + " ORDER BY _rowid_");
  if (!select.ok()) return {"no table"};
  std::vector<std::string> rows(1);
  for (int i = 0; i < select->ColumnCount(); ++i) {
    rows[0] += (i == 0 ? "" : "|") + std::string(select->ColumnName(i));
  }
  while (*select->Step()) {
    std::string row;
    for (int i = 0; i < select->ColumnCount(); ++i) {
      row += (i == 0 ? "" : "|") + std::string(select->Text(i));
    }
    rows.push_back(row);
  }
  return rows;
}

class KeptTablesTest : public ::testing::Test {
 protected:
  KeptTablesTest() {
    std::filesystem::create_directory(folder_ + "/incoming");
    std::filesystem::create_directory(folder_ + "/damaged");
    Open(0);
  }

  void Open(int64_t built) {
    kept_.reset();
    auto kept = KeptTables::Open(folder_, "store", &files_, limits_, built);
    ASSERT_TRUE(kept.ok()) << kept.status();
    kept_ = *std::move(kept);
  }

  Change Apply(Change change) {
    std::vector<Change> changes;
    changes.push_back(std::move(change));
    kept_->Apply(changes);
    return changes[0];
  }

  void Do(Change change) {
    const Change done = Apply(std::move(change));
    EXPECT_TRUE(done.status.ok()) << done.status;
    EXPECT_FALSE(done.duplicate);
  }

  std::vector<std::string> Persistent(int64_t generation, const std::string& table = "t") {
    return Rows(kept_->Persistent(generation), table);
  }
  std::vector<std::string> Carried(const std::string& table = "t") {
    return Rows(kept_->Carried(), table);
  }
  std::vector<std::string> Static(const std::string& table = "t") {
    return Rows(kept_->Static(), table);
  }

  KeptLimits limits_;
  const std::string folder_ = NewTestFolder();
  FaultyFileSystem files_;
  std::unique_ptr<KeptTables> kept_;
};

TEST_F(KeptTablesTest, AStaticPutReplacesTheRowsAndAddsColumns) {
  EXPECT_THAT(Static(), ElementsAre("no shard"));
  Do(PutStatic("i", Table("T", {"a=1,2", "b=3,4"})));
  EXPECT_THAT(Static(), ElementsAre("a|b", "1|3", "2|4"));
  Do(PutStatic("j", Table("t", {"B=5", "c=6"})));
  EXPECT_THAT(Static(), ElementsAre("a|b|c", "|5|6"));
  const auto shard = *kept_->Static();
  EXPECT_EQ(shard->info.kind(), v1::STATIC);
  EXPECT_EQ(shard->info.generation(), 0);
  EXPECT_EQ(shard->info.publishers(), 1);
  EXPECT_EQ(shard->info.tables(0).name(), "T");
  EXPECT_EQ(shard->info.tables(0).rows(), 1);
  EXPECT_THAT(Rows(kept_->Static(), "qasino_server_publishes"),
              ElementsAre(HasSubstr("tablename"), HasSubstr("T|j|1|1|1|")));
  // The same until it changes.
  EXPECT_EQ((*kept_->Static())->bytes, shard->bytes);
  EXPECT_EQ((*kept_->Static())->info.shard_id(), shard->info.shard_id());
}

TEST_F(KeptTablesTest, APutIsInTheSnapshotOfItsGenerationAndOfLaterOnes) {
  Do(Put("i", 20, Table("t", {"a=1,2"})));
  EXPECT_TRUE(kept_->AnyPersistent());
  EXPECT_THAT(Persistent(10), ElementsAre("no shard"));
  EXPECT_THAT(Carried(), ElementsAre("a", "1", "2"));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "1", "2"));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "1", "2"));
}

TEST_F(KeptTablesTest, TheShardSaysWhatItIs) {
  Do(Put("i", 10, Table("A", {"x=1,2"})));
  Do(Put("j", 10, Table("a", {"y=3"})));
  Do(Put("i", 10, Table("b", {"x"})));
  const auto kept = *kept_->Persistent(10);
  const v1::ShardInfo& info = kept->info;
  EXPECT_THAT(info.shard_id(), ::testing::MatchesRegex("persistent-[0-9a-f]{24}"));
  EXPECT_EQ(info.kind(), v1::PERSISTENT);
  EXPECT_EQ(info.format(), v1::SQLITE3);
  EXPECT_EQ(info.generation(), 10);
  EXPECT_FALSE(info.has_duration());
  EXPECT_EQ(info.publishers(), 2);
  EXPECT_EQ(info.ingest_id(), "");
  EXPECT_EQ(info.identity(), "");
  EXPECT_TRUE(info.has_sealed_at());
  EXPECT_EQ(info.size_bytes(), kept->bytes->size());
  EXPECT_EQ(info.xxh3(), Checksum::Of(kept->bytes->view()));
  ASSERT_EQ(info.tables_size(), 2);
  EXPECT_EQ(info.tables(0).name(), "A");
  EXPECT_EQ(info.tables(0).rows(), 3);
  EXPECT_EQ(info.tables(0).updates(), 2);
  EXPECT_FALSE(info.tables(0).updated());
  EXPECT_TRUE(info.tables(0).has_last_update());
  EXPECT_EQ(info.tables(0).columns_size(), 2);
  EXPECT_EQ(info.tables(1).rows(), 0);
  const auto runs = Rows(kept_->Persistent(10), "qasino_server_publishes");
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_THAT(runs[1], HasSubstr("A|i|1|2|1|"));
  EXPECT_THAT(runs[2], HasSubstr("A|j|3|1|1|"));
  EXPECT_THAT(runs[3], HasSubstr("b|i|1|0|1|"));
}

TEST_F(KeptTablesTest, TheSameShardUntilSomethingChanges) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  const std::string id = (*kept_->Persistent(10))->info.shard_id();
  EXPECT_EQ((*kept_->Persistent(20))->info.shard_id(), id);
  Do(Put("i", 40, Table("t", {"a=2"})));
  EXPECT_EQ((*kept_->Persistent(30))->info.shard_id(), id);
  // What shows the running generation does not count.
  EXPECT_NE((*kept_->Carried())->info.shard_id(), id);
  EXPECT_EQ((*kept_->Persistent(30))->info.shard_id(), id);
  EXPECT_NE((*kept_->Persistent(40))->info.shard_id(), id);
}

TEST_F(KeptTablesTest, APutReplacesWhatTheSameIdentityPut) {
  Do(Put("i", 10, Table("t", {"a=1,2", "b=1,2"})));
  Do(Put("j", 10, Table("t", {"a=3"})));
  EXPECT_THAT(Persistent(10), ElementsAre("a|b", "1|1", "2|2", "3|"));
  Do(Put("i", 20, Table("T", {"c=4", "a=5"})));
  // Not before its generation; then nobody has b, and i keeps its place.
  EXPECT_THAT(Persistent(10), ElementsAre("a|b", "1|1", "2|2", "3|"));
  EXPECT_THAT(Persistent(20), ElementsAre("a|c", "5|4", "3|"));
}

TEST_F(KeptTablesTest, AColumnsTypeIsTheOneThatCameFirstOfThoseCarried) {
  v1::Table text = Table("t", {"a"});
  text.mutable_columns(0)->set_type(v1::TEXT);
  text.mutable_columns(0)->add_texts("007");
  Do(Put("i", 10, Table("t", {"a=1"})));
  Do(Put("j", 10, text));
  EXPECT_THAT(Persistent(10), ElementsAre("a", "1", "7"));
  // Once i is gone, a put decides anew.
  Do(Drop("i", "t", 20));
  Do(Put("j", 20, text));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "007"));
  EXPECT_EQ((*kept_->Persistent(20))->info.tables(0).columns(0).type(), v1::TEXT);
}

TEST_F(KeptTablesTest, APutOfTheSameGenerationAgainIsADuplicate) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  EXPECT_TRUE(Apply(Put("i", 10, Table("t", {"a=2"}))).duplicate);
  EXPECT_THAT(Persistent(10), ElementsAre("a", "1"));
  EXPECT_TRUE(Apply(Put("i", 10, Table("T", {"a=2"}))).duplicate);
  EXPECT_FALSE(Apply(Put("i", 20, Table("t", {"a=3"}))).duplicate);
  // It has been replaced since.
  Persistent(20);
  EXPECT_TRUE(Apply(Put("i", 15, Table("t", {"a=4"}))).duplicate);
  EXPECT_THAT(Persistent(20), ElementsAre("a", "3"));
  // Also after the start.
  Open(20);
  EXPECT_TRUE(Apply(Put("i", 20, Table("t", {"a=5"}))).duplicate);
  // And within what is applied together.
  std::vector<Change> changes;
  changes.push_back(Put("k", 30, Table("t", {"a=6"})));
  changes.push_back(Put("k", 30, Table("t", {"a=7"})));
  kept_->Apply(changes);
  EXPECT_FALSE(changes[0].duplicate);
  EXPECT_TRUE(changes[1].duplicate);
  EXPECT_THAT(Persistent(30), ElementsAre("a", "3", "6"));
}

TEST_F(KeptTablesTest, APutThatComesLateIsThereAtOnce) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "1"));
  Do(Put("j", 20, Table("t", {"a=2"})));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "1", "2"));
}

TEST_F(KeptTablesTest, AnOlderGenerationHasWhatWasPutUpToIt) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  Do(Put("j", 20, Table("t", {"b=2"})));
  Do(Put("j", 20, Table("u", {"b=2"})));
  EXPECT_THAT(Persistent(20), ElementsAre("a|b", "1|", "|2"));
  EXPECT_THAT(Persistent(10), ElementsAre("a", "1"));
  EXPECT_THAT(Persistent(10, "u"), ElementsAre("no table"));
  EXPECT_THAT(Persistent(5), ElementsAre("no shard"));
  EXPECT_THAT(Persistent(20), ElementsAre("a|b", "1|", "|2"));
}

TEST_F(KeptTablesTest, AnOlderGenerationHasNoShardOfALaterOne) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  Do(Put("j", 10, Table("t", {"a=2"})));
  Do(Drop("j", "t", 30));
  EXPECT_EQ((*kept_->Persistent(30))->info.generation(), 30);
  EXPECT_EQ(kept_->built(), 30);
  EXPECT_THAT(Persistent(20), ElementsAre("a", "1"));
  EXPECT_EQ((*kept_->Persistent(20))->info.generation(), 20);
}

TEST_F(KeptTablesTest, ChangesAreMadeInTheOrderOfGenerations) {
  Do(Put("i", 30, Table("t", {"a=3"})));
  Do(Put("i", 20, Table("t", {"a=2"})));
  EXPECT_THAT(Persistent(10), ElementsAre("no shard"));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "2"));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "3"));
}

TEST_F(KeptTablesTest, AnUpdateChangesRowsWhoeverPutThem) {
  Do(Put("i", 10, Table("t", {"k=1,2", "v=1,2"})));
  Do(Put("j", 10, Table("t", {"k=3", "v=3", "w=30"})));
  Do(Update("i", 10, Table("t", {"k=3,4", "v=33,44"}), {"K"}));
  // The row of j is now among those of i.
  EXPECT_THAT(Persistent(10), ElementsAre("k|v|w", "1|1|", "2|2|", "3|33|30", "4|44|"));
  const auto shard = *kept_->Persistent(10);
  EXPECT_TRUE(shard->info.tables(0).updated());
  EXPECT_EQ(shard->info.tables(0).updates(), 3);
  // It goes with i, and j replaces its own alone.
  Do(Put("j", 20, Table("t", {"k=5"})));
  EXPECT_THAT(Persistent(20), ElementsAre("k|v|w", "1|1|", "2|2|", "3|33|30", "4|44|", "5||"));
  Do(Drop("i", "t", 30));
  EXPECT_THAT(Persistent(30), ElementsAre("k", "5"));
}

TEST_F(KeptTablesTest, UpdatesAreNoDuplicatesButAPutAfterThemIs) {
  Do(Update("i", 10, Table("t", {"k=1", "v=1"}), {"k"}));
  Do(Update("i", 10, Table("t", {"k=1", "v=2"}), {"k"}));
  EXPECT_TRUE(Apply(Put("i", 10, Table("t", {"k=1"}))).duplicate);
  EXPECT_THAT(Persistent(10), ElementsAre("k|v", "1|2"));
}

TEST_F(KeptTablesTest, AnyNumberOfSetsOfKeys) {
  Do(Put("i", 10, Table("t", {"a=1", "b=1", "c=1", "d=1", "e=1", "f=1"})));
  for (const char* key : {"a", "b", "c", "d", "e", "f", "a"}) {
    Do(Update("i", 10, Table("t", {"a=1", "b=1", "c=1", "d=1", "e=1", "f=1"}), {key}));
  }
  EXPECT_THAT(Persistent(10), ElementsAre("a|b|c|d|e|f", "1|1|1|1|1|1"));
}

TEST_F(KeptTablesTest, ADropOfAGenerationLeavesWhatIsPutForItOrLater) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  Do(Put("j", 10, Table("t", {"a=2"})));
  Do(Drop("i", "t", 20));
  EXPECT_THAT(Persistent(10), ElementsAre("a", "1", "2"));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "2"));
  // Put again for that generation.
  Do(Put("j", 30, Table("t", {"a=3"})));
  Do(Drop("j", "t", 30));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "3"));
  Do(Drop("j", "t", 30));
  EXPECT_THAT(Persistent(30), ElementsAre("a", "3"));
  // The last pair takes the table with it.
  Do(Drop("j", "t", 31));
  EXPECT_THAT(Persistent(40), ElementsAre("no shard"));
  EXPECT_FALSE(kept_->AnyPersistent());
}

TEST_F(KeptTablesTest, ADropAtOnceTakesWhatWaitsToo) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  Persistent(10);
  Do(Put("i", 20, Table("t", {"a=2"})));
  Do(Put("j", 20, Table("t", {"a=3"})));
  Do(Drop("i", "T", 0));
  EXPECT_THAT(Persistent(10), ElementsAre("no shard"));
  EXPECT_THAT(Carried(), ElementsAre("a", "3"));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "3"));
  EXPECT_TRUE(absl::IsNotFound(Apply(Drop("i", "t", 0)).status));
  EXPECT_TRUE(absl::IsNotFound(Apply(Drop("i", "t", 30)).status));
  EXPECT_TRUE(absl::IsNotFound(Apply(Drop("j", "u", 0)).status));
  // What only waits can be dropped.
  Do(Put("k", 30, Table("t", {"a=4"})));
  Do(Drop("k", "t", 0));
  EXPECT_THAT(Carried(), ElementsAre("a", "3"));
  // And put again.
  Do(Put("k", 30, Table("t", {"a=5"})));
  EXPECT_THAT(Carried(), ElementsAre("a", "3", "5"));
}

TEST_F(KeptTablesTest, WhatIsCarriedIsShownWithAllThatWaitsAndIsNotChangedByThat) {
  Do(Put("i", 10, Table("t", {"a=1,2", "b=1,2"})));
  Do(Put("j", 10, Table("t", {"a=3"})));
  Do(Put("j", 10, Table("u", {"a=3"})));
  Persistent(10);
  Do(Update("j", 20, Table("t", {"a=1,9", "c=7,8"}), {"a"}));
  Do(Put("i", 30, Table("t", {"d=5"})));
  Do(Drop("j", "u", 30));
  Do(Put("k", 30, Table("v", {"a=1"})));
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(Carried(), ElementsAre("a|b|c|d", "|||5", "1|1|7|", "3|||", "9||8|"));
    EXPECT_THAT(Carried("u"), ElementsAre("no table"));
    EXPECT_THAT(Carried("v"), ElementsAre("a", "1"));
    EXPECT_THAT(Persistent(10), ElementsAre("a|b", "1|1", "2|2", "3|"));
    EXPECT_THAT(Persistent(10, "u"), ElementsAre("a", "3"));
    EXPECT_THAT(Persistent(10, "v"), ElementsAre("no table"));
  }
  EXPECT_EQ(kept_->size().persistent_pairs, 3);
  EXPECT_THAT(Persistent(20), ElementsAre("a|b|c", "2|2|", "1|1|7", "3||", "9||8"));
  EXPECT_THAT(Persistent(30), ElementsAre("a|b|c|d", "|||5", "1|1|7|", "3|||", "9||8|"));
}

TEST_F(KeptTablesTest, PublishingAnewEndsWhatWasPutForAnEarlierGeneration) {
  Do(Put("i", 10, Table("T", {"a=1"})));
  Do(Put("j", 20, Table("T", {"a=2"})));
  const std::vector<Pair> pairs = {{"t", "i"}, {"t", "j"}, {"t", "k"}, {"u", "i"}};
  EXPECT_THAT(kept_->EndedBy(10, pairs), IsEmpty());
  for (const int64_t built : {0, 10, 20}) {
    Persistent(built);
    std::vector<Change> ended = kept_->EndedBy(20, pairs);
    ASSERT_EQ(ended.size(), 1u) << built;
    const v1::DropPersistentTableRequest& drop = ended[0].record.drop_persistent();
    EXPECT_EQ(drop.identity(), "i");
    EXPECT_EQ(drop.table_name(), "t");
    EXPECT_EQ(drop.generation(), 20);
  }
  std::vector<Change> ended = kept_->EndedBy(30, pairs);
  EXPECT_EQ(ended.size(), 2u);
  kept_->Apply(ended);
  EXPECT_TRUE(ended[1].status.ok()) << ended[1].status;
  // Whoever says it again says nothing new.
  const int64_t bytes = kept_->size().journal_bytes;
  kept_->Apply(ended);
  EXPECT_TRUE(ended[1].status.ok()) << ended[1].status;
  EXPECT_EQ(kept_->size().journal_bytes, bytes);
  EXPECT_THAT(Persistent(20), ElementsAre("a", "1", "2"));
  EXPECT_THAT(Persistent(30), ElementsAre("no shard"));
}

TEST_F(KeptTablesTest, WhatEndsItIsLostWithItsShard) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  std::vector<Change> ended = kept_->EndedBy(20, {{"t", "i"}});
  ASSERT_EQ(ended.size(), 1u);
  ended[0].record.set_ended_by("shard-20");
  kept_->Apply(ended);
  EXPECT_THAT(Persistent(20), ElementsAre("no shard"));
  kept_.reset();
  // A crash came before the manifest that would have named the shard.
  auto kept = KeptTables::Open(folder_, "store", &files_, limits_, 10,
                               [](int64_t generation, const std::string& shard_id) {
                                 return generation == 20 && shard_id == "shard-20";
                               });
  ASSERT_TRUE(kept.ok()) << kept.status();
  kept_ = *std::move(kept);
  EXPECT_THAT(Persistent(30), ElementsAre("a", "1"));
}

TEST_F(KeptTablesTest, WhatWaitsIsEndedInTheOrderOfGenerations) {
  Do(Put("i", 20, Table("t", {"a=2"})));
  Do(Put("i", 40, Table("t", {"a=4"})));
  std::vector<Change> ended = kept_->EndedBy(30, {{"t", "i"}});
  ASSERT_EQ(ended.size(), 1u);
  kept_->Apply(ended);
  EXPECT_THAT(kept_->EndedBy(40, {{"t", "i"}}), IsEmpty());
  EXPECT_THAT(Persistent(20), ElementsAre("a", "2"));
  EXPECT_THAT(Persistent(30), ElementsAre("no shard"));
  EXPECT_THAT(Persistent(40), ElementsAre("a", "4"));
}

TEST_F(KeptTablesTest, AStaticTableIsDropped) {
  EXPECT_TRUE(absl::IsNotFound(Apply(DropStatic("t")).status));
  Do(PutStatic("i", Table("t", {"a=1"})));
  Do(PutStatic("i", Table("u", {"a=2"})));
  Do(DropStatic("T"));
  EXPECT_THAT(Static("t"), ElementsAre("no table"));
  EXPECT_THAT(Static("u"), ElementsAre("a", "2"));
  // Its columns are forgotten with it.
  Do(PutStatic("i", Table("t", {"b=1"})));
  EXPECT_THAT(Static("t"), ElementsAre("b", "1"));
  Do(DropStatic("t"));
  Do(DropStatic("u"));
  EXPECT_THAT(Static(), ElementsAre("no shard"));
}

TEST_F(KeptTablesTest, EverythingIsThereAfterARestart) {
  v1::Table mixed = Table("t", {"a=1,2", "b=1,-"});
  v1::Column& text = *mixed.add_columns();
  text.set_name("select");
  text.set_type(v1::TEXT);
  text.add_texts("x");
  text.add_blobs(std::string("\0\1", 2));
  text.set_kinds("\3\4");
  Do(PutStatic("i", mixed));
  Do(PutStatic("i", Table("u", {"z", "a"})));
  Do(Put("j", 10, mixed));
  Do(Put("i", 10, Table("t", {"d=5"})));
  // The order of columns is not that of the pairs any more, and a row of j belongs to i.
  Do(Put("j", 20, Table("t", {"e=6", "d=7"})));
  Do(Update("k", 20, Table("t", {"d=7", "a=8"}), {"d"}));
  Do(Put("k", 30, Table("w", {"a=1"})));
  Do(Put("j", 40, Table("t", {"a=9"})));
  Do(Drop("i", "t", 40));
  Persistent(20);
  const auto statics = Static();
  const auto carried = Carried();
  const auto persistent = Persistent(20);
  const auto info = (*kept_->Persistent(20))->info;
  EXPECT_THAT(persistent, ElementsAre("d|e|a", "5||", "7|6|8"));
  // Once from the journal as it grew, once from the state, once with what waits built.
  for (int times = 0; times < 2; ++times) {
    Open(20);
    EXPECT_EQ(Static(), statics);
    EXPECT_EQ(Carried(), carried);
    EXPECT_EQ(Persistent(20), persistent);
    v1::ShardInfo again = (*kept_->Persistent(20))->info;
    EXPECT_NE(again.shard_id(), info.shard_id());
    again.set_shard_id(info.shard_id());
    again.set_xxh3(info.xxh3());
    EXPECT_EQ(again.SerializeAsString(), info.SerializeAsString());
  }
  Open(40);
  EXPECT_EQ(Static(), statics);
  EXPECT_EQ(Persistent(40), carried);
  EXPECT_EQ(Persistent(40, "w"), Carried("w"));
}

TEST_F(KeptTablesTest, AChangeThatCameLateIsMadeAfterThoseBeforeItAlsoAfterARestart) {
  Do(Put("i", 10, Table("t", {"k=1", "v=1"})));
  Do(Update("i", 20, Table("t", {"k=1", "v=2"}), {"k"}));
  Persistent(20);
  Do(Update("j", 15, Table("t", {"k=1", "v=3"}), {"k"}));
  EXPECT_THAT(Persistent(20), ElementsAre("k|v", "1|3"));
  Open(20);
  EXPECT_THAT(Persistent(20), ElementsAre("k|v", "1|3"));
}

TEST_F(KeptTablesTest, NothingIsSeenOfWhatTheDiskRefuses) {
  Do(PutStatic("i", Table("t", {"a=1"})));
  Do(Put("i", 10, Table("t", {"a=1"})));
  for (const Operation operation : {Operation::kAppend, Operation::kSync}) {
    files_.Fail(operation, "journal", absl::ResourceExhaustedError("full"));
    std::vector<Change> changes;
    changes.push_back(PutStatic("i", Table("t", {"a=2"})));
    changes.push_back(Put("i", 20, Table("t", {"a=2"})));
    changes.push_back(Put("i", 10, Table("t", {"a=2"})));
    changes.push_back(Drop("nobody", "t", 0));
    kept_->Apply(changes);
    EXPECT_TRUE(absl::IsResourceExhausted(changes[0].status)) << changes[0].status;
    EXPECT_TRUE(absl::IsResourceExhausted(changes[1].status)) << changes[1].status;
    // These do not need it.
    EXPECT_TRUE(changes[2].status.ok() && changes[2].duplicate);
    EXPECT_TRUE(absl::IsNotFound(changes[3].status)) << changes[3].status;
    EXPECT_THAT(Static(), ElementsAre("a", "1"));
    EXPECT_THAT(Carried(), ElementsAre("a", "1"));
    files_.Heal();
  }
  Do(PutStatic("i", Table("t", {"a=3"})));
  Open(10);
  EXPECT_THAT(Static(), ElementsAre("a", "3"));
  EXPECT_THAT(Carried(), ElementsAre("a", "1"));
}

TEST_F(KeptTablesTest, ChangesThatComeTogetherAreWrittenTogether) {
  Do(PutStatic("i", Table("t", {"a=1"})));
  const int64_t before = files_.Count(Operation::kSync);
  std::vector<Change> changes;
  changes.push_back(PutStatic("i", Table("t", {"a=2"})));
  changes.push_back(PutStatic("i", Table("u", {"a=3"})));
  changes.push_back(Put("i", 10, Table("t", {"a=4"})));
  changes.push_back(PutStatic("i", Table("v", {"a=5"})));
  kept_->Apply(changes);
  for (const Change& change : changes) EXPECT_TRUE(change.status.ok()) << change.status;
  EXPECT_EQ(files_.Count(Operation::kSync), before + 1);

  // What is of the same table depends on what comes before it.
  changes.clear();
  changes.push_back(DropStatic("T"));
  changes.push_back(DropStatic("t"));
  changes.push_back(PutStatic("i", Table("T", {"b=6"})));
  changes.push_back(PutStatic("i", Table("t", {"c=7"})));
  kept_->Apply(changes);
  EXPECT_TRUE(changes[0].status.ok()) << changes[0].status;
  EXPECT_TRUE(absl::IsNotFound(changes[1].status)) << changes[1].status;
  EXPECT_TRUE(changes[2].status.ok()) << changes[2].status;
  EXPECT_TRUE(changes[3].status.ok()) << changes[3].status;
  for (int times = 0; times < 2; ++times) {
    EXPECT_THAT(Static("t"), ElementsAre("b|c", "|7"));
    EXPECT_THAT(Static("u"), ElementsAre("a", "3"));
    EXPECT_THAT(Static("v"), ElementsAre("a", "5"));
    Open(0);
  }
}

TEST_F(KeptTablesTest, ADiskThatFailsIsTriedOnceForAllThatComesTogether) {
  Do(PutStatic("i", Table("t", {"a=1"})));
  files_.Fail(Operation::kSync, "journal", absl::ResourceExhaustedError("full"));
  const int64_t before = files_.Count(Operation::kSync);
  std::vector<Change> changes;
  for (int i = 0; i < 3; ++i) changes.push_back(PutStatic("i", Table("t", {"a=2"})));
  changes.push_back(Put("i", 10, Table("t", {"a=2"})));
  kept_->Apply(changes);
  for (const Change& change : changes) {
    EXPECT_TRUE(absl::IsResourceExhausted(change.status)) << change.status;
  }
  EXPECT_EQ(files_.Count(Operation::kSync), before + 1);
  files_.Heal();
  EXPECT_THAT(Static(), ElementsAre("a", "1"));
  Do(PutStatic("i", Table("t", {"a=3"})));
}

TEST_F(KeptTablesTest, AFullDiskAtTheStartKeepsNothingFromBeingSeen) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  files_.Fail(Operation::kCreate, "journal", absl::ResourceExhaustedError("full"));
  Open(10);
  EXPECT_THAT(Persistent(10), ElementsAre("a", "1"));
  EXPECT_TRUE(absl::IsResourceExhausted(Apply(Put("i", 20, Table("t", {"a=2"}))).status));
  files_.Heal();
  Do(Put("i", 20, Table("t", {"a=3"})));
  Open(20);
  EXPECT_THAT(Persistent(20), ElementsAre("a", "3"));
}

TEST_F(KeptTablesTest, ADamagedRecordCostsNoMoreThanItsTable) {
  Do(Put("i", 10, Table("first", {"a=1"})));
  Do(Put("i", 10, Table("second", {"a=1"})));
  Do(PutStatic("i", Table("third", {"a=1"})));
  const std::string path = folder_ + "/tables.journal";
  std::string bytes = ReadTestFile(path);
  bytes[bytes.find("second")] = 'z';
  WriteTestFile(path, bytes);
  Open(10);
  EXPECT_THAT(Persistent(10, "first"), ElementsAre("a", "1"));
  EXPECT_THAT(Persistent(10, "second"), ElementsAre("no table"));
  EXPECT_THAT(Static("third"), ElementsAre("a", "1"));
  EXPECT_EQ(ReadTestFile(folder_ + "/damaged/tables.journal"), bytes);
  Open(10);
  EXPECT_THAT(Persistent(10, "first"), ElementsAre("a", "1"));
}

TEST_F(KeptTablesTest, LimitsAreNamed) {
  limits_.max_tables = 2;
  limits_.max_pairs = 3;
  limits_.max_columns = 4;
  limits_.max_static_bytes = 50'000;
  limits_.max_persistent_bytes = 60'000;
  Open(0);
  const auto refused = [&](Change change, const std::string& words) {
    const absl::Status status = Apply(std::move(change)).status;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  };
  std::string cells = "a=1";
  for (int i = 0; i < 2000; ++i) cells += ",1";
  refused(PutStatic("i", Table("t", {cells})), "no room");
  refused(Put("i", 10, Table("t", {cells})), "no room");
  refused(PutStatic("i", Table("t", {"a", "b", "c", "d", "e"})), "5 columns");
  Do(PutStatic("i", Table("t", {"a", "b", "c"})));
  refused(PutStatic("i", Table("t", {"d", "e"})), "5 columns");
  Do(PutStatic("i", Table("u", {"a"})));
  refused(PutStatic("i", Table("v", {"a"})), "2 static tables");
  Do(PutStatic("i", Table("u", {"b"})));

  // Those made together count, in their order.
  std::vector<Change> changes;
  changes.push_back(DropStatic("u"));
  changes.push_back(PutStatic("i", Table("v", {"a"})));
  changes.push_back(PutStatic("i", Table("w", {"a"})));
  changes.push_back(PutStatic("i", Table("t", {cells.substr(0, 200)})));
  kept_->Apply(changes);
  EXPECT_TRUE(changes[0].status.ok()) << changes[0].status;
  EXPECT_TRUE(changes[1].status.ok()) << changes[1].status;
  EXPECT_THAT(std::string(changes[2].status.message()), HasSubstr("2 static tables"));
  EXPECT_TRUE(changes[3].status.ok()) << changes[3].status;

  // Those that wait count, those made together too.
  Do(Put("i", 10, Table("t", {"a=1", "b=1"})));
  refused(Put("j", 10, Table("t", {"c=1", "d=1", "e=1"})), "5 columns");
  changes.clear();
  changes.push_back(Put("j", 10, Table("t", {"c=1", "d=1"})));
  changes.push_back(Put("k", 10, Table("t", {"e=1"})));
  changes.push_back(Put("k", 10, Table("u", {"e=1"})));
  changes.push_back(Put("k", 10, Table("v", {"e=1"})));
  changes.push_back(Put("l", 10, Table("t", {"a=1"})));
  kept_->Apply(changes);
  EXPECT_TRUE(changes[0].status.ok()) << changes[0].status;
  EXPECT_THAT(std::string(changes[1].status.message()), HasSubstr("5 columns"));
  EXPECT_TRUE(changes[2].status.ok()) << changes[2].status;
  EXPECT_THAT(std::string(changes[3].status.message()), HasSubstr("2 persistent tables"));
  EXPECT_THAT(std::string(changes[4].status.message()), HasSubstr("3 identities"));
  EXPECT_THAT(Persistent(10), ElementsAre("a|b|c|d", "1|1||", "||1|1"));
  // A pair that is carried may be put again.
  Do(Put("k", 20, Table("u", {"e=1"})));
}

TEST_F(KeptTablesTest, TheNamesOfAllTablesTogetherAreLimited) {
  limits_.max_catalogue_bytes = 200;
  Open(0);
  const std::string long_name(60, 'x');
  const auto refused = [&](Change change) {
    const absl::Status status = Apply(std::move(change)).status;
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("names of all"));
  };
  Do(PutStatic("i", Table("t", {long_name})));
  refused(PutStatic("i", Table("u", {long_name, "y" + long_name})));
  Do(PutStatic("i", Table("u", {long_name})));
  refused(PutStatic("i", Table("t", {"y" + long_name})));
  Do(DropStatic("u"));
  Do(PutStatic("i", Table("t", {"y" + long_name})));
  Do(DropStatic("t"));
  std::vector<Change> statics;
  for (const char* name : {"t", "u", "v"})
    statics.push_back(PutStatic("i", Table(name, {long_name})));
  kept_->Apply(statics);
  EXPECT_TRUE(statics[0].status.ok()) << statics[0].status;
  EXPECT_TRUE(statics[1].status.ok()) << statics[1].status;
  EXPECT_TRUE(absl::IsResourceExhausted(statics[2].status)) << statics[2].status;

  // What waits counts, and what comes together; what goes makes room.
  Do(Put("i", 10, Table("t", {long_name})));
  Do(Put("j", 10, Table("t", {long_name})));
  std::vector<Change> changes;
  changes.push_back(Put("k", 10, Table("t", {"y" + long_name})));
  changes.push_back(Put("l", 10, Table("u", {"z"})));
  changes.push_back(Put("l", 10, Table("t", {long_name})));
  kept_->Apply(changes);
  EXPECT_TRUE(changes[0].status.ok()) << changes[0].status;
  EXPECT_TRUE(absl::IsResourceExhausted(changes[1].status)) << changes[1].status;
  EXPECT_TRUE(changes[2].status.ok()) << changes[2].status;
  for (int times = 0; times < 2; ++times) {
    EXPECT_EQ(Carried().size(), 1u);
    EXPECT_EQ(Persistent(10).size(), 1u);
    refused(Put("l", 20, Table("u", {"z"})));
    Open(10);
  }
  Do(Drop("k", "t", 0));
  Do(Put("l", 20, Table("u", {"z"})));
}

TEST_F(KeptTablesTest, WideTablesComeAndGo) {
  std::vector<std::string> wide;
  for (int i = 0; i < 1999; ++i) wide.push_back("a" + std::to_string(i) + "=1");
  std::vector<std::string> other;
  for (int i = 0; i < 1998; ++i) other.push_back("b" + std::to_string(i) + "=1");
  Do(Put("j", 10, Table("t", {"a0=0"})));
  Do(Put("i", 10, Table("t", wide)));
  EXPECT_EQ((*kept_->Persistent(10))->info.tables(0).columns_size(), 1999);
  // What is replaced makes room, but not before.
  Do(Drop("i", "t", 20));
  EXPECT_THAT(Persistent(20), ElementsAre("a0", "0"));
  Do(Put("i", 30, Table("t", other)));
  EXPECT_EQ((*kept_->Persistent(30))->info.tables(0).columns_size(), 1999);
  EXPECT_TRUE(absl::IsResourceExhausted(Apply(Put("k", 30, Table("t", {"z=1"}))).status));
  Open(30);
  EXPECT_EQ((*kept_->Persistent(30))->info.tables(0).columns_size(), 1999);
}

TEST_F(KeptTablesTest, MemoryIsGivenBack) {
  std::string cells = "a=1";
  for (int i = 0; i < 300'000; ++i) cells += ",1234567";
  Do(Put("i", 10, Table("t", {cells})));
  Do(Put("j", 10, Table("t", {"a=1"})));
  Persistent(10);
  const int64_t full = kept_->size().persistent_bytes;
  EXPECT_GT(full, 4'000'000);
  Do(Put("i", 20, Table("t", {"a=1"})));
  EXPECT_THAT(Persistent(20), ElementsAre("a", "1", "1"));
  EXPECT_LT(kept_->size().persistent_bytes, 100'000);
}

TEST_F(KeptTablesTest, AJournalThatIsMissingIsNoObstacle) {
  Do(Put("i", 10, Table("t", {"a=1"})));
  std::filesystem::remove(folder_ + "/tables.journal");
  Open(10);
  EXPECT_THAT(Persistent(10), ElementsAre("no shard"));
  Do(Put("i", 20, Table("t", {"a=2"})));
  Open(20);
  EXPECT_THAT(Persistent(20), ElementsAre("a", "2"));
}

// A thousand changes at random, and the same state after each restart.
TEST_F(KeptTablesTest, ARestartChangesNothingWhateverWasDone) {
  unsigned seed = 1;
  const auto random = [&seed](int below) {
    seed = seed * 1103515245 + 12345;
    return static_cast<int>((seed >> 16) % below);
  };
  // What the tables are; in which order rows came is forgotten where an update has taken some
  // from another identity.
  int64_t built = 10;
  const auto state = [&] {
    std::vector<std::vector<std::string>> tables;
    for (const char* name : {"t", "u"}) {
      tables.push_back(Persistent(built, name));
      tables.push_back(Carried(name));
    }
    for (auto& rows : tables) std::sort(rows.begin() + 1, rows.end());
    return tables;
  };
  for (int step = 0; step < 1000; ++step) {
    const std::string identity(1, static_cast<char>('i' + random(4)));
    const std::string table = random(2) == 0 ? "t" : "u";
    const int64_t generation = built + 10 * (random(4) - 1);
    std::vector<std::string> columns = {"k=" + std::to_string(random(5)) + "," +
                                        std::to_string(random(5))};
    for (int i = random(3); i > 0; --i) {
      columns.push_back("c" + std::to_string(3 * i + random(3)) + "=1," +
                        std::to_string(random(9)));
    }
    switch (random(8)) {
      case 0:
      case 1:
      case 2:
        Apply(Put(identity, generation, Table(table, columns)));
        break;
      case 3:
      case 4:
        Apply(Update(identity, generation, Table(table, columns), {"k"}));
        break;
      case 5:
        Apply(Drop(identity, table, random(2) == 0 ? 0 : generation));
        break;
      case 6:
        built += 10;
        Persistent(built);
        break;
      default: {
        const auto before = state();
        Open(built);
        const auto after = state();
        ASSERT_EQ(before, after) << step;
      }
    }
  }
}

}  // namespace
}  // namespace qasino::store
