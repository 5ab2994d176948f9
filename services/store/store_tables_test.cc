// Static and persistent tables through the store's calls.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/sqlite/database.h"
#include "services/store/store_fixture.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using Operation = FaultyFileSystem::Operation;

constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;

// A table with one column `v` of these values.
v1::Table Table(const std::string& name, const std::vector<int64_t>& values) {
  v1::Table table;
  table.set_name(name);
  v1::Column& column = *table.add_columns();
  column.set_name("v");
  column.set_type(v1::INTEGER);
  for (const int64_t value : values) column.add_integers(value);
  return table;
}

// The bytes of a shard in which these pairs of table and identity were published.
std::string ShardOf(const std::vector<std::pair<std::string, std::string>>& published) {
  auto database = sqlite::Database::OpenInMemory();
  EXPECT_TRUE(database.ok());
  EXPECT_TRUE(database
                  ->Execute("CREATE TABLE qasino_server_publishes (tablename TEXT, identity TEXT, "
                            "first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
                            "last_update_epoch REAL)")
                  .ok());
  for (const auto& [table, identity] : published) {
    EXPECT_TRUE(database
                    ->Execute(absl::StrCat("INSERT INTO qasino_server_publishes VALUES ('", table,
                                           "', '", identity, "', 1, 0, 1, 0)"))
                    .ok());
  }
  auto image = database->Serialize();
  EXPECT_TRUE(image.ok());
  return std::string(image->view());
}

class StoreTablesTest : public StoreTest {
 protected:
  grpc::Status PutStatic(const v1::Table& table, v1::PutStaticTableResponse* response = nullptr) {
    v1::PutStaticTableRequest request;
    request.set_identity("operator");
    *request.mutable_table() = table;
    v1::PutStaticTableResponse ignored;
    return stub_->PutStaticTable(NewContext().get(), request,
                                 response == nullptr ? &ignored : response);
  }
  grpc::Status DropStatic(const std::string& name,
                          v1::DropStaticTableResponse* response = nullptr) {
    v1::DropStaticTableRequest request;
    request.set_table_name(name);
    v1::DropStaticTableResponse ignored;
    return stub_->DropStaticTable(NewContext().get(), request,
                                  response == nullptr ? &ignored : response);
  }
  grpc::Status PutPersistent(int64_t generation, const std::string& identity,
                             const v1::Table& table,
                             v1::PutPersistentTableResponse* response = nullptr,
                             bool update = false) {
    v1::PutPersistentTableRequest request;
    request.set_generation(generation);
    request.set_identity(identity);
    *request.mutable_table() = table;
    request.set_update(update);
    v1::PutPersistentTableResponse ignored;
    return stub_->PutPersistentTable(NewContext().get(), request,
                                     response == nullptr ? &ignored : response);
  }
  grpc::Status DropPersistent(int64_t generation, const std::string& identity,
                              const std::string& name) {
    v1::DropPersistentTableRequest request;
    request.set_generation(generation);
    request.set_identity(identity);
    request.set_table_name(name);
    v1::DropPersistentTableResponse response;
    return stub_->DropPersistentTable(NewContext().get(), request, &response);
  }

  // A shard of one ingest process in which these pairs were published, and others not.
  void Seal(int64_t generation,
            const std::vector<std::pair<std::string, std::string>>& published = {},
            const std::string& ingest = "a") {
    PutOk(generation, ingest, ShardOf(published));
  }

  v1::Manifest Manifest(int64_t generation = 0) {
    v1::Manifest manifest;
    EXPECT_TRUE(GetManifest(generation, &manifest).ok()) << generation;
    return manifest;
  }

  // Tables with their values, and for each value who published its row, of a shard's bytes.
  using Tables = std::map<std::string, std::vector<int64_t>>;
  static Tables Read(const std::string& bytes) {
    auto database = sqlite::Database::OpenInMemory();
    EXPECT_TRUE(database.ok());
    EXPECT_TRUE(database->ReadFrom("main", bytes).ok());
    Tables tables;
    auto names = database->Prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'qasino_server_%'");
    EXPECT_TRUE(names.ok()) << names.status();
    while (names.ok() && *names->Step()) {
      const std::string name(names->Text(0));
      auto rows = database->Prepare("SELECT v FROM " + sqlite::QuoteName(name) + " ORDER BY v");
      EXPECT_TRUE(rows.ok()) << rows.status();
      std::vector<int64_t>& values = tables[name];
      while (rows.ok() && *rows->Step()) values.push_back(rows->Integer(0));
    }
    return tables;
  }

