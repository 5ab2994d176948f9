#include "services/store/table_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Operation = FaultyFileSystem::Operation;

JournalRecord Drop(const std::string& table) {
  JournalRecord record;
  record.mutable_drop_static()->set_table_name(table);
  return record;
}

class TableJournalTest : public ::testing::Test {
 protected:
  TableJournalTest() {
    std::filesystem::create_directory(folder_ + "/incoming");
    std::filesystem::create_directory(folder_ + "/damaged");
  }

  // What was read is then in read_.
  std::unique_ptr<TableJournal> Open(const std::string& store_id = "mine") {
    read_.clear();
    return TableJournal::Open(folder_, store_id, &files_, [this](JournalRecord record) {
      read_.push_back(record.drop_static().table_name());
    });
  }

  // The state is the records of these names.
  TableJournal::State State(std::vector<std::string> names) {
    return [names](const auto& add) {
      for (const std::string& name : names) {
        if (absl::Status status = add(Drop(name)); !status.ok()) return status;
      }
      return absl::OkStatus();
    };
  }

  absl::Status Append(TableJournal& journal, const std::vector<std::string>& names,
                      const std::vector<std::string>& state = {}) {
    if (absl::Status status = journal.Prepare(State(state)); !status.ok()) return status;
    std::vector<JournalRecord> records;
    for (const std::string& name : names) records.push_back(Drop(name));
    std::vector<const JournalRecord*> pointers;
    for (const JournalRecord& record : records) pointers.push_back(&record);
    return journal.Append(pointers);
  }

  std::vector<std::string> Files(const std::string& below) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + below)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::string folder_ = NewTestFolder();
  const std::string path_ = folder_ + "/tables.journal";
  FaultyFileSystem files_;
  std::vector<std::string> read_;
};

TEST_F(TableJournalTest, WhatWasAppendedIsRead) {
  {
    auto journal = Open();
    EXPECT_TRUE(journal->is_new());
    EXPECT_EQ(journal->damage(), "");
    ASSERT_TRUE(Append(*journal, {"a", "b"}).ok());
    ASSERT_TRUE(Append(*journal, {"c"}).ok());
    EXPECT_EQ(journal->size_bytes(), std::filesystem::file_size(path_));
  }
  auto journal = Open();
  EXPECT_FALSE(journal->is_new());
  EXPECT_EQ(journal->damage(), "");
  EXPECT_THAT(read_, ElementsAre("a", "b", "c"));
  EXPECT_THAT(Files("/incoming"), IsEmpty());
  EXPECT_THAT(Files("/damaged"), IsEmpty());
}

TEST_F(TableJournalTest, TheFirstPrepareWritesTheState) {
  ASSERT_TRUE(Append(*Open(), {"a", "b"}).ok());
  auto journal = Open();
  ASSERT_TRUE(Append(*journal, {"c"}, {"state"}).ok());
  Open();
  EXPECT_THAT(read_, ElementsAre("state", "c"));
}

