#include "services/store/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "services/merge/fake_shard.h"
#include "services/sqlite/database.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using merge::FakeShard;
using merge::ManifestOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Operation = FaultyFileSystem::Operation;
using Shards = std::vector<std::shared_ptr<const merge::ShardImage>>;

class ArchiveTest : public ::testing::Test {
 protected:
  std::unique_ptr<Archive> Open() {
    auto archive = Archive::Open(folder_, "me", &files_);
    EXPECT_TRUE(archive.ok()) << archive.status();
    return *std::move(archive);
  }

  // A snapshot with a table of each sort of shard.
  Shards Snapshot(int64_t generation, const std::string& load = "0.5") {
    return {FakeShard("persistent-1", generation)
                .Kind(v1::PERSISTENT)
                .Table("cpu", {"core INTEGER"})
                .Publish("old", "cpu", {"7"})
                .Seal(),
            FakeShard("a-1", generation)
                .Table("cpu", {"core INTEGER", "load REAL"})
                .Publish("i", "cpu", {"0, " + load, "1, 1.5"})
                .Seal(),
            FakeShard("b-1", generation)
                .Table("CPU", {"load REAL", "name TEXT"})
                .Publish("j", "CPU", {"2.5, 'x'"})
                .Seal(),
            FakeShard("static-1", 0)
                .Kind(v1::STATIC)
                .Table("places", {"host TEXT"})
                .Publish("k", "places", {"'here'"})
                .Seal()};
  }

  v1::Manifest Manifest(int64_t generation, const Shards& shards, int64_t revision = 1) {
    v1::Manifest manifest = ManifestOf(generation, shards);
    manifest.set_revision(revision);
    return manifest;
  }

  std::vector<std::string> Rows(const std::string& file, const std::string& sql) {
    absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenFile(folder_ + "/" + file);
    if (!database.ok()) return {database.status().ToString()};
    absl::StatusOr<sqlite::Statement> select = database->Prepare(sql);
    if (!select.ok()) return {select.status().ToString()};
    std::vector<std::string> rows;
    while (*select->Step()) {
      std::string row;
      for (int i = 0; i < select->ColumnCount(); ++i) {
        row += (i == 0 ? "" : "|") + std::string(select->Text(i));
      }
      rows.push_back(row);
    }
    return rows;
  }

  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::string folder_ = NewTestFolder() + "/made/if need be";
  FaultyFileSystem files_;
};

TEST_F(ArchiveTest, AGenerationIsOneOrdinaryDatabase) {
  const Shards shards = Snapshot(30);
  const absl::Status status = Open()->Write(Manifest(30, shards, 4), shards);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Files(), ElementsAre("30.sqlite"));
  EXPECT_THAT(Rows("30.sqlite", "PRAGMA integrity_check"), ElementsAre("ok"));
  EXPECT_THAT(Rows("30.sqlite", "PRAGMA user_version"), ElementsAre("4"));
  EXPECT_THAT(Rows("30.sqlite", "SELECT core, load, name FROM cpu"),
              ElementsAre("7||", "0|0.5|", "1|1.5|", "|2.5|x"));
  EXPECT_THAT(Rows("30.sqlite", "SELECT * FROM places"), ElementsAre("here"));
  EXPECT_THAT(Rows("30.sqlite", "SELECT generation_number FROM qasino_server_info"),
              ElementsAre("30"));
  EXPECT_THAT(Rows("30.sqlite",
                   "SELECT tablename, nr_rows FROM qasino_server_tables "
                   "WHERE tablename NOT LIKE 'qasino%'"),
              ElementsAre("cpu|4", "places|1"));
  // Every table that is there is one that the snapshot tells of.
  EXPECT_THAT(Rows("30.sqlite",
                   "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN "
                   "(SELECT tablename FROM qasino_server_tables)"),
              IsEmpty());
}