  // The tables of a kind in a snapshot; what its manifest says of them is right.
  Tables TablesOf(v1::ShardKind kind, const v1::Manifest& manifest) {
    Tables tables;
    for (const v1::ShardInfo& shard : manifest.shards()) {
      if (shard.kind() != kind) continue;
      EXPECT_TRUE(tables.empty()) << "two shards of one kind";
      const Got got = Get(manifest.generation(), shard.shard_id());
      EXPECT_TRUE(got.status.ok()) << got.status.error_message();
      EXPECT_EQ(got.bytes.size(), shard.size_bytes());
      EXPECT_EQ(Checksum::Of(got.bytes), shard.xxh3());
      EXPECT_EQ(shard.identity() + shard.ingest_id(), "");
      tables = Read(got.bytes);
      EXPECT_EQ(static_cast<size_t>(shard.tables_size()), tables.size());
      for (const v1::TableInfo& table : shard.tables()) {
        EXPECT_EQ(static_cast<size_t>(table.rows()), tables[table.name()].size());
      }
    }
    return tables;
  }
  Tables Static(int64_t generation = 0) { return TablesOf(v1::STATIC, Manifest(generation)); }
  Tables Persistent(int64_t generation = 0) {
    return TablesOf(v1::PERSISTENT, Manifest(generation));
  }
  Tables Carried() {
    const auto context = NewContext();
    const auto reader = stub_->GetCarriedShard(context.get(), v1::GetCarriedShardRequest());
    v1::GetShardResponse response;
    v1::ShardInfo info;
    std::string bytes;
    while (reader->Read(&response)) {
      if (response.has_info()) info = response.info();
      bytes += response.chunk().data();
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(info.kind(), v1::PERSISTENT);
    EXPECT_EQ(info.size_bytes(), bytes.size());
    EXPECT_EQ(info.xxh3(), Checksum::Of(bytes));
    return Read(bytes);
  }

  static std::vector<v1::ShardKind> Kinds(const v1::Manifest& manifest) {
    std::vector<v1::ShardKind> kinds;
    for (const v1::ShardInfo& shard : manifest.shards()) kinds.push_back(shard.kind());
    return kinds;
  }

  std::vector<std::string> FilesOf(int64_t generation) const {
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(
             absl::StrCat(options_.data_dir, "/generations/", generation))) {
      files.push_back(entry.path().filename());
    }
    return files;
  }
};

TEST_F(StoreTablesTest, AStaticTableIsInEverySnapshotUntilItIsDropped) {
  Seal(30);
  v1::PutStaticTableResponse put;
  const grpc::Status status = PutStatic(Table("Racks", {1, 2}), &put);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(put.generation(), 30);
  EXPECT_EQ(put.revision(), 2);
  EXPECT_EQ(Manifest().revision(), 2);
  EXPECT_THAT(Static(), ElementsAre(Pair("Racks", ElementsAre(1, 2))));

  Seal(60);
  EXPECT_EQ(Manifest().revision(), 1);
  EXPECT_THAT(Static(), ElementsAre(Pair("Racks", ElementsAre(1, 2))));
  EXPECT_THAT(Kinds(Manifest()), ElementsAre(v1::COLLECTED, v1::STATIC));
  // Replaced by whoever comes; older snapshots stay as they are.
  ASSERT_TRUE(PutStatic(Table("racks", {3})).ok());
  EXPECT_THAT(Static(), ElementsAre(Pair("Racks", ElementsAre(3))));
  EXPECT_THAT(Static(30), ElementsAre(Pair("Racks", ElementsAre(1, 2))));

  v1::DropStaticTableResponse dropped;
  ASSERT_TRUE(DropStatic("RACKS", &dropped).ok());
  EXPECT_EQ(dropped.generation(), 60);
  EXPECT_EQ(dropped.revision(), 3);
  EXPECT_THAT(Static(), IsEmpty());
  EXPECT_EQ(DropStatic("racks").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Manifest().revision(), 3);
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "applied"), 3);
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "not_found"), 1);
}