TEST_F(TableJournalTest, NothingIsAppendedUnprepared) {
  auto journal = Open();
  const JournalRecord record = Drop("a");
  EXPECT_EQ(journal->Append({&record}).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TableJournalTest, HistoryIsLeftOutWhenItIsMostOfTheFile) {
  auto journal = Open();
  const std::string name(100'000, 'x');
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Append(*journal, {name}, {"state"}).ok());
  EXPECT_GT(journal->size_bytes(), 900'000);
  ASSERT_TRUE(Append(*journal, {name}, {"state"}).ok());
  ASSERT_TRUE(Append(*journal, {"last"}, {"state"}).ok());
  EXPECT_LT(journal->size_bytes(), 200'000);
  Open();
  EXPECT_THAT(read_, ElementsAre("state", "last"));
}

TEST_F(TableJournalTest, AFileThatCannotBeMadeShorterGoesOn) {
  auto journal = Open();
  const std::string name(1'100'000, 'x');
  ASSERT_TRUE(Append(*journal, {name}).ok());
  files_.Fail(Operation::kCreate, "journal-", absl::ResourceExhaustedError("full"));
  EXPECT_TRUE(Append(*journal, {"b"}, {name}).ok());
  files_.Heal();
  Open();
  EXPECT_THAT(read_, ElementsAre(name, "b"));
}

TEST_F(TableJournalTest, AJournalOfAnotherStoreIsSetAside) {
  ASSERT_TRUE(Append(*Open("other"), {"a"}).ok());
  const std::string foreign = ReadTestFile(path_);
  auto journal = Open();
  EXPECT_THAT(journal->damage(), HasSubstr("other"));
  EXPECT_THAT(read_, IsEmpty());
  ASSERT_TRUE(Append(*journal, {"b"}).ok());
  EXPECT_EQ(ReadTestFile(folder_ + "/damaged/tables.journal"), foreign);
  auto again = Open();
  EXPECT_EQ(again->damage(), "");
  EXPECT_THAT(read_, ElementsAre("b"));
  // The next one does not take its place.
  WriteTestFile(path_, "nothing of ours");
  ASSERT_TRUE(Open()->Prepare(State({})).ok());
  EXPECT_THAT(Files("/damaged"), ElementsAre("tables.journal", "tables.journal.2"));
}

TEST_F(TableJournalTest, WhatIsNoFileIsSetAside) {
  std::filesystem::create_directory(path_);
  auto journal = Open();
  EXPECT_THAT(journal->damage(), HasSubstr("not an ordinary file"));
  ASSERT_TRUE(Append(*journal, {"a"}).ok());
  EXPECT_TRUE(std::filesystem::is_directory(folder_ + "/damaged/tables.journal"));
  Open();
  EXPECT_THAT(read_, ElementsAre("a"));
}

TEST_F(TableJournalTest, WhatWasSetAsideIsNotSetAsideAgain) {
  for (const bool is_readable : {false, true}) {
    std::filesystem::remove_all(path_);
    std::filesystem::remove_all(folder_ + "/damaged/tables.journal");
    if (is_readable) {
      WriteTestFile(path_, "rubbish");
    } else {
      std::filesystem::create_directory(path_);
    }
    auto journal = Open();
    files_.Fail(Operation::kSyncFolder, "damaged", absl::InternalError("broken"));
    for (int times = 0; times < 2; ++times) {
      EXPECT_EQ(Append(*journal, {"lost"}).code(), absl::StatusCode::kInternal);
      EXPECT_THAT(Files("/damaged"), ElementsAre("tables.journal"));
    }
    files_.Heal();
    EXPECT_TRUE(Append(*journal, {"a"}).ok());
    EXPECT_THAT(Files("/damaged"), ElementsAre("tables.journal"));
    EXPECT_EQ(std::filesystem::is_directory(folder_ + "/damaged/tables.journal"), !is_readable);
    Open();
    EXPECT_THAT(read_, ElementsAre("a"));
  }
}

// Each record is a place in the file; whatever bit of it is wrong costs that record alone.
TEST_F(TableJournalTest, EveryWrongByteCostsOneRecordAtTheMost) {
  const std::vector<std::string> names = {"first", "QREC", "third"};
  ASSERT_TRUE(Append(*Open(), names).ok());
  const std::string whole = ReadTestFile(path_);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned char bits : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ bits);
      WriteTestFile(path_, bytes);
      auto journal = Open();
      EXPECT_THAT(journal->damage(), Not(IsEmpty())) << at;
      EXPECT_GE(read_.size(), 2u) << at;
      // In order, and nothing that was not written.
      size_t next = 0;
      for (const std::string& name : read_) {
        while (next < names.size() && names[next] != name) ++next;
        EXPECT_LT(next, names.size()) << at;
        ++next;
      }
    }
  }
}

TEST_F(TableJournalTest, EveryTruncationKeepsTheWholeRecords) {
  const std::vector<std::string> names = {"first", "QREC", "third"};
  std::vector<size_t> ends;
  {
    auto journal = Open();
    ASSERT_TRUE(journal->Prepare(State({})).ok());
    ends.push_back(journal->size_bytes());
    for (const std::string& name : names) {
      ASSERT_TRUE(Append(*journal, {name}).ok());
      ends.push_back(journal->size_bytes());
    }
  }
  const std::string whole = ReadTestFile(path_);
  ASSERT_EQ(ends.back(), whole.size());
  for (size_t size = 0; size < whole.size(); ++size) {
    WriteTestFile(path_, whole.substr(0, size));
    auto journal = Open();
    std::vector<std::string> expected;
    for (size_t i = 0; i < names.size(); ++i) {
      if (ends[i + 1] <= size) expected.push_back(names[i]);
    }
    EXPECT_EQ(read_, expected) << size;
    const bool between_records = std::find(ends.begin(), ends.end(), size) != ends.end();
    EXPECT_EQ(journal->damage().empty(), between_records) << size;
  }
}

TEST_F(TableJournalTest, AnEndWithoutContentIsDamage) {
  ASSERT_TRUE(Append(*Open(), {"a"}).ok());
  WriteTestFile(path_, ReadTestFile(path_) + std::string(4096, '\0'));
  auto journal = Open();
  EXPECT_THAT(read_, ElementsAre("a"));
  EXPECT_THAT(journal->damage(), HasSubstr("4096 of its"));
}

