#include "services/store/data_folder.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Operation = FaultyFileSystem::Operation;

class DataFolderTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    folder_.reset();
    auto folder = DataFolder::Open(path_, &files_, {});
    ASSERT_TRUE(folder.ok()) << folder.status();
    folder_ = *std::move(folder);
  }

  // Opens the folder anew and gives what is found, oldest first.
  std::vector<DataFolder::Recovered> Recover() {
    Open();
    return folder_->TakeRecovered();
  }

  std::unique_ptr<IncomingShard> Incoming(const v1::ShardInfo& info, const std::string& bytes) {
    auto shard = folder_->NewShard(info);
    EXPECT_TRUE(shard.ok()) << shard.status();
    EXPECT_EQ((*shard)->Append(bytes), absl::OkStatus());
    EXPECT_EQ((*shard)->Finish(), absl::OkStatus());
    return *std::move(shard);
  }

  // A generation with a shard of each ingest process, its bytes "bytes of NAME".
  void PutGeneration(int64_t generation, const std::vector<std::string>& ingests,
                     int64_t revision = 1) {
    v1::Manifest manifest;
    manifest.set_store_id(folder_->store_id());
    manifest.set_generation(generation);
    manifest.set_revision(revision);
    manifest.set_complete(true);
    for (const std::string& ingest : ingests) {
      const std::string bytes = "bytes of " + ingest;
      const v1::ShardInfo info = TestShard(generation, ingest, bytes);
      *manifest.add_shards() = info;
      EXPECT_EQ(folder_->CommitShard(*Incoming(info, bytes)), absl::OkStatus());
    }
    EXPECT_EQ(folder_->WriteManifest(manifest), absl::OkStatus());
  }

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  std::string ManifestPath(int64_t generation) const {
    return Path("generations/" + std::to_string(generation) + "/manifest");
  }
  std::string ShardPath(int64_t generation, const std::string& ingest) const {
    return Path("generations/" + std::to_string(generation) + "/" + ingest + "-" +
                std::to_string(generation) + ".sqlite");
  }
  std::vector<std::string> Names(const std::string& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(Path(folder))) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  static std::vector<int64_t> Generations(const std::vector<DataFolder::Recovered>& recovered) {
    std::vector<int64_t> generations;
    for (const auto& each : recovered) generations.push_back(each.manifest.generation());
    return generations;
  }

  const std::string path_ = NewTestFolder() + "/new/data";
  FaultyFileSystem files_;
  std::unique_ptr<DataFolder> folder_;
};

TEST_F(DataFolderTest, ANewFolderIsMadeAndKeepsItsId) {
  const std::string id = folder_->store_id();
  EXPECT_EQ(id.size(), 32u);
  EXPECT_THAT(Recover(), IsEmpty());
  EXPECT_EQ(folder_->store_id(), id);
}

TEST_F(DataFolderTest, TwoStoresDoNotShareAFolder) {
  const auto second = DataFolder::Open(path_, &files_, {});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(path_));
}

TEST_F(DataFolderTest, AFileInTheFoldersPlaceIsNamed) {
  WriteTestFile(Path("file"), "x");
  const auto folder = DataFolder::Open(Path("file"), &files_, {});
  EXPECT_FALSE(folder.ok());
  EXPECT_THAT(std::string(folder.status().message()), HasSubstr(Path("file")));
}