TEST_F(StoreTablesTest, AStaticTableIsVisibleBeforeTheFirstGeneration) {
  v1::PutStaticTableResponse put;
  {
    Watch watch(*stub_);
    EXPECT_EQ(watch.NextManifest().revision(), 0);
    ASSERT_TRUE(PutStatic(Table("racks", {1}), &put).ok());
    EXPECT_EQ(put.generation(), 0);
    EXPECT_EQ(put.revision(), 1);
    const v1::Manifest manifest = watch.NextManifest();
    EXPECT_EQ(manifest.generation(), 0);
    EXPECT_EQ(manifest.revision(), 1);
  }
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  EXPECT_THAT(Generations(), IsEmpty());

  ASSERT_TRUE(DropStatic("racks").ok());
  Restart();
  // The revision does not fall.
  EXPECT_EQ(Manifest().revision(), 2);
  EXPECT_THAT(Static(), IsEmpty());
  ASSERT_TRUE(PutStatic(Table("racks", {1}), &put).ok());
  EXPECT_EQ(put.revision(), 3);
  Restart();
  EXPECT_EQ(Manifest().revision(), 3);
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));

  Seal(30);
  EXPECT_EQ(Manifest().generation(), 30);
  EXPECT_EQ(Manifest().revision(), 1);
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  EXPECT_TRUE(
      Eventually([&] { return !std::filesystem::exists(options_.data_dir + "/generations/0"); }));
}

TEST_F(StoreTablesTest, WatchersAreToldOfAStaticTable) {
  Seal(30);
  Watch watch(*stub_);
  EXPECT_EQ(watch.NextManifest().revision(), 1);
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  const v1::Manifest manifest = watch.NextManifest();
  EXPECT_EQ(manifest.revision(), 2);
  EXPECT_THAT(Kinds(manifest), ElementsAre(v1::COLLECTED, v1::STATIC));
  EXPECT_TRUE(manifest.complete());
}

TEST_F(StoreTablesTest, TheShardOfTheRevisionBeforeCanStillBeFetched) {
  Seal(30);
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  const v1::Manifest first = Manifest();
  ASSERT_TRUE(PutStatic(Table("racks", {2})).ok());
  EXPECT_THAT(TablesOf(v1::STATIC, first), ElementsAre(Pair("racks", ElementsAre(1))));
  ASSERT_TRUE(PutStatic(Table("racks", {3})).ok());
  EXPECT_EQ(FilesOf(30).size(), 4u);  // the manifest, what came in, and two
  Restart();
  EXPECT_EQ(FilesOf(30).size(), 3u);
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(3))));
}

TEST_F(StoreTablesTest, APersistentTableIsCarriedIntoEveryLaterSnapshot) {
  Seal(30);
  v1::PutPersistentTableResponse put;
  const grpc::Status status = PutPersistent(60, "h1", Table("jobs", {1}), &put);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(put.generation(), 60);
  EXPECT_FALSE(put.duplicate());
  // Not before the generation for which it was put; but it is carried already.
  EXPECT_EQ(Manifest().revision(), 1);
  EXPECT_THAT(Persistent(), IsEmpty());
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(1))));

  Seal(60);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
  EXPECT_THAT(Kinds(Manifest()), ElementsAre(v1::PERSISTENT, v1::COLLECTED));
  ASSERT_TRUE(PutPersistent(90, "h2", Table("jobs", {2})).ok());
  Seal(90);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  EXPECT_THAT(Persistent(60), ElementsAre(Pair("jobs", ElementsAre(1))));

  // Once a generation; again in the next, and then it replaces what was carried.
  ASSERT_TRUE(PutPersistent(120, "h1", Table("jobs", {3}), &put).ok());
  ASSERT_TRUE(PutPersistent(120, "h1", Table("JOBS", {4}), &put).ok());
  EXPECT_TRUE(put.duplicate());
  EXPECT_EQ(put.generation(), 120);
  Seal(120);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2, 3))));
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "duplicate"), 1);
  EXPECT_EQ(Metric("qasino_store_persistent_pairs"), 2);
}

TEST_F(StoreTablesTest, TheSameTablesAreTheSameShardInLaterSnapshots) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  Seal(30);
  Seal(60);
  const v1::Manifest old = Manifest(30);
  const v1::Manifest manifest = Manifest(60);
  ASSERT_THAT(Kinds(manifest), ElementsAre(v1::PERSISTENT, v1::COLLECTED, v1::STATIC));
  EXPECT_EQ(manifest.shards(0).shard_id(), old.shards(0).shard_id());
  EXPECT_EQ(manifest.shards(0).generation(), 30);
  EXPECT_EQ(manifest.shards(2).shard_id(), old.shards(2).shard_id());
  const std::string file = absl::StrCat(options_.data_dir, "/generations/60/",
                                        manifest.shards(0).shard_id(), ".made.sqlite");
  EXPECT_EQ(std::filesystem::hard_link_count(file), 2u);
}