TEST_F(TableJournalTest, ALengthBeyondTheFileIsNotAllocated) {
  ASSERT_TRUE(Append(*Open(), {"a"}).ok());
  WriteTestFile(path_, ReadTestFile(path_) + "QREC" + std::string(8, '\xff') + "QREC" +
                           std::string("\xff\xff\xff\xff\0\0\0\0", 8) + "some more bytes");
  Open();
  EXPECT_THAT(read_, ElementsAre("a"));
}

TEST_F(TableJournalTest, AMarkThatLiesAcrossABufferIsFound) {
  ASSERT_TRUE(Append(*Open(), {"a"}).ok());
  const std::string whole = ReadTestFile(path_);
  const size_t begin = whole.find("QREC", 4);
  for (size_t blanks = (1 << 20) - 5; blanks < (1 << 20) + 5; ++blanks) {
    WriteTestFile(path_, whole.substr(0, begin) + std::string(blanks, ' ') + whole.substr(begin));
    Open();
    EXPECT_THAT(read_, ElementsAre("a")) << blanks;
  }
}

// Whatever fails: an error is answered, the file stays whole, and the next one works.
TEST_F(TableJournalTest, AFailedAppendIsUndoneByTheNext) {
  for (const Operation operation : {Operation::kAppend, Operation::kSync}) {
    auto journal = Open();
    ASSERT_TRUE(Append(*journal, {"before"}).ok());
    files_.Fail(operation, "journal", absl::InternalError("broken"));
    EXPECT_EQ(Append(*journal, {"lost"}, {"before"}).code(), absl::StatusCode::kInternal);
    EXPECT_EQ(Append(*journal, {"lost"}, {"before"}).code(), absl::StatusCode::kInternal);
    files_.Heal();
    ASSERT_TRUE(Append(*journal, {"after"}, {"before"}).ok());
    Open();
    EXPECT_THAT(read_, ElementsAre("before", "after"));
    EXPECT_THAT(Files("/incoming"), IsEmpty());
  }
}

TEST_F(TableJournalTest, AFailedRewriteLeavesTheOldFile) {
  ASSERT_TRUE(Append(*Open(), {"before"}).ok());
  for (const Operation operation :
       {Operation::kCreate, Operation::kAppend, Operation::kSync, Operation::kRename}) {
    auto journal = Open();
    EXPECT_THAT(read_, ElementsAre("before"));
    files_.Fail(operation, "journal", absl::ResourceExhaustedError("full"));
    EXPECT_EQ(Append(*journal, {"lost"}, {"before"}).code(), absl::StatusCode::kResourceExhausted);
    files_.Heal();
    EXPECT_THAT(Files("/incoming"), IsEmpty());
    Open();
    EXPECT_THAT(read_, ElementsAre("before"));
  }
}

TEST_F(TableJournalTest, WhatWasNotSyncedIntoTheFolderIsNotTrusted) {
  auto journal = Open();
  files_.Fail(Operation::kSyncFolder, folder_, absl::InternalError("broken"));
  EXPECT_EQ(Append(*journal, {"lost"}).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Append(*journal, {"lost"}).code(), absl::StatusCode::kInternal);
  files_.Heal();
  ASSERT_TRUE(Append(*journal, {"a"}).ok());
  Open();
  EXPECT_THAT(read_, ElementsAre("a"));
}

TEST_F(TableJournalTest, ADamagedFileIsKeptBeforeAnotherTakesItsPlace) {
  ASSERT_TRUE(Append(*Open(), {"a", "b"}).ok());
  std::string bytes = ReadTestFile(path_);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteTestFile(path_, bytes);
  auto journal = Open();
  EXPECT_THAT(read_, ElementsAre("a"));
  files_.Fail(Operation::kRename, "damaged", absl::InternalError("broken"));
  EXPECT_EQ(Append(*journal, {"c"}, {"a"}).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(ReadTestFile(path_), bytes);
  files_.Heal();
  ASSERT_TRUE(Append(*journal, {"c"}, {"a"}).ok());
  EXPECT_EQ(ReadTestFile(folder_ + "/damaged/tables.journal"), bytes);
  Open();
  EXPECT_THAT(read_, ElementsAre("a", "c"));
}

TEST_F(TableJournalTest, AStateThatCannotBeGivenIsAnError) {
  auto journal = Open();
  const absl::Status status =
      journal->Prepare([](const auto&) { return absl::ResourceExhaustedError("no memory"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(TableJournalTest, WhatIsDistrustedIsWrittenAnew) {
  auto journal = Open();
  ASSERT_TRUE(Append(*journal, {"a"}).ok());
  journal->Distrust();
  ASSERT_TRUE(Append(*journal, {"b"}, {"state"}).ok());
  Open();
  EXPECT_THAT(read_, ElementsAre("state", "b"));
}

}  // namespace
}  // namespace qasino::store