TEST_F(ArchiveTest, OnlyANewerRevisionReplacesAFile) {
  const Shards first = Snapshot(30, "1");
  const Shards second = Snapshot(30, "2");
  ASSERT_TRUE(Open()->Write(Manifest(30, first, 2), first).ok());
  const std::string sql = "SELECT load FROM cpu WHERE core = 0";
  for (const int64_t revision : {1, 2}) {
    ASSERT_TRUE(Open()->Write(Manifest(30, second, revision), second).ok());
    EXPECT_THAT(Rows("30.sqlite", sql), ElementsAre("1.0"));
  }
  ASSERT_TRUE(Open()->Write(Manifest(30, second, 3), second).ok());
  EXPECT_THAT(Rows("30.sqlite", sql), ElementsAre("2.0"));
  // What is no database does not count.
  WriteTestFile(folder_ + "/30.sqlite", "torn");
  ASSERT_TRUE(Open()->Write(Manifest(30, first, 1), first).ok());
  EXPECT_THAT(Rows("30.sqlite", sql), ElementsAre("1.0"));
}

TEST_F(ArchiveTest, WhatAnEarlierRunLeftUnfinishedIsRemoved) {
  Open();
  for (const char* name : {".30.sqlite.tmp", ".30.sqlite", ".x.sqlite.tmp", "notes"}) {
    WriteTestFile(folder_ + "/" + name, "text");
  }
  Open();
  EXPECT_THAT(Files(), ElementsAre(".30.sqlite", ".x.sqlite.tmp", "notes"));
}

TEST_F(ArchiveTest, AFailingDiskLeavesWhatWasThere) {
  const Shards first = Snapshot(30, "1");
  const Shards second = Snapshot(30, "2");
  auto archive = Open();
  ASSERT_TRUE(archive->Write(Manifest(30, first, 1), first).ok());
  for (const Operation operation :
       {Operation::kCreate, Operation::kAppend, Operation::kSync, Operation::kRename}) {
    files_.Fail(operation, ".sqlite", absl::ResourceExhaustedError("full"));
    const absl::Status status = archive->Write(Manifest(30, second, 2), second);
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(Files(), ElementsAre("30.sqlite"));
    EXPECT_THAT(Rows("30.sqlite", "SELECT load FROM cpu WHERE core = 0"), ElementsAre("1.0"));
    files_.Heal();
  }
  ASSERT_TRUE(archive->Write(Manifest(30, second, 2), second).ok());
  EXPECT_THAT(Rows("30.sqlite", "SELECT load FROM cpu WHERE core = 0"), ElementsAre("2.0"));
}

TEST_F(ArchiveTest, AFolderThatWasNotSyncedIsSyncedByTheNextTry) {
  const Shards shards = Snapshot(30);
  auto archive = Open();
  files_.Fail(Operation::kSyncFolder, folder_, absl::InternalError("broken"));
  for (int times = 0; times < 2; ++times) {
    EXPECT_TRUE(absl::IsInternal(archive->Write(Manifest(30, shards), shards)));
  }
  files_.Heal();
  EXPECT_TRUE(archive->Write(Manifest(30, shards), shards).ok());
}

TEST_F(ArchiveTest, AShardThatCannotBeReadIsDataLoss) {
  Shards shards = Snapshot(30);
  auto damaged = std::make_shared<merge::ShardImage>();
  damaged->info = shards[1]->info;
  damaged->bytes.reset(new char[damaged->info.size_bytes()]());
  shards[1] = damaged;
  EXPECT_TRUE(absl::IsDataLoss(Open()->Write(Manifest(30, shards), shards)));
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(ArchiveTest, AFolderThatCannotBeMadeIsSaid) {
  WriteTestFile(folder_.substr(0, folder_.rfind("/made")) + "/made", "a file");
  EXPECT_FALSE(Archive::Open(folder_, "me", &files_).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Archive::Open("", "me", &files_).status()));
}

}  // namespace
}  // namespace qasino::store