TEST_F(StoreTablesTest, PublishedWithoutPersistItIsCarriedNoLonger) {
  for (const char* identity : {"h1", "h2"}) {
    ASSERT_TRUE(PutPersistent(30, identity, Table("jobs", {identity[1] - '0'})).ok());
  }
  // In the generation for which it was put the rows published besides do not end it.
  Seal(30, {{"jobs", "h1"}});
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  Seal(60, {{"JOBS", "h1"}, {"other", "h2"}});
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  EXPECT_THAT(Persistent(30), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  Restart();
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  Seal(90);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));

  // By a late shard of the newest snapshot too.
  Seal(90, {{"jobs", "h2"}}, "b");
  EXPECT_EQ(Manifest().revision(), 2);
  EXPECT_THAT(Persistent(), IsEmpty());
  EXPECT_THAT(Carried(), IsEmpty());
}

TEST_F(StoreTablesTest, WhatIsSealedWhileAnotherIsWaitedForEndsNothingBefore) {
  Seal(30, {}, "a");
  Seal(30, {}, "b");
  ASSERT_TRUE(PutPersistent(60, "h1", Table("jobs", {1})).ok());
  Seal(60, {}, "a");
  Seal(60, {}, "b");
  // 90 waits for b; 60 is revised meanwhile and has the table still.
  Seal(90, {{"jobs", "h1"}}, "a");
  EXPECT_EQ(Manifest().generation(), 60);
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
  Seal(90, {}, "b");
  EXPECT_EQ(Manifest().generation(), 90);
  EXPECT_THAT(Persistent(), IsEmpty());
}

TEST_F(StoreTablesTest, APutForASealedGenerationIsInANewRevisionOfTheNewest) {
  Seal(30);
  Seal(60);
  v1::PutPersistentTableResponse put;
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1}), &put).ok());
  EXPECT_EQ(put.generation(), 60);
  EXPECT_EQ(Manifest().revision(), 2);
  EXPECT_THAT(Persistent(60), ElementsAre(Pair("jobs", ElementsAre(1))));
  EXPECT_THAT(Persistent(30), IsEmpty());
}

TEST_F(StoreTablesTest, DroppedItIsCarriedNoLonger) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  ASSERT_TRUE(PutPersistent(30, "h2", Table("jobs", {2})).ok());
  Seal(30);
  ASSERT_TRUE(PutPersistent(60, "h1", Table("jobs", {3})).ok());
  // At once, with what waits.
  ASSERT_TRUE(DropPersistent(0, "h1", "Jobs").ok());
  EXPECT_EQ(Manifest().revision(), 2);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(2))));
  EXPECT_EQ(DropPersistent(0, "h1", "jobs").error_code(), grpc::StatusCode::NOT_FOUND);
  // From a generation on.
  ASSERT_TRUE(DropPersistent(90, "h2", "jobs").ok());
  EXPECT_EQ(Manifest().revision(), 2);
  Seal(60);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  Seal(90);
  EXPECT_THAT(Persistent(), IsEmpty());
}

TEST_F(StoreTablesTest, AnUpdateChangesWhatIsCarried) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  v1::PutPersistentTableResponse put;
  for (int i = 0; i < 2; ++i) {
    const grpc::Status status = PutPersistent(30, "h2", Table("jobs", {1, 2}), &put, true);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_FALSE(put.duplicate());
  }
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  Seal(30);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
}

TEST_F(StoreTablesTest, EverythingSurvivesARestart) {
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  Seal(30);
  ASSERT_TRUE(PutPersistent(60, "h2", Table("jobs", {2})).ok());
  const v1::Manifest before = Manifest();
  Restart();
  // Nothing has changed, so there is no new revision.
  EXPECT_EQ(Manifest().SerializeAsString(), before.SerializeAsString());
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  v1::PutPersistentTableResponse put;
  ASSERT_TRUE(PutPersistent(60, "h2", Table("jobs", {3}), &put).ok());
  EXPECT_TRUE(put.duplicate());
  Seal(60);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
}

TEST_F(StoreTablesTest, ADamagedShardOfTheStoresOwnIsMadeAnew) {
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  Seal(30);
  const v1::Manifest before = Manifest();
  Stop();
  const std::string folder = options_.data_dir + "/generations/30/";
  WriteTestFile(folder + before.shards(0).shard_id() + ".made.sqlite", "x");
  std::filesystem::remove(folder + before.shards(2).shard_id() + ".made.sqlite");
  Start();
  const v1::Manifest after = Manifest();
  EXPECT_GT(after.revision(), before.revision());
  EXPECT_TRUE(after.complete());
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
}