TEST_F(DataFolderTest, RecoversGenerationsOldestFirst) {
  PutGeneration(90, {"a"});
  PutGeneration(120, {"a", "b"}, /*revision=*/2);
  PutGeneration(1'000, {"a"}, /*revision=*/0);
  const auto recovered = Recover();
  EXPECT_THAT(Generations(recovered), ElementsAre(90, 120, 1'000));
  EXPECT_EQ(recovered[1].manifest.revision(), 2);
  EXPECT_EQ(recovered[1].manifest.shards_size(), 2);
  EXPECT_THAT(recovered[1].lost, IsEmpty());
  EXPECT_EQ(recovered[2].manifest.revision(), 0);
  EXPECT_THAT(Names("damaged"), IsEmpty());
}

TEST_F(DataFolderTest, UnfinishedFilesAreRemoved) {
  auto unfinished = folder_->NewShard(TestShard(30, "a"));
  ASSERT_TRUE(unfinished.ok());
  EXPECT_EQ((*unfinished)->Append("byt"), absl::OkStatus());
  std::filesystem::create_directories(Path("incoming/7/deep"));
  WriteTestFile(Path("incoming/7/deep/file"), "x");
  WriteTestFile(Path("incoming/manifest"), "x");
  EXPECT_EQ(Names("incoming").size(), 3u);
  unfinished->reset();
  EXPECT_THAT(Recover(), IsEmpty());
  EXPECT_THAT(Names("incoming"), IsEmpty());
  EXPECT_THAT(Names("damaged"), IsEmpty());
}

TEST_F(DataFolderTest, AnUnfinishedShardLeavesNothing) {
  auto shard = folder_->NewShard(TestShard(30, "a"));
  ASSERT_TRUE(shard.ok());
  EXPECT_EQ(Names("incoming").size(), 1u);
  shard->reset();
  EXPECT_THAT(Names("incoming"), IsEmpty());
}

TEST_F(DataFolderTest, SizeAndChecksumAreVerified) {
  auto small = folder_->NewShard(TestShard(30, "a", "12345"));
  EXPECT_EQ((*small)->Append("1234"), absl::OkStatus());
  const absl::Status too_many = (*small)->Append("56");
  EXPECT_TRUE(absl::IsInvalidArgument(too_many)) << too_many;
  const absl::Status too_few = (*small)->Finish();
  EXPECT_TRUE(absl::IsInvalidArgument(too_few)) << too_few;
  EXPECT_THAT(std::string(too_few.message()), HasSubstr("4 of 5"));

  auto flipped = folder_->NewShard(TestShard(30, "a", "12345"));
  EXPECT_EQ((*flipped)->Append("12346"), absl::OkStatus());
  EXPECT_TRUE(absl::IsDataLoss((*flipped)->Finish()));
}

// What can happen to a manifest, and what the log and the operator are told.
TEST_F(DataFolderTest, DamagedManifestsAreSetAside) {
  for (int64_t generation : {30, 60, 90, 120, 150, 180, 210}) PutGeneration(generation, {"a"});
  std::string bytes = ReadTestFile(ManifestPath(60));
  WriteTestFile(ManifestPath(60), bytes.substr(0, bytes.size() - 1));  // truncated
  bytes = ReadTestFile(ManifestPath(90));
  bytes[bytes.size() / 2] ^= 1;  // flipped
  WriteTestFile(ManifestPath(90), bytes);
  WriteTestFile(ManifestPath(120), ReadTestFile(ManifestPath(30)));  // of another generation
  std::filesystem::remove(ManifestPath(150));                        // missing
  WriteTestFile(ManifestPath(180), "");                              // empty
  bytes = ReadTestFile(ManifestPath(210));
  bytes[8] = '\xff';  // a length that is not there
  WriteTestFile(ManifestPath(210), bytes);

  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("60", "90", "120", "150", "180", "210"));
  EXPECT_THAT(Names("generations"), ElementsAre("30"));
  // What was set aside once is not looked at again.
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
}

TEST_F(DataFolderTest, DamagedShardsAreSetAsideAndTheRestStays) {
  PutGeneration(30, {"a", "b", "c", "d"});
  WriteTestFile(ShardPath(30, "a"), "bytes of");    // truncated
  WriteTestFile(ShardPath(30, "b"), "bytes of x");  // other bytes
  std::filesystem::remove(ShardPath(30, "c"));
  const auto recovered = Recover();
  ASSERT_EQ(recovered.size(), 1u);
  ASSERT_EQ(recovered[0].manifest.shards_size(), 1);
  EXPECT_EQ(recovered[0].manifest.shards(0).shard_id(), "d-30");
  EXPECT_THAT(recovered[0].lost, ElementsAre("host-a", "host-b", "host-c"));
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("30-a-30.sqlite", "30-b-30.sqlite"));
}

TEST_F(DataFolderTest, AGenerationWithoutAWholeShardIsSetAside) {
  PutGeneration(30, {"a"});
  PutGeneration(60, {"a"});
  WriteTestFile(ShardPath(60, "a"), "bytes of b");
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("60", "60-a-60.sqlite"));
}

