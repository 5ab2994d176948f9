#include "services/store/published_pairs.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/sqlite/database.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class PublishedPairsTest : public ::testing::Test {
 protected:
  // Writes the database that these statements make.
  void Make(const std::string& sql) {
    auto database = sqlite::Database::OpenInMemory();
    ASSERT_TRUE(database.ok()) << database.status();
    ASSERT_EQ(database->Execute(sql), absl::OkStatus());
    auto image = database->Serialize();
    ASSERT_TRUE(image.ok()) << image.status();
    WriteTestFile(path_, std::string(image->view()));
  }

  const std::string folder_ = NewTestFolder();
  const std::string path_ = folder_ + "/shard.sqlite";
};

constexpr char kTable[] =
    "CREATE TABLE qasino_server_publishes (tablename TEXT, identity TEXT, first_rowid INTEGER, "
    "nr_rows INTEGER, nr_updates INTEGER, last_update_epoch REAL);";

TEST_F(PublishedPairsTest, EachPairOnceInLowerCase) {
  Make(std::string(kTable) +
       "INSERT INTO qasino_server_publishes (tablename, identity) VALUES"
       "('Cpu', 'Host-1'), ('Cpu', 'Host-1'), ('Cpu', 'host-2'), ('disk', 'Host-1')");
  const auto pairs = PublishedPairs(path_);
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  EXPECT_THAT(*pairs, UnorderedElementsAre(Pair("cpu", "Host-1"), Pair("cpu", "host-2"),
                                           Pair("disk", "Host-1")));
  Make(kTable);
  EXPECT_THAT(*PublishedPairs(path_), IsEmpty());
}

TEST_F(PublishedPairsTest, WhatIsNoShardIsSaidToBeNone) {
  EXPECT_FALSE(PublishedPairs(path_).ok());
  WriteTestFile(path_, "bytes");
  EXPECT_FALSE(PublishedPairs(path_).ok());
  WriteTestFile(path_, std::string(4'096, '\x01'));
  EXPECT_FALSE(PublishedPairs(path_).ok());
  Make("CREATE TABLE other (x)");
  EXPECT_THAT(std::string(PublishedPairs(path_).status().message()),
              HasSubstr("qasino_server_publishes"));
}

TEST_F(PublishedPairsTest, OneThatWouldMakeFilesIsLeftAlone) {
  Make(kTable);
  std::string bytes = ReadTestFile(path_);
  bytes[18] = 2;
  bytes[19] = 2;
  WriteTestFile(path_, bytes);
  EXPECT_TRUE(absl::IsInvalidArgument(PublishedPairs(path_).status()));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) files += entry.exists();
  EXPECT_EQ(files, 1);
}

TEST_F(PublishedPairsTest, OneThatWouldNeverEndIsGivenUp) {
  Make(
      "CREATE VIEW qasino_server_publishes (tablename, identity) AS WITH RECURSIVE n(i) AS "
      "(VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT 'x', i FROM n WHERE i < 0");
  EXPECT_TRUE(absl::IsResourceExhausted(PublishedPairs(path_).status()));
}

}  // namespace
}  // namespace qasino::store