TEST_F(StoreTablesTest, AGenerationThatIsAnnouncedAfterALaterOneSurvivesARestart) {
  for (const char* identity : {"h1", "h2"}) {
    ASSERT_TRUE(PutPersistent(30, identity, Table("jobs", {identity[1] - '0'})).ok());
  }
  Seal(30);
  // What is carried changes in 90, and has been carried since 30.
  Seal(90, {{"jobs", "h1"}});
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  Seal(60);
  EXPECT_THAT(Persistent(60), ElementsAre(Pair("jobs", ElementsAre(2))));
  EXPECT_LE(Manifest(60).shards(0).generation(), 60);
  Restart();
  EXPECT_THAT(Generations(), ElementsAre(90, 60, 30));
  EXPECT_THAT(Persistent(60), ElementsAre(Pair("jobs", ElementsAre(2))));
}

TEST_F(StoreTablesTest, TheSnapshotBeforeOneThatIsLostHasWhatItHad) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  Seal(30);
  ASSERT_TRUE(PutPersistent(60, "h1", Table("jobs", {2})).ok());
  Seal(60);
  // It says in the journal what was built before it.
  ASSERT_TRUE(PutPersistent(90, "h2", Table("other", {3})).ok());
  Stop();
  WriteTestFile(options_.data_dir + "/generations/60/manifest", "x");
  Start();
  EXPECT_EQ(Manifest().generation(), 30);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
  Seal(90);
  EXPECT_THAT(Persistent(),
              ElementsAre(Pair("jobs", ElementsAre(2)), Pair("other", ElementsAre(3))));
}

TEST_F(StoreTablesTest, WhatTheJournalLostIsTakenFromTheNewestSnapshot) {
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1, 2})).ok());
  ASSERT_TRUE(PutPersistent(30, "h2", Table("jobs", {3})).ok());
  Seal(30);
  Stop();
  WriteTestFile(options_.data_dir + "/tables.journal", "not a journal");
  Start();
  EXPECT_EQ(Manifest().generation(), 30);
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2, 3))));
  // They are in the journal again.
  Seal(60);
  Restart();
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1, 2, 3))));
  ASSERT_TRUE(PutStatic(Table("racks", {2})).ok());
  Restart();
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(2))));
}

// What the newest shards end is in the journal, unless that was damaged since.
TEST_F(StoreTablesTest, AFullDiskAtTheStartIsNoObstacle) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  Seal(30);
  const std::string path = options_.data_dir + "/tables.journal";
  const std::string before = ReadTestFile(path);
  const std::string bytes = ShardOf({{"jobs", "h1"}});
  ASSERT_TRUE(Put(TestShard(60, "a", bytes), bytes).ok());
  Stop();
  WriteTestFile(path, before);
  files_.Fail(Operation::kCreate, "journal", absl::ResourceExhaustedError("disk full"));
  Start();
  EXPECT_EQ(Manifest().generation(), 60);
  EXPECT_EQ(Manifest().revision(), 1);
  EXPECT_THAT(Persistent(), IsEmpty());
  EXPECT_FALSE(PutStatic(Table("racks", {1})).ok());
  files_.Heal();
  EXPECT_TRUE(Eventually([&] { return Carried().empty(); }));
  EXPECT_TRUE(Eventually([&] { return part_->Ready().ok(); }));
  EXPECT_THAT(Persistent(), IsEmpty());
  EXPECT_TRUE(PutStatic(Table("racks", {2})).ok());
  Restart();
  EXPECT_THAT(Carried(), IsEmpty());
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(2))));
}

TEST_F(StoreTablesTest, ManyMayChangeTablesAtOnce) {
  Seal(30);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      for (int64_t n = 0; n < 20; ++n) {
        EXPECT_TRUE(PutStatic(Table(absl::StrCat("static", i), {n})).ok());
        EXPECT_TRUE(PutPersistent(60, absl::StrCat("h", i, "-", n), Table("jobs", {n})).ok());
      }
    });
  }
  threads.emplace_back([this] {
    for (int i = 0; i < 20; ++i) Carried();
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Static().size(), 8u);
  Seal(60);
  EXPECT_EQ(Persistent()["jobs"].size(), 160u);
  EXPECT_EQ(Static().size(), 8u);
}

