#include "services/store/file_system.h"

#include <sys/resource.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/store/faulty_file_system.h"
#include "services/store/testing.h"

namespace qasino::store {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Operation = FaultyFileSystem::Operation;

class FileSystemTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  const std::string folder_ = NewTestFolder();
  FileSystem& files_ = PosixFileSystem();
};

TEST_F(FileSystemTest, WritesAndReads) {
  auto file = files_.Create(Path("new"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->Append("one "), absl::OkStatus());
  EXPECT_EQ((*file)->Append("two"), absl::OkStatus());
  EXPECT_EQ((*file)->Sync(), absl::OkStatus());
  file->reset();
  ASSERT_EQ(files_.Rename(Path("new"), Path("file")), absl::OkStatus());
  ASSERT_EQ(files_.SyncFolder(folder_), absl::OkStatus());

  const auto read = files_.Open(Path("file"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*(*read)->Size(), 7u);
  ASSERT_EQ(files_.RemoveFile(Path("file")), absl::OkStatus());
  char buffer[10];
  const auto got = (*read)->ReadAt(4, sizeof buffer, buffer);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(std::string(buffer, *got), "two");
  EXPECT_EQ(*(*read)->ReadAt(99, sizeof buffer, buffer), 0u);
}

TEST_F(FileSystemTest, PiecesAreWrittenInTheirOrder) {
  std::string whole;
  std::vector<std::string> pieces;
  // More than one call of the system takes, with empty ones among them.
  for (int i = 0; i < 3000; ++i) {
    pieces.push_back(i % 7 == 0 ? "" : absl::StrCat(i, " "));
    whole += pieces.back();
  }
  auto file = files_.Create(Path("file"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->AppendPieces({}), absl::OkStatus());
  EXPECT_EQ((*file)->AppendPieces(std::vector<std::string_view>(pieces.begin(), pieces.end())),
            absl::OkStatus());
  EXPECT_EQ((*file)->Append("end"), absl::OkStatus());
  EXPECT_EQ(*ReadWholeFile(files_, Path("file"), 1 << 20), whole + "end");
}

TEST_F(FileSystemTest, ErrorsNameThePathAndTheFault) {
  const auto missing = files_.Open(Path("missing"));
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr(Path("missing")));
  WriteTestFile(Path("there"), "x");
  EXPECT_TRUE(absl::IsAlreadyExists(files_.Create(Path("there")).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(files_.CreateFolder(Path("there"))));
  EXPECT_TRUE(absl::IsNotFound(files_.Rename(Path("missing"), Path("x"))));
  EXPECT_FALSE(files_.Open(folder_).ok());
}

TEST_F(FileSystemTest, ADiskThatTakesNoMoreIsToldApart) {
  // The process's own limit on a file's size fails a write as a quota does.
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {.rlim_cur = 1'000, .rlim_max = before.rlim_max};
  auto* const handler = ::signal(SIGXFSZ, SIG_IGN);
  auto file = files_.Create(Path("file"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = (*file)->Append(std::string(2'000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("file")));
  EXPECT_EQ((*file)->Append("more"), status);
  EXPECT_EQ((*file)->Sync(), status);
}

TEST_F(FileSystemTest, ALinkIsASecondName) {
  WriteTestFile(Path("file"), "12345");
  ASSERT_EQ(files_.Link(Path("file"), Path("second")), absl::OkStatus());
  ASSERT_EQ(files_.RemoveFile(Path("file")), absl::OkStatus());
  EXPECT_EQ(ReadTestFile(Path("second")), "12345");
  EXPECT_TRUE(absl::IsNotFound(files_.Link(Path("file"), Path("third"))));
  WriteTestFile(Path("file"), "other");
  EXPECT_TRUE(absl::IsAlreadyExists(files_.Link(Path("file"), Path("second"))));
  FaultyFileSystem faulty;
  faulty.Fail(Operation::kLink, "third", absl::InternalError("no links here"));
  EXPECT_TRUE(absl::IsInternal(faulty.Link(Path("file"), Path("third"))));
}

TEST_F(FileSystemTest, ListsAndRemovesAll) {
  ASSERT_EQ(files_.CreateFolder(Path("deep")), absl::OkStatus());
  ASSERT_EQ(files_.CreateFolder(Path("deep")), absl::OkStatus());
  ASSERT_EQ(files_.CreateFolder(Path("deep/er")), absl::OkStatus());
  WriteTestFile(Path("deep/er/file"), "x");
  const auto entries = files_.List(folder_);
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].name, "deep");
  EXPECT_TRUE((*entries)[0].is_folder);
  EXPECT_FALSE(files_.RemoveFolder(Path("deep")).ok());
  EXPECT_EQ(RemoveAll(files_, Path("deep"), true), absl::OkStatus());
  EXPECT_THAT(*files_.List(folder_), IsEmpty());
}

TEST_F(FileSystemTest, ALockIsHeldByOne) {
  auto lock = files_.Lock(Path("lock"));
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(files_.Lock(Path("lock")).status()));
  lock->reset();
  EXPECT_TRUE(files_.Lock(Path("lock")).ok());
}

TEST_F(FileSystemTest, ASmallFileIsReadWholeAndALargeOneRefused) {
  WriteTestFile(Path("file"), "12345");
  EXPECT_EQ(*ReadWholeFile(files_, Path("file"), 5), "12345");
  EXPECT_TRUE(absl::IsResourceExhausted(ReadWholeFile(files_, Path("file"), 4).status()));
}

TEST_F(FileSystemTest, TheFirstFailureOfAFileStays) {
  FaultyFileSystem faulty;
  auto file = faulty.Create(Path("file"));
  ASSERT_TRUE(file.ok()) << file.status();
  faulty.Fail(Operation::kSync, "file", absl::InternalError("cannot sync"));
  EXPECT_EQ((*file)->Append("abcd"), absl::OkStatus());
  EXPECT_TRUE(absl::IsInternal((*file)->Sync()));
  faulty.Heal();
  EXPECT_TRUE(absl::IsInternal((*file)->Sync()));
  EXPECT_TRUE(absl::IsInternal((*file)->Append("e")));
  EXPECT_EQ(ReadTestFile(Path("file")), "abcd");
}

TEST_F(FileSystemTest, AFailedWriteIsAShortOne) {
  FaultyFileSystem faulty;
  auto file = faulty.Create(Path("file"));
  ASSERT_TRUE(file.ok()) << file.status();
  faulty.Fail(Operation::kAppend, "file", absl::ResourceExhaustedError("disk full"));
  EXPECT_TRUE(absl::IsResourceExhausted((*file)->Append("abcd")));
  faulty.Heal();
  EXPECT_TRUE(absl::IsResourceExhausted((*file)->Sync()));
  EXPECT_EQ(ReadTestFile(Path("file")), "ab");
}

}  // namespace
}  // namespace qasino::store
