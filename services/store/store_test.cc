#include "services/store/store.h"

#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "qasino/v1/snapshot.grpc.pb.h"
#include "services/store/store_fixture.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Operation = FaultyFileSystem::Operation;

TEST_F(StoreTest, WhatIsPutIsGot) {
  const std::string bytes = Large(3'500'000);
  PutOk(30, "a", bytes);
  const Got got = Get(30, "a-30");
  EXPECT_TRUE(got.status.ok()) << got.status.error_message();
  EXPECT_EQ(got.info.SerializeAsString(), TestShard(30, "a", bytes).SerializeAsString());
  EXPECT_GT(got.chunks, 3u);
  EXPECT_TRUE(got.bytes == bytes);
  EXPECT_EQ(Metric("qasino_store_bytes_received_total"), 3'500'000);
  EXPECT_EQ(Metric("qasino_store_bytes_sent_total"), 3'500'000);
  EXPECT_EQ(Metric("qasino_store_shards_received_total"), 1);
  EXPECT_EQ(Metric("qasino_store_commit_seconds"), 1);
  EXPECT_EQ(Metric("qasino_store_held_bytes"), 3'500'000);
  EXPECT_EQ(Metric("qasino_store_newest_generation"), 30);
}

TEST_F(StoreTest, ATransferIsTakenUpAtAnOffset) {
  const std::string bytes = Large(1'500'000);
  PutOk(30, "a", bytes);
  const Got rest = Get(30, "a-30", 1'400'001);
  EXPECT_TRUE(rest.status.ok()) << rest.status.error_message();
  EXPECT_EQ(rest.info.size_bytes(), bytes.size());
  EXPECT_TRUE(rest.bytes == bytes.substr(1'400'001));

  const Got end = Get(30, "a-30", bytes.size());
  EXPECT_TRUE(end.status.ok());
  EXPECT_EQ(end.info.shard_id(), "a-30");
  EXPECT_EQ(end.chunks, 0u);

  const Got beyond = Get(30, "a-30", bytes.size() + 1);
  EXPECT_EQ(beyond.status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(beyond.status.error_message(), HasSubstr("1500001"));
}

TEST_F(StoreTest, WhatIsNotHeldIsNotFound) {
  EXPECT_EQ(Get(30, "a-30").status.error_code(), grpc::StatusCode::NOT_FOUND);
  PutOk(60, "a");
  const Got got = Get(30, "a-30");
  EXPECT_EQ(got.status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(got.status.error_message(), HasSubstr("60"));
  EXPECT_EQ(Get(60, "../60/a-60").status.error_code(), grpc::StatusCode::NOT_FOUND);
  v1::Manifest manifest;
  EXPECT_EQ(GetManifest(30, &manifest).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(StoreTest, AShardThatIsHeldIsSaidToBe) {
  bool held = true;
  EXPECT_TRUE(Put(TestShard(30, "a"), "bytes", &held).ok());
  EXPECT_FALSE(held);
  EXPECT_TRUE(Put(TestShard(30, "a"), "bytes", &held).ok());
  EXPECT_TRUE(held);
  v1::Manifest manifest;
  ASSERT_TRUE(GetManifest(0, &manifest).ok());
  EXPECT_EQ(manifest.revision(), 1);
}

TEST_F(StoreTest, TheSameShardMayComeManyTimesAtOnce) {
  const std::string bytes = Large(2'000'000);
  std::atomic<int> fresh = 0;
  std::vector<std::thread> senders;
  for (int i = 0; i < 8; ++i) {
    senders.emplace_back([&] {
      bool held = false;
      const grpc::Status status = Put(TestShard(30, "a", bytes), bytes, &held);
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!held) ++fresh;
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(fresh, 1);
  EXPECT_TRUE(Get(30, "a-30").bytes == bytes);
  EXPECT_TRUE(Eventually([&] { return Incoming() == 0; }));
}

TEST_F(StoreTest, ShardsOfManySendersAreAllThere) {
  std::vector<std::thread> senders;
  for (int i = 0; i < 20; ++i) {
    senders.emplace_back([this, i] { PutOk(30, "s" + std::to_string(i)); });
  }
  for (std::thread& sender : senders) sender.join();
  v1::Manifest manifest;
  ASSERT_TRUE(GetManifest(30, &manifest).ok());
  EXPECT_EQ(manifest.shards_size(), 20);
}

TEST_F(StoreTest, WatchersAreToldOfEachSnapshot) {
  Watch watch(*stub_);
  const v1::WatchSnapshotsResponse empty = watch.Next();
  ASSERT_TRUE(empty.has_manifest());
  EXPECT_EQ(empty.manifest().generation(), 0);
  EXPECT_EQ(empty.manifest().store_id().size(), 32u);
  EXPECT_TRUE(empty.manifest().complete());
  EXPECT_EQ(empty.oldest_generation(), 0);

  PutOk(30, "a");
  v1::Manifest manifest = watch.NextManifest();
  EXPECT_EQ(manifest.generation(), 30);
  EXPECT_EQ(manifest.revision(), 1);
  EXPECT_EQ(manifest.store_id(), empty.manifest().store_id());
  PutOk(30, "b");
  manifest = watch.NextManifest();
  EXPECT_EQ(manifest.revision(), 2);
  EXPECT_EQ(manifest.shards_size(), 2);

  // Of an older generation they are not told; the next message is of the next newest.
  PutOk(60, "a");
  PutOk(60, "b");
  EXPECT_EQ(watch.NextManifest().generation(), 60);
  PutOk(30, "c");
  PutOk(60, "c");
  manifest = watch.NextManifest();
  EXPECT_EQ(manifest.generation(), 60);
  EXPECT_EQ(manifest.revision(), 2);
  EXPECT_TRUE(Eventually([&] { return Metric("qasino_store_watchers") == 1; }));
}

TEST_F(StoreTest, ProgressProvesThatTheWatchLives) {
  PutOk(30, "a");
  Watch watch(*stub_);
  EXPECT_TRUE(watch.Next().has_manifest());
  for (int i = 0; i < 3; ++i) {
    const v1::WatchSnapshotsResponse progress = watch.Next();
    EXPECT_FALSE(progress.has_manifest());
    EXPECT_EQ(progress.oldest_generation(), 30);
  }
}

TEST_F(StoreTest, AWatchBeginsWhereItIsTold) {
  PutOk(30, "a");
  Watch same(*stub_, 30, 1);
  EXPECT_EQ(same.NextManifest().generation(), 30);

  Watch later(*stub_, 30, 2);
  EXPECT_FALSE(later.Next().has_manifest());
  PutOk(30, "b");
  EXPECT_EQ(later.NextManifest().revision(), 2);
  EXPECT_EQ(same.NextManifest().revision(), 2);
}

TEST_F(StoreTest, AfterTheWaitASnapshotSaysWhoIsMissing) {
  options_.completeness_wait = absl::Milliseconds(50);
  Restart();
  Watch watch(*stub_, 60);
  PutOk(30, "a");
  PutOk(30, "b");
  PutOk(60, "a");
  v1::Manifest manifest = watch.NextManifest();
  EXPECT_EQ(manifest.generation(), 60);
  EXPECT_FALSE(manifest.complete());
  EXPECT_THAT(manifest.missing(), ElementsAre("host-b"));
  PutOk(60, "b");
  manifest = watch.NextManifest();
  EXPECT_EQ(manifest.revision(), 2);
  EXPECT_TRUE(manifest.complete());
}

TEST_F(StoreTest, TheWaitIsMeasuredByTheSteadyClock) {
  options_.steady_clock = [this] { return absl::FromUnixSeconds(steady_seconds_); };
  options_.clock = [] { return absl::FromUnixSeconds(123'456); };
  options_.completeness_wait = absl::Seconds(2);
  Restart();
  PutOk(30, "a");
  PutOk(30, "b");
  PutOk(60, "a");
  EXPECT_THAT(Generations(), ElementsAre(30));
  steady_seconds_ += 2;
  part_->Wake();
  Watch watch(*stub_, 60);
  const v1::Manifest manifest = watch.NextManifest();
  EXPECT_EQ(manifest.generation(), 60);
  EXPECT_EQ(manifest.committed_at().seconds(), 123'456);
}

TEST_F(StoreTest, OldGenerationsGoButNotFromUnderAReader) {
  options_.retain = 2;
  Restart();
  const std::string bytes = Large(20'000'000);
  PutOk(30, "a", bytes);
  v1::GetShardRequest request;
  request.set_generation(30);
  request.set_shard_id("a-30");
  const auto context = NewContext();
  const auto reader = stub_->GetShard(context.get(), request);
  v1::GetShardResponse response;
  ASSERT_TRUE(reader->Read(&response));

  for (int generation : {60, 90, 120}) PutOk(generation, "a");
  EXPECT_THAT(Generations(), ElementsAre(120, 90));
  EXPECT_TRUE(
      Eventually([&] { return !std::filesystem::exists(options_.data_dir + "/generations/30"); }));
  std::string got;
  while (reader->Read(&response)) got += response.chunk().data();
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(got == bytes);

  const grpc::Status old = Put(TestShard(30, "b"), "bytes");
  EXPECT_EQ(old.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(old.error_message(), HasSubstr("90"));
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "too_old"), 1);
  Watch watch(*stub_);
  EXPECT_EQ(watch.Next().oldest_generation(), 90);
}

TEST_F(StoreTest, BadUploadsAreRefusedAndLeaveNothing) {
  const v1::ShardInfo info = TestShard(30, "a", "12345");
  const auto expect = [&](const char* what, const grpc::Status& status, grpc::StatusCode code,
                          const std::string& says, const std::string& reason, double count) {
    SCOPED_TRACE(what);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(says));
    EXPECT_EQ(Metric("qasino_store_shards_refused_total", reason), count);
  };
  constexpr auto kInvalid = grpc::StatusCode::INVALID_ARGUMENT;
  expect("bytes first", Upload(*stub_).Chunk(0, "1").End(), kInvalid, "before the info", "invalid",
         1);
  expect("info twice", Upload(*stub_).Info(info).Info(info).End(), kInvalid, "twice", "invalid", 2);
  expect("wrong order", Upload(*stub_).Info(info).Chunk(0, "12").Chunk(3, "45").End(), kInvalid,
         "byte 3 where byte 2", "invalid", 3);
  expect("too many", Upload(*stub_).Info(info).Chunk(0, "123456").End(), kInvalid, "more than",
         "invalid", 4);
  expect("neither", Upload(*stub_).Info(info).Nothing().End(), kInvalid, "neither", "invalid", 5);
  expect("large chunk", Upload(*stub_).Info(info).Chunk(0, std::string(1'048'577, 'x')).End(),
         kInvalid, "1048577", "invalid", 6);
  v1::ShardInfo bad = info;
  bad.set_shard_id("../../x");
  expect("bad info", Upload(*stub_).Info(bad).End(), kInvalid, "shard_id", "invalid", 7);
  expect("too few", Upload(*stub_).Info(info).Chunk(0, "123").End(), kInvalid, "3 of 5",
         "broken_off", 1);
  expect("no bytes", Upload(*stub_).Info(info).End(), kInvalid, "0 of 5", "broken_off", 2);
  expect("nothing", Upload(*stub_).End(), kInvalid, "before the shard's info", "broken_off", 3);
  expect("checksum", Upload(*stub_).Info(info).Chunk(0, "12346").End(), grpc::StatusCode::DATA_LOSS,
         "checksum", "checksum", 1);
  v1::ShardInfo large = info;
  large.set_size_bytes(uint64_t{5} << 30);
  expect("large", Upload(*stub_).Info(large).End(), grpc::StatusCode::RESOURCE_EXHAUSTED,
         "5368709120", "limit", 1);

  EXPECT_TRUE(Eventually([&] { return Incoming() == 0; }));
  EXPECT_THAT(Generations(), ElementsAre());
  EXPECT_EQ(part_->Ready(), absl::OkStatus());
  EXPECT_TRUE(Put(info, "12345").ok());
}

TEST_F(StoreTest, AShardOfTheFarFutureIsRefused) {
  wall_seconds_ = 1'800'000'000;
  options_.clock = [this] { return absl::FromUnixSeconds(wall_seconds_); };
  Restart();
  const grpc::Status status = Put(TestShard(4'102'444'800, "a"), "bytes");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(),
            "generation 4102444800 (2100-01-01T00:00:00Z) begins 639568h after this store's clock "
            "(2027-01-15T08:00:00Z), more than the 10m of --max-clock-skew; is a clock wrong?");
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "invalid"), 1);
  EXPECT_EQ(Put(TestShard(1'800'000'601, "a"), "bytes").error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(Generations(), ElementsAre());
  PutOk(1'800'000'600, "a");

  options_.max_clock_skew = absl::ZeroDuration();
  Restart();
  EXPECT_FALSE(Put(TestShard(1'800'000'001, "b"), "bytes").ok());
  PutOk(1'800'000'000, "b");
  // What is held may be put again, even if the clock has gone back.
  wall_seconds_ = 1'000;
  bool held = false;
  EXPECT_TRUE(Put(TestShard(1'800'000'600, "a"), "bytes", &held).ok());
  EXPECT_TRUE(held);
}

TEST_F(StoreTest, EmptyChunksDoNotKeepAnUploadAlive) {
  const v1::ShardInfo info = TestShard(30, "a", "12345");
  const grpc::Status status = Upload(*stub_).Info(info).Chunk(0, "12").Chunk(2, "").End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("a chunk has no bytes"));
  EXPECT_TRUE(Eventually([&] { return Incoming() == 0; }));
}

TEST_F(StoreTest, AChunkWithAFieldThatIsUnknownIsTaken) {
  Upload upload(*stub_);
  upload.Info(TestShard(60, "a", "bytes of a shard"));
  upload.Chunk(0, "bytes ").LaterChunk(6, "of a ").Chunk(11, "shard");
  const grpc::Status status = upload.End();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(StoreTest, AMessageThatDoesNotParseIsRefusedWithWords) {
  // Field 1 of the info, its shard_id, is not UTF-8.
  const grpc::Status text = PutRaw("\x0a\x03\x0a\x01\xff");
  EXPECT_EQ(text.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(text.error_message(),
            "the message is not a PutShardRequest (texts must be valid UTF-8)");
  const grpc::Status torn = PutRaw("\x0a\x7f");
  EXPECT_EQ(torn.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(torn.error_message(), "the message is not a PutShardRequest");
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "invalid"), 2);
}

TEST_F(StoreTest, RequestsThatDoNotParseAreRefusedWithWords) {
  for (const std::string method :
       {"WatchSnapshots", "GetShard", "GetManifest", "ListGenerations", "GetCarriedShard"}) {
    const grpc::Status torn = CallRaw(method, "\x0a\x7f");
    EXPECT_EQ(torn.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_EQ(torn.error_message(),
              "the message is not a " + method + "Request (texts must be valid UTF-8)");
    const grpc::Status large = CallRaw(method, std::string(100'000, 'x'));
    EXPECT_EQ(large.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << method;
    EXPECT_THAT(large.error_message(), HasSubstr("65536"));
  }
}

TEST_F(StoreTest, AMessageThatWouldBeLargeInMemoryIsNotParsed) {
  std::string tables;  // empty ones, two bytes each
  for (int i = 0; i < 1'000'000; ++i) tables += std::string("\x52\x00", 2);
  const grpc::Status many = PutRaw("\x0a\x80\x89\x7a" + tables);
  EXPECT_EQ(many.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(many.error_message(), "shard info: more than the 100000 tables allowed");
  const grpc::Status large = PutRaw(std::string((17 << 20) + 1, 'x'));
  EXPECT_EQ(large.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(large.error_message(),
            "shard upload: a message has 17825793 bytes, more than the 17825792 allowed");
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "limit"), 2);
}

TEST_F(StoreTest, HeldWithOtherBytesIsRefused) {
  PutOk(30, "a");
  const grpc::Status status = Put(TestShard(30, "a", "other"), "other");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Get(30, "a-30").bytes, "bytes");
}

TEST_F(StoreTest, ASenderThatGoesAwayLeavesNothing) {
  {
    Upload upload(*stub_);
    upload.Info(TestShard(30, "a", "12345")).Chunk(0, "123");
    EXPECT_TRUE(Eventually([&] { return Incoming() == 1; }));
    upload.context->TryCancel();
    EXPECT_FALSE(upload.End().ok());
  }
  EXPECT_TRUE(Eventually([&] { return Incoming() == 0; }));
  EXPECT_TRUE(
      Eventually([&] { return Metric("qasino_store_shards_refused_total", "broken_off") == 1; }));
}

TEST_F(StoreTest, ASenderThatFallsSilentIsGivenUp) {
  options_.idle_limit = absl::Milliseconds(50);
  Restart();
  Upload upload(*stub_);
  upload.Info(TestShard(30, "a", "12345"));
  const grpc::Status status = upload.writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return Incoming() == 0; }));
}

TEST_F(StoreTest, CallsAtTheSameTimeAreBounded) {
  options_.max_puts = 1;
  options_.max_watches = 1;
  Restart();
  Upload first(*stub_);
  first.Info(TestShard(30, "a", "12345"));
  EXPECT_TRUE(Eventually([&] { return Incoming() == 1; }));
  const grpc::Status second = Put(TestShard(30, "b"), "bytes");
  EXPECT_EQ(second.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(second.error_message(), HasSubstr("1 puts"));
  EXPECT_TRUE(first.Chunk(0, "12345").End().ok());

  Watch watch(*stub_);
  watch.Next();
  Watch another(*stub_);
  v1::WatchSnapshotsResponse response;
  EXPECT_FALSE(another.reader->Read(&response));
  EXPECT_EQ(another.reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  another.reader.reset();
}

TEST_F(StoreTest, EverythingSurvivesARestart) {
  const std::string bytes = Large(100'000);
  PutOk(30, "a", bytes);
  PutOk(30, "b");
  PutOk(60, "a");  // waits for b
  v1::Manifest before;
  ASSERT_TRUE(GetManifest(0, &before).ok());
  Restart();
  v1::Manifest after;
  ASSERT_TRUE(GetManifest(0, &after).ok());
  EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString());
  EXPECT_TRUE(Get(30, "a-30").bytes == bytes);
  bool held = false;
  EXPECT_TRUE(Put(TestShard(60, "a"), "bytes", &held).ok());
  EXPECT_TRUE(held);
  PutOk(60, "b");
  EXPECT_THAT(Generations(), ElementsAre(60, 30));
  ASSERT_TRUE(GetManifest(60, &after).ok());
  EXPECT_TRUE(after.complete());
}

TEST_F(StoreTest, ADamagedShardMakesANewRevisionThatLasts) {
  PutOk(30, "a");
  PutOk(30, "b");
  Stop();
  WriteTestFile(options_.data_dir + "/generations/30/b-30.sqlite", "bytez");
  Start();
  v1::Manifest manifest;
  ASSERT_TRUE(GetManifest(0, &manifest).ok());
  EXPECT_EQ(manifest.revision(), 3);
  EXPECT_THAT(manifest.missing(), ElementsAre("host-b"));
  Restart();
  v1::Manifest again;
  ASSERT_TRUE(GetManifest(0, &again).ok());
  EXPECT_EQ(again.SerializeAsString(), manifest.SerializeAsString());
  PutOk(30, "b");
  ASSERT_TRUE(GetManifest(0, &again).ok());
  EXPECT_TRUE(again.complete());
}

TEST_F(StoreTest, AGenerationOfTheFarFutureThatIsHeldDoesNotStayTheNewest) {
  wall_seconds_ = 1'800'000'000;
  options_.clock = [this] { return absl::FromUnixSeconds(wall_seconds_); };
  Restart();
  PutOk(1'800'000'000, "a");
  Stop();
  // The clock had been wrong.
  wall_seconds_ = 1'700'000'000;
  Start();
  EXPECT_THAT(Generations(), ElementsAre());
  EXPECT_TRUE(std::filesystem::exists(options_.data_dir + "/damaged/1800000000"));
  PutOk(1'700'000'000, "a");
}

TEST_F(StoreTest, LoweringRetainTakesEffectAtStartUp) {
  for (int generation : {30, 60, 90}) PutOk(generation, "a");
  options_.retain = 1;
  Restart();
  EXPECT_THAT(Generations(), ElementsAre(90));
  EXPECT_FALSE(std::filesystem::exists(options_.data_dir + "/generations/30"));
}

TEST_F(StoreTest, AFullDiskIsSaidAndGoesOnWhenThereIsRoom) {
  PutOk(30, "a");
  files_.Fail(Operation::kAppend, "incoming", absl::ResourceExhaustedError("disk full"));
  const grpc::Status status = Put(TestShard(60, "a"), "bytes");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr(options_.data_dir));
  EXPECT_TRUE(absl::IsResourceExhausted(part_->Ready())) << part_->Ready();
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "disk_full"), 1);
  EXPECT_EQ(Get(30, "a-30").bytes, "bytes");
  files_.Heal();
  EXPECT_TRUE(Eventually([&] { return part_->Ready().ok(); }));
  PutOk(60, "a");
}

TEST_F(StoreTest, AManifestThatCannotBeWrittenTakesItsShardBack) {
  PutOk(30, "a");
  files_.Fail(Operation::kRename, "manifest", absl::InternalError("the disk broke"));
  const grpc::Status status = Put(TestShard(30, "b"), "bytes");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_FALSE(std::filesystem::exists(options_.data_dir + "/generations/30/b-30.sqlite"));
  v1::Manifest manifest;
  ASSERT_TRUE(GetManifest(0, &manifest).ok());
  EXPECT_EQ(manifest.shards_size(), 1);
  files_.Heal();
  PutOk(30, "b");
}

TEST_F(StoreTest, AFailedSyncIsNotAcknowledged) {
  files_.Fail(Operation::kSync, "incoming", absl::InternalError("cannot sync"));
  const grpc::Status status = Put(TestShard(30, "a"), "bytes");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "disk"), 1);
  EXPECT_THAT(Generations(), ElementsAre());
  files_.Heal();
  PutOk(30, "a");
}

TEST_F(StoreTest, AfterAFailedSyncOfAFolderItRefusesUntilARestart) {
  PutOk(30, "a");
  files_.Fail(Operation::kSyncFolder, "generations/30", absl::InternalError("cannot sync"));
  EXPECT_EQ(Put(TestShard(30, "b"), "bytes").error_code(), grpc::StatusCode::INTERNAL);
  files_.Heal();
  const grpc::Status status = Put(TestShard(60, "a"), "bytes");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("until the store is started again"));
  EXPECT_TRUE(absl::IsInternal(part_->Ready()));
  EXPECT_EQ(Get(30, "a-30").bytes, "bytes");
  Restart();
  EXPECT_EQ(part_->Ready(), absl::OkStatus());
  PutOk(60, "a");
}

TEST_F(StoreTest, AnAnnouncementThatFailedComesWhenTheDiskIsBack) {
  options_.completeness_wait = absl::Milliseconds(1);
  Restart();
  PutOk(30, "a");
  PutOk(30, "b");
  options_.completeness_wait = absl::Hours(1);
  Restart();
  PutOk(60, "a");
  options_.completeness_wait = absl::Milliseconds(1);
  Stop();
  files_.Fail(Operation::kRename, "60/manifest", absl::InternalError("the disk broke"));
  Start();
  EXPECT_TRUE(Eventually([&] { return !part_->Ready().ok(); }));
  files_.Heal();
  Watch watch(*stub_, 60);
  EXPECT_EQ(watch.NextManifest().generation(), 60);
}

TEST_F(StoreTest, DrainingFinishesPutsAndEndsWatches) {
  Watch watch(*stub_);
  watch.Next();
  Upload upload(*stub_);
  upload.Info(TestShard(30, "a", "12345")).Chunk(0, "12");
  EXPECT_TRUE(Eventually([&] { return Incoming() == 1; }));
  std::thread drain([&] { part_->Drain(absl::Now() + kPatience); });
  v1::WatchSnapshotsResponse response;
  while (watch.reader->Read(&response)) {
  }
  const grpc::Status ended = watch.reader->Finish();
  watch.reader.reset();
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ended.error_message(), "the store is stopping");
  EXPECT_EQ(Put(TestShard(30, "b"), "bytes").error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Metric("qasino_store_shards_refused_total", "stopping"), 1);
  EXPECT_TRUE(upload.Chunk(2, "345").End().ok());
  drain.join();
  Restart();
  EXPECT_EQ(Get(30, "a-30").bytes, "12345");
}

TEST_F(StoreTest, AtTheDeadlineOfDrainingCallsAreBrokenOff) {
  Upload upload(*stub_);
  upload.Info(TestShard(30, "a", "12345"));
  EXPECT_TRUE(Eventually([&] { return Incoming() == 1; }));
  part_->Drain(absl::Now());
  EXPECT_FALSE(upload.writer->Finish().ok());
}

TEST_F(StoreTest, ASecondStoreOnTheFolderIsRefused) {
  prometheus::Registry registry;
  const auto second = StorePart::Create(options_, registry);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(options_.data_dir));
}

TEST(StoreOptionsTest, WhatIsOutOfRangeIsNamed) {
  const auto create = [](auto spoil) {
    StoreOptions options;
    options.data_dir = NewTestFolder();
    spoil(options);
    prometheus::Registry registry;
    return StorePart::Create(options, registry).status();
  };
  EXPECT_TRUE(absl::IsInvalidArgument(create([](auto& options) { options.retain = 0; })));
  EXPECT_TRUE(absl::IsInvalidArgument(create([](auto& options) { options.data_dir = ""; })));
  EXPECT_TRUE(absl::IsInvalidArgument(create([](auto& options) { options.max_shard_bytes = 0; })));
  EXPECT_TRUE(absl::IsInvalidArgument(
      create([](auto& options) { options.completeness_wait = absl::Seconds(-1); })));
  EXPECT_TRUE(absl::IsInvalidArgument(
      create([](auto& options) { options.max_clock_skew = absl::Hours(25); })));
  EXPECT_TRUE(absl::IsInvalidArgument(create([](auto& options) { options.max_static_bytes = 0; })));
  EXPECT_TRUE(absl::IsInvalidArgument(
      create([](auto& options) { options.max_persistent_bytes = int64_t{2} << 30; })));
}

}  // namespace
}  // namespace qasino::store