TEST_F(StoreTablesTest, WhatIsWrongIsNamed) {
  const auto expect = [](const grpc::Status& status, const std::string& says) {
    EXPECT_EQ(status.error_code(), kInvalid) << says;
    EXPECT_THAT(status.error_message(), HasSubstr(says));
  };
  v1::Table two = Table("racks", {1});
  *two.add_columns() = Table("x", {1, 2}).columns(0);
  two.mutable_columns(1)->set_name("V");
  expect(PutStatic(two), "column 'V' is there twice");
  two.mutable_columns(1)->set_name("w");
  expect(PutStatic(two), "column 'w' has 2 rows, column 'v' has 1");
  expect(PutStatic(Table("sqlite_x", {})), "sqlite_");
  expect(PutStatic(v1::Table()), "table '' is not a name");
  v1::PutStaticTableResponse put_static;
  expect(stub_->PutStaticTable(NewContext().get(), {}, &put_static), "the identity is empty");
  expect(DropStatic("a b"), "table 'a b' is not a name");

  expect(PutPersistent(0, "h1", Table("jobs", {1})), "generation 0 is not from 1");
  expect(PutPersistent(30, "", Table("jobs", {1})), "the identity is empty");
  expect(PutPersistent(30, "h1", two), "column 'w' has 2 rows");
  v1::PutPersistentTableRequest keys;
  keys.set_identity("h1");
  keys.set_generation(30);
  *keys.mutable_table() = Table("jobs", {1});
  keys.add_keycols("v");
  v1::PutPersistentTableResponse put_persistent;
  const auto put_keys = [&] {
    return stub_->PutPersistentTable(NewContext().get(), keys, &put_persistent);
  };
  expect(put_keys(), "'keycols' are there without 'update'");
  keys.set_update(true);
  EXPECT_TRUE(put_keys().ok());
  keys.set_keycols(0, "w");
  expect(put_keys(), "key column 'w' is not a column of the table");
  expect(DropPersistent(-1, "h1", "jobs"), "generation -1 is not from 0");
  expect(DropPersistent(0, "h1", "1"), "table '1' is not a name");
  expect(PutPersistent(absl::ToUnixSeconds(absl::Now()) + 100'000, "h1", Table("jobs", {1})),
         "after this store's clock");
  EXPECT_THAT(Static(), IsEmpty());
}

TEST_F(StoreTablesTest, ChangesThatDoNotParseAreRefusedWithWords) {
  for (const std::string method :
       {"PutStaticTable", "DropStaticTable", "PutPersistentTable", "DropPersistentTable"}) {
    for (const char* bytes : {"\x0a\x7f", "\x0a\x01\xff"}) {
      const grpc::Status status = CallRaw(method, bytes);
      EXPECT_EQ(status.error_code(), kInvalid) << method;
      EXPECT_EQ(status.error_message(),
                "the message is not a " + method + "Request (texts must be valid UTF-8)");
    }
  }
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "invalid"), 8);
}

TEST_F(StoreTablesTest, ATableThatWouldBeLargeInMemoryIsNotParsed) {
  options_.max_changing_bytes = 5'000'000;
  Restart();
  std::string columns;  // empty ones, two bytes each
  for (int i = 0; i < 60'000; ++i) columns += std::string("\x12\x00", 2);
  const grpc::Status status = CallRaw("PutStaticTable", "\x12\xc0\xa9\x07" + columns);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("over the limit of 5000000"));
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "limit"), 1);
  EXPECT_TRUE(PutStatic(Table("racks", {1})).ok());
}

TEST_F(StoreTablesTest, TablesOverTheirLimitAreRefusedAndTheDiskIsNotBlamed) {
  options_.max_static_bytes = 100'000;
  options_.max_persistent_bytes = 100'000;
  Restart();
  const v1::Table large = Table("racks", std::vector<int64_t>(100'000, int64_t{1} << 60));
  EXPECT_EQ(PutStatic(large).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(PutPersistent(30, "h1", large).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(part_->Ready(), absl::OkStatus());
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "limit"), 2);
  EXPECT_THAT(Carried(), IsEmpty());
  EXPECT_THAT(Static(), IsEmpty());
}

TEST_F(StoreTablesTest, AShardThatCameInMustHaveBeenCollected) {
  for (const v1::ShardKind kind : {v1::PERSISTENT, v1::STATIC, v1::RUNNING}) {
    v1::ShardInfo info = TestShard(30, "a");
    info.set_kind(kind);
    const grpc::Status status = Put(info, "bytes");
    EXPECT_EQ(status.error_code(), kInvalid);
    EXPECT_THAT(status.error_message(), HasSubstr("only COLLECTED shards"));
  }
}

TEST_F(StoreTablesTest, AShardThatCannotBeReadEndsNothing) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  Seal(30);
  PutOk(60, "a", "no database");
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(1))));
}

TEST_F(StoreTablesTest, DrainingFinishesChanges) {
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  part_->Drain(absl::Now() + kPatience);
  EXPECT_EQ(PutStatic(Table("racks", {2})).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Metric("qasino_store_table_changes_total", "stopping"), 1);
  Restart();
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
}