TEST_F(DataFolderTest, ForeignFilesAreSetAside) {
  PutGeneration(30, {"a"});
  std::filesystem::create_directories(Path("generations/notes"));
  std::filesystem::create_directories(Path("generations/030"));
  WriteTestFile(Path("generations/45"), "a file, not a folder");
  WriteTestFile(Path("generations/30/other.sqlite"), "no manifest names it");
  std::filesystem::create_directories(Path("generations/60"));  // a crash's empty folder
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("notes", "030", "45", "30-other.sqlite"));
  EXPECT_THAT(Names("generations"), ElementsAre("30"));
}

TEST_F(DataFolderTest, AnotherStoresGenerationIsSetAside) {
  PutGeneration(30, {"a"});
  const std::string other = path_ + "-other";
  {
    auto folder = DataFolder::Open(other, &files_, {});
    ASSERT_TRUE(folder.ok()) << folder.status();
  }
  std::filesystem::copy(Path("generations/30"), other + "/generations/30");
  auto folder = DataFolder::Open(other, &files_, {});
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_THAT((*folder)->TakeRecovered(), IsEmpty());
}

// What is in the folder when a process dies between a shard and its manifest.
TEST_F(DataFolderTest, AShardThatNoManifestCameToNameIsACrashsLeftover) {
  PutGeneration(30, {"a"});
  EXPECT_EQ(folder_->CommitShard(*Incoming(TestShard(30, "b", "12345"), "12345")),
            absl::OkStatus());
  EXPECT_EQ(folder_->CommitShard(*Incoming(TestShard(60, "b", "12345"), "12345")),
            absl::OkStatus());
  EXPECT_EQ(folder_->PutMade(60, TestMadeShard(v1::STATIC, "s"), "made", std::nullopt),
            absl::OkStatus());
  EXPECT_EQ(Names("incoming").size(), 2u);
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_THAT(Names("generations"), ElementsAre("30"));
  EXPECT_THAT(Names("generations/30"), UnorderedElementsAre("manifest", "a-30.sqlite"));
  EXPECT_THAT(Names("damaged"), IsEmpty());
  EXPECT_THAT(Names("incoming"), IsEmpty());
}

TEST_F(DataFolderTest, OnceAManifestNamesItAShardIsNoLeftover) {
  PutGeneration(30, {"a"});
  EXPECT_THAT(Names("incoming"), IsEmpty());
  std::filesystem::remove(ManifestPath(30));
  EXPECT_THAT(Recover(), IsEmpty());
  EXPECT_THAT(Names("damaged"), ElementsAre("30"));
  EXPECT_THAT(Names("damaged/30"), ElementsAre("a-30.sqlite"));
}

TEST_F(DataFolderTest, ARefusedShardLeavesNothing) {
  PutGeneration(30, {"a"});
  const v1::ShardInfo info = TestShard(30, "b", "12345");
  EXPECT_EQ(folder_->CommitShard(*Incoming(info, "12345")), absl::OkStatus());
  folder_->DiscardShard(info);
  files_.Fail(Operation::kRename, "b-30", absl::InternalError("the disk broke"));
  EXPECT_FALSE(folder_->CommitShard(*Incoming(info, "12345")).ok());
  EXPECT_THAT(Names("incoming"), IsEmpty());
  EXPECT_THAT(Names("generations/30"), UnorderedElementsAre("manifest", "a-30.sqlite"));
}

TEST_F(DataFolderTest, SetAsideTwiceBothAreKept) {
  for (int i = 0; i < 2; ++i) {
    PutGeneration(30, {"a"});
    WriteTestFile(ManifestPath(30), "x");
    EXPECT_THAT(Recover(), IsEmpty());
  }
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("30", "30.2"));
}

TEST_F(DataFolderTest, AStoreIdThatIsDamagedIsFoundInTheManifests) {
  const std::string id = folder_->store_id();
  PutGeneration(30, {"a"});
  WriteTestFile(Path("store-id"), "nonsense");
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_EQ(folder_->store_id(), id);
  EXPECT_THAT(Names("damaged"), ElementsAre("store-id"));
}

TEST_F(DataFolderTest, ARetiredGenerationIsGoneButStaysReadable) {
  PutGeneration(30, {"a"});
  const auto file = folder_->OpenShard(30, TestShard(30, "a"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(folder_->Retire(30), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(folder_->OpenShard(30, TestShard(30, "a")).status()));
  EXPECT_THAT(Names("generations"), IsEmpty());
  EXPECT_THAT(Names("incoming"), IsEmpty());
  char buffer[100];
  const auto got = (*file)->ReadAt(0, sizeof buffer, buffer);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(std::string(buffer, *got), "bytes of a");
}

TEST_F(DataFolderTest, AFullDiskIsNamedAndWhatWasThereStays) {
  PutGeneration(30, {"a"});
  auto shard = folder_->NewShard(TestShard(30, "b", "12345"));
  ASSERT_TRUE(shard.ok());
  files_.Fail(Operation::kAppend, "incoming", absl::ResourceExhaustedError("disk full"));
  const absl::Status full = (*shard)->Append("12345");
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_THAT(std::string(full.message()), HasSubstr(Path("incoming")));
  v1::Manifest manifest;
  manifest.set_generation(30);
  EXPECT_TRUE(absl::IsResourceExhausted(folder_->WriteManifest(manifest)));
  EXPECT_TRUE(absl::IsResourceExhausted(folder_->Probe()));
  shard->reset();
  EXPECT_THAT(Names("incoming"), IsEmpty());
  files_.Heal();
  EXPECT_EQ(folder_->Probe(), absl::OkStatus());
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
}

TEST_F(DataFolderTest, AFailedSyncOfAFileIsThatFilesFault) {
  auto shard = folder_->NewShard(TestShard(30, "a", "12345"));
  EXPECT_EQ((*shard)->Append("12345"), absl::OkStatus());
  files_.Fail(Operation::kSync, "incoming", absl::InternalError("cannot sync"));
  EXPECT_TRUE(absl::IsInternal((*shard)->Finish()));
  files_.Heal();
  shard->reset();
  EXPECT_EQ(folder_->Writable(), absl::OkStatus());
  PutGeneration(30, {"a"});
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
}

TEST_F(DataFolderTest, AfterAFailedSyncOfAFolderNothingIsWrittenUntilARestart) {
  PutGeneration(30, {"a"});
  auto shard = Incoming(TestShard(30, "b", "12345"), "12345");
  files_.Fail(Operation::kSyncFolder, "generations/30", absl::InternalError("cannot sync"));
  EXPECT_TRUE(absl::IsInternal(folder_->CommitShard(*shard)));
  files_.Heal();
  EXPECT_TRUE(absl::IsInternal(folder_->Writable()));
  EXPECT_THAT(std::string(folder_->Writable().message()), HasSubstr("generations/30"));
  EXPECT_TRUE(absl::IsInternal(folder_->NewShard(TestShard(60, "a")).status()));
  EXPECT_TRUE(absl::IsInternal(folder_->WriteManifest(v1::Manifest())));
  EXPECT_TRUE(absl::IsInternal(folder_->Retire(30)));
  EXPECT_TRUE(absl::IsInternal(folder_->Probe()));
  EXPECT_TRUE(folder_->OpenShard(30, TestShard(30, "a")).ok());
  shard.reset();

  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_EQ(folder_->Writable(), absl::OkStatus());
  // It was not acknowledged, so it is no loss.
  EXPECT_THAT(Names("damaged"), IsEmpty());
  EXPECT_THAT(Names("generations/30"), UnorderedElementsAre("manifest", "a-30.sqlite"));
}

// Shards that the store makes lie beside the others.
class MadeShardTest : public DataFolderTest {
 protected:
  // The generation's manifest with these besides the shard of "a".
  void WriteManifest(int64_t generation, const std::vector<v1::ShardInfo>& made) {
    v1::Manifest manifest;
    manifest.set_store_id(folder_->store_id());
    manifest.set_generation(generation);
    manifest.set_revision(2);
    if (generation > 0) *manifest.add_shards() = TestShard(generation, "a", "bytes of a");
    for (const v1::ShardInfo& shard : made) *manifest.add_shards() = shard;
    EXPECT_EQ(folder_->WriteManifest(manifest), absl::OkStatus());
  }
  std::string Read(int64_t generation, const v1::ShardInfo& info) {
    return ReadTestFile(folder_->ShardPath(generation, info));
  }

  const v1::ShardInfo static_ = TestMadeShard(v1::STATIC, "static-1");
  const v1::ShardInfo persistent_ = TestMadeShard(v1::PERSISTENT, "persistent-1", 30);
};

TEST_F(MadeShardTest, AreRecoveredWithTheirGeneration) {
  PutGeneration(30, {"a"});
  EXPECT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
  EXPECT_EQ(folder_->PutMade(30, persistent_, "made", std::nullopt), absl::OkStatus());
  WriteManifest(30, {persistent_, static_});
  PutGeneration(60, {"a"});
  EXPECT_EQ(folder_->PutMade(60, persistent_, "made", 30), absl::OkStatus());
  WriteManifest(60, {persistent_});
  EXPECT_THAT(Names("generations/30"),
              UnorderedElementsAre("manifest", "a-30.sqlite", "static-1.made.sqlite",
                                   "persistent-1.made.sqlite"));
  const auto recovered = Recover();
  ASSERT_THAT(Generations(recovered), ElementsAre(30, 60));
  EXPECT_EQ(recovered[0].manifest.shards_size(), 3);
  EXPECT_EQ(recovered[1].manifest.shards_size(), 2);
  EXPECT_FALSE(recovered[1].made_lost);
  EXPECT_EQ(Read(60, persistent_), "made");
  EXPECT_THAT(Names("damaged"), IsEmpty());
  EXPECT_THAT(Names("incoming"), IsEmpty());
}

TEST_F(MadeShardTest, ServeSeveralGenerationsByOneFile) {
  PutGeneration(30, {"a"});
  PutGeneration(60, {"a"});
  ASSERT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
  ASSERT_EQ(folder_->PutMade(60, static_, "made", 30), absl::OkStatus());
  EXPECT_EQ(std::filesystem::hard_link_count(folder_->ShardPath(60, static_)), 2u);
  EXPECT_EQ(folder_->Retire(30), absl::OkStatus());
  EXPECT_EQ(Read(60, static_), "made");
}

TEST_F(MadeShardTest, AreWrittenWhereThereAreNoLinks) {
  PutGeneration(30, {"a"});
  PutGeneration(60, {"a"});
  ASSERT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
  files_.Fail(Operation::kLink, "60", absl::InternalError("no links here"));
  ASSERT_EQ(folder_->PutMade(60, static_, "made", 30), absl::OkStatus());
  EXPECT_EQ(std::filesystem::hard_link_count(folder_->ShardPath(60, static_)), 1u);
  // And where the other generation has it no longer, or this one has it already.
  files_.Heal();
  ASSERT_EQ(folder_->PutMade(60, static_, "made", 30), absl::OkStatus());
  ASSERT_EQ(folder_->PutMade(60, persistent_, "made", 30), absl::OkStatus());
  EXPECT_EQ(Read(60, persistent_), "made");
}

TEST_F(MadeShardTest, DamagedOnesAreSetAsideAndTheGenerationStays) {
  PutGeneration(30, {"a"});
  for (const v1::ShardInfo& shard : {persistent_, static_}) {
    EXPECT_EQ(folder_->PutMade(30, shard, "made", std::nullopt), absl::OkStatus());
  }
  WriteManifest(30, {persistent_, static_});
  WriteTestFile(folder_->ShardPath(30, persistent_), "mad");
  std::filesystem::remove(folder_->ShardPath(30, static_));
  const auto recovered = Recover();
  ASSERT_EQ(recovered.size(), 1u);
  EXPECT_EQ(recovered[0].manifest.shards_size(), 1);
  EXPECT_TRUE(recovered[0].made_lost);
  EXPECT_THAT(recovered[0].lost, IsEmpty());
  EXPECT_THAT(Names("damaged"), ElementsAre("30-persistent-1.made.sqlite"));
}

TEST_F(MadeShardTest, AloneTheyMakeNoGeneration) {
  PutGeneration(30, {"a"});
  EXPECT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
  WriteManifest(30, {static_});
  WriteTestFile(ShardPath(30, "a"), "bytes of b");
  EXPECT_THAT(Recover(), IsEmpty());
  EXPECT_THAT(Names("damaged"), UnorderedElementsAre("30", "30-a-30.sqlite"));
}

TEST_F(MadeShardTest, WhatNoManifestNamesIsACrashsLeftover) {
  PutGeneration(30, {"a"});
  EXPECT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
  EXPECT_THAT(Generations(Recover()), ElementsAre(30));
  EXPECT_THAT(Names("generations/30"), UnorderedElementsAre("manifest", "a-30.sqlite"));
  EXPECT_THAT(Names("damaged"), IsEmpty());
}

TEST_F(MadeShardTest, TheSnapshotBeforeTheFirstIsRecoveredEvenEmpty) {
  EXPECT_EQ(folder_->PutMade(0, static_, "made", std::nullopt), absl::OkStatus());
  WriteManifest(0, {static_});
  auto recovered = Recover();
  ASSERT_THAT(Generations(recovered), ElementsAre(0));
  EXPECT_EQ(recovered[0].manifest.shards_size(), 1);
  WriteManifest(0, {});
  folder_->RemoveMade(0, static_);
  recovered = Recover();
  ASSERT_THAT(Generations(recovered), ElementsAre(0));
  EXPECT_EQ(recovered[0].manifest.revision(), 2);
  EXPECT_EQ(folder_->Retire(0), absl::OkStatus());
  EXPECT_THAT(Recover(), IsEmpty());
}

TEST_F(MadeShardTest, AFailedOneIsNamedAndLeavesNothing) {
  PutGeneration(30, {"a"});
  for (const Operation operation : {Operation::kCreate, Operation::kAppend, Operation::kSync}) {
    files_.Fail(operation, "incoming", absl::ResourceExhaustedError("disk full"));
    EXPECT_TRUE(absl::IsResourceExhausted(folder_->PutMade(30, static_, "made", std::nullopt)));
    files_.Heal();
  }
  files_.Fail(Operation::kRename, "static-1", absl::InternalError("the disk broke"));
  EXPECT_TRUE(absl::IsInternal(folder_->PutMade(30, static_, "made", std::nullopt)));
  files_.Heal();
  EXPECT_THAT(Names("incoming"), IsEmpty());
  EXPECT_THAT(Names("generations/30"), UnorderedElementsAre("manifest", "a-30.sqlite"));
  EXPECT_EQ(folder_->PutMade(30, static_, "made", std::nullopt), absl::OkStatus());
}

TEST_F(DataFolderTest, AGenerationOfTheFarFutureIsSetAside) {
  PutGeneration(30, {"a"});
  PutGeneration(4'102'444'800, {"a"});
  folder_.reset();
  auto folder = DataFolder::Open(path_, &files_, {}, /*latest=*/1'800'000'000);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_THAT(Generations((*folder)->TakeRecovered()), ElementsAre(30));
  EXPECT_THAT(Names("damaged"), ElementsAre("4102444800"));
}

}  // namespace
}  // namespace qasino::store