class ArchivingTest : public StoreTablesTest {
 protected:
  void SetUp() override {
    archive_ = options_.archive_dir = NewTestFolder() + "/archive";
    StoreTablesTest::SetUp();
  }
  std::string Path(int64_t generation) const {
    return absl::StrCat(archive_, "/", generation, ".sqlite");
  }
  bool IsArchived(int64_t generation) const { return std::filesystem::exists(Path(generation)); }
  // What a query of one value finds in a generation's file.
  int64_t Ask(int64_t generation, const std::string& sql) const {
    auto database = sqlite::Database::OpenFile(Path(generation));
    EXPECT_TRUE(database.ok()) << database.status();
    auto row = database->Prepare(sql);
    EXPECT_TRUE(row.ok()) << row.status();
    if (!row.ok() || !*row->Step()) return -1;
    return row->Integer(0);
  }
  // A shard without tables, as its info says too.
  void SealEmpty(int64_t generation, const std::string& ingest = "a") {
    const std::string bytes = ShardOf({});
    v1::ShardInfo info = TestShard(generation, ingest, bytes);
    info.clear_tables();
    const grpc::Status status = Put(info, bytes);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  std::string archive_;
};

TEST_F(ArchivingTest, AGenerationIsArchivedWhenTheNextComes) {
  ASSERT_TRUE(PutStatic(Table("racks", {1, 2})).ok());
  SealEmpty(30);
  ASSERT_TRUE(PutPersistent(60, "h1", Table("jobs", {7})).ok());
  SealEmpty(60);
  EXPECT_TRUE(Eventually([&] { return IsArchived(30); }));
  EXPECT_EQ(Ask(30, "SELECT sum(v) FROM racks"), 3);
  EXPECT_FALSE(IsArchived(60));
  EXPECT_FALSE(IsArchived(0));

  // A late shard is in it too.
  SealEmpty(30, "b");
  EXPECT_TRUE(Eventually([&] { return Ask(30, "PRAGMA user_version") == 2; }));

  // The newest when the store stops.
  Restart();
  EXPECT_EQ(Ask(60, "SELECT v FROM jobs"), 7);
  EXPECT_EQ(Ask(60, "SELECT sum(v) FROM racks"), 3);
}

TEST_F(ArchivingTest, WhatFailedIsTriedAgainWithTheNext) {
  files_.Fail(Operation::kCreate, archive_, absl::ResourceExhaustedError("disk full"));
  SealEmpty(30);
  SealEmpty(60);
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_archive_failures_total") == 1; }));
  // Nothing waited for it, and the store is none the worse.
  EXPECT_EQ(part_->Ready(), absl::OkStatus());
  EXPECT_FALSE(IsArchived(30));
  files_.Heal();
  SealEmpty(90);
  EXPECT_TRUE(Eventually([&] { return IsArchived(30) && IsArchived(60); }));
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_archived_total") == 2; }));
}

TEST_F(ArchivingTest, WhatIsMissingIsArchivedAtTheNextStart) {
  for (const int64_t generation : {30, 60, 90}) SealEmpty(generation);
  EXPECT_TRUE(Eventually([&] { return IsArchived(60); }));
  Stop();
  std::filesystem::remove(Path(30));
  std::filesystem::remove(Path(90));
  Start();
  EXPECT_TRUE(Eventually([&] { return IsArchived(30); }));
  EXPECT_FALSE(IsArchived(90));
}

TEST_F(ArchivingTest, AnOlderRevisionIsReplacedAtTheNextStart) {
  for (const int64_t generation : {30, 60, 90}) SealEmpty(generation);
  EXPECT_TRUE(Eventually([&] { return IsArchived(60); }));
  Stop();
  // SQLite's user version is at byte 60, the least last.
  std::string bytes = ReadTestFile(Path(30));
  ASSERT_EQ(bytes[63], 1);
  bytes[63] = 0;
  WriteTestFile(Path(30), bytes);
  Start();
  EXPECT_TRUE(Eventually([&] { return Ask(30, "PRAGMA user_version") == 1; }));
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_archived_total") == 1; }));
}

TEST_F(ArchivingTest, HoweverManyAreMissingAllAreArchived) {
  options_.retain = 100;
  Restart();
  constexpr int64_t kCount = 40;
  for (int64_t i = 1; i <= kCount; ++i) SealEmpty(30 * i);
  EXPECT_TRUE(Eventually([&] { return IsArchived(30 * (kCount - 1)); }));
  Stop();
  for (int64_t i = 1; i <= kCount; ++i) std::filesystem::remove(Path(30 * i));
  files_.Fail(Operation::kCreate, archive_, absl::ResourceExhaustedError("disk full"));
  Start();
  // A disk that fails is not tried for each of them.
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_archive_failures_total") == 1; }));
  files_.Heal();
  SealEmpty(30 * (kCount + 1));
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_archived_total") == kCount; }));
  EXPECT_EQ(Metric("qasino_store_archive_dropped_total"), 0);
  for (int64_t i = 1; i <= kCount; ++i) EXPECT_TRUE(IsArchived(30 * i)) << i;
}

// Each step of a change and of a shard's commit fails once, and the store goes on.
struct Fault {
  Operation operation;
  const char* path;
};

class FaultyTablesTest : public StoreTablesTest, public ::testing::WithParamInterface<Fault> {
 protected:
  // Whether the store refused it, and when it works again, that it does.
  void Check(const std::function<grpc::Status()>& change) {
    files_.Fail(GetParam().operation, GetParam().path, absl::ResourceExhaustedError("disk full"));
    const grpc::Status status = change();
    files_.Heal();
    if (status.ok()) return;  // it does not need that step
    EXPECT_TRUE(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                status.error_code() == grpc::StatusCode::INTERNAL)
        << status.error_code() << status.error_message();
    if (!part_->Ready().ok() && !Eventually([&] {
          return part_->Ready().ok() || absl::StrContains(part_->Ready().message(), "again");
        })) {
      ADD_FAILURE() << part_->Ready();
    }
    if (!part_->Ready().ok()) Restart();
    const grpc::Status again = change();
    EXPECT_TRUE(again.ok()) << again.error_message();
  }
};

TEST_P(FaultyTablesTest, AStaticTableIsNotPretended) {
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  Seal(30);
  int64_t revision = Manifest().revision();
  for (int64_t value = 2; value < 5; ++value) {
    Check([&] { return PutStatic(Table("racks", {value})); });
    EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(value))));
    EXPECT_GT(Manifest().revision(), revision);
    revision = Manifest().revision();
  }
  Restart();
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(4))));
  EXPECT_EQ(Incoming(), 0u);
}

TEST_P(FaultyTablesTest, APersistentTableIsNotPretended) {
  Seal(30);
  Check([&] { return PutPersistent(60, "h1", Table("jobs", {1})); });
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(1))));
  Check([&] { return PutPersistent(30, "h2", Table("jobs", {2})); });
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  Restart();
  EXPECT_THAT(Carried(), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
}

TEST_P(FaultyTablesTest, AShardIsNotTakenWithoutWhatFollowsFromIt) {
  ASSERT_TRUE(PutPersistent(30, "h1", Table("jobs", {1})).ok());
  ASSERT_TRUE(PutPersistent(30, "h2", Table("jobs", {2})).ok());
  ASSERT_TRUE(PutStatic(Table("racks", {1})).ok());
  Seal(30);
  const std::string bytes = ShardOf({{"jobs", "h1"}});
  Check([&] { return Put(TestShard(60, "a", bytes), bytes); });
  EXPECT_EQ(Manifest().generation(), 60);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
  EXPECT_THAT(Persistent(30), ElementsAre(Pair("jobs", ElementsAre(1, 2))));
  EXPECT_THAT(Static(), ElementsAre(Pair("racks", ElementsAre(1))));
  Restart();
  EXPECT_EQ(Manifest().generation(), 60);
  EXPECT_THAT(Persistent(), ElementsAre(Pair("jobs", ElementsAre(2))));
}

INSTANTIATE_TEST_SUITE_P(
    Steps, FaultyTablesTest,
    ::testing::Values(
        Fault{Operation::kCreate, "incoming"}, Fault{Operation::kAppend, "incoming"},
        Fault{Operation::kSync, "incoming"}, Fault{Operation::kAppend, "tables.journal"},
        Fault{Operation::kSync, "tables.journal"}, Fault{Operation::kRename, "tables.journal"},
        Fault{Operation::kRename, "manifest"}, Fault{Operation::kRename, "made.sqlite"},
        Fault{Operation::kLink, "made.sqlite"}, Fault{Operation::kRename, "a-60.sqlite"},
        Fault{Operation::kCreateFolder, "generations"},
        Fault{Operation::kSyncFolder, "generations/30"},
        Fault{Operation::kSyncFolder, "generations/60"},
        Fault{Operation::kSyncFolder, "generations"}, Fault{Operation::kRemove, "generations"}),
    [](const auto& info) {
      std::string name = absl::StrCat(info.index, info.param.path);
      std::erase_if(name, [](char c) { return !absl::ascii_isalnum(c); });
      return name;
    });

}  // namespace
}  // namespace qasino::store
