#include "services/sqlite/scratch_files.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/sqlite/database.h"
#include "services/sqlite/memory_budget.h"

namespace qasino::sqlite {
namespace {

// A scratch file, as SQLite has it.
class File {
 public:
  File() {
    ConfigureSqlite();
    vfs_ = sqlite3_vfs_find(ScratchFiles());
    memory_ = std::make_unique<char[]>(vfs_->szOsFile);
    file_ = reinterpret_cast<sqlite3_file*>(memory_.get());
    EXPECT_EQ(vfs_->xOpen(vfs_, nullptr, file_, SQLITE_OPEN_TRANSIENT_DB, nullptr), SQLITE_OK);
  }
  ~File() { file_->pMethods->xClose(file_); }

  int Write(const std::string& bytes, int64_t offset) {
    return file_->pMethods->xWrite(file_, bytes.data(), static_cast<int>(bytes.size()), offset);
  }
  int Read(int size, int64_t offset, std::string& bytes) {
    bytes.assign(size, 'x');
    return file_->pMethods->xRead(file_, bytes.data(), size, offset);
  }
  void Truncate(int64_t size) { EXPECT_EQ(file_->pMethods->xTruncate(file_, size), SQLITE_OK); }
  int64_t Size() {
    sqlite3_int64 size = -1;
    EXPECT_EQ(file_->pMethods->xFileSize(file_, &size), SQLITE_OK);
    return size;
  }

 private:
  sqlite3_vfs* vfs_;
  std::unique_ptr<char[]> memory_;
  sqlite3_file* file_;
};

TEST(ScratchFiles, AreLikeAString) {
  std::mt19937 random(7);
  File file;
  std::string expected;
  const auto number = [&](int end) {
    return std::uniform_int_distribution<int>(0, end - 1)(random);
  };
  for (int round = 0; round < 2000; ++round) {
    const int64_t offset = number(300'000);
    const int size = 1 + number(number(4) == 0 ? 150'000 : 5'000);
    switch (number(4)) {
      case 0:
      case 1: {
        std::string bytes(size, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        ASSERT_EQ(file.Write(bytes, offset), SQLITE_OK);
        if (expected.size() < offset + bytes.size()) expected.resize(offset + bytes.size());
        expected.replace(offset, bytes.size(), bytes);
        break;
      }
      case 2:
        if (number(8) == 0) {
          file.Truncate(offset);
          expected.resize(std::min<size_t>(expected.size(), offset));
        }
        break;
      default: {
        std::string bytes;
        const int code = file.Read(size, offset, bytes);
        std::string wanted =
            offset < static_cast<int64_t>(expected.size()) ? expected.substr(offset, size) : "";
        EXPECT_EQ(code,
                  static_cast<int>(wanted.size()) == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ);
        wanted.resize(size);
        ASSERT_TRUE(bytes == wanted);
      }
    }
    ASSERT_EQ(file.Size(), static_cast<int64_t>(expected.size()));
  }
}

TEST(ScratchFiles, TakeTheirMemoryFromTheBudgetAndGiveItBack) {
  MemoryBudget budget(1 << 20);
  MemoryBudget::Scope counted(budget);
  {
    File file;
    EXPECT_EQ(file.Write(std::string(500'000, 'a'), 0), SQLITE_OK);
    EXPECT_GE(budget.used(), 500'000);
    EXPECT_EQ(file.Write(std::string(500'000, 'b'), 600'000), SQLITE_IOERR_NOMEM);
    EXPECT_TRUE(budget.exceeded());
    // What was there is there still.
    std::string bytes;
    EXPECT_EQ(file.Read(500'000, 0, bytes), SQLITE_OK);
    EXPECT_EQ(bytes, std::string(500'000, 'a'));
    EXPECT_EQ(file.Size(), 500'000);
  }
  EXPECT_LE(budget.used(), 0);
}

TEST(ScratchFiles, ThereAreNoOtherFiles) {
  sqlite3_vfs* const vfs = sqlite3_vfs_find(ScratchFiles());
  const auto memory = std::make_unique<char[]>(vfs->szOsFile);
  auto* const file = reinterpret_cast<sqlite3_file*>(memory.get());
  for (const int kind : {SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL}) {
    EXPECT_EQ(vfs->xOpen(vfs, "/etc/hostname", file, kind | SQLITE_OPEN_READWRITE, nullptr),
              SQLITE_CANTOPEN);
  }
}

constexpr char kLargeSort[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
    "SELECT i, hex(randomblob(80)) AS h FROM n ORDER BY h";

TEST(ScratchFiles, ALargeSortIsRight) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("PRAGMA temp_store = FILE").ok());
  Statement sort = *database.Prepare(kLargeSort);
  std::string before;
  int64_t rows = 0;
  int64_t sum = 0;
  while (*sort.Step()) {
    const std::string now(sort.Text(1));
    ASSERT_LE(before, now);
    before = now;
    sum += sort.Integer(0);
    ++rows;
  }
  EXPECT_EQ(rows, 400'000);
  EXPECT_EQ(sum, rows * (rows + 1) / 2);
}

TEST(ScratchFiles, TemporaryTablesAreRolledBack) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database
                  .Execute("PRAGMA temp_store = FILE; PRAGMA temp.cache_size = 10;"
                           "CREATE TEMP TABLE t (x);"
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                           "WHERE i < 5000) INSERT INTO t SELECT hex(zeroblob(200)) || i FROM n;"
                           "BEGIN; UPDATE t SET x = 'gone'; SAVEPOINT s; DELETE FROM t;"
                           "ROLLBACK TO s; ROLLBACK")
                  .ok());
  Statement count = *database.Prepare("SELECT count(*), count(DISTINCT x) FROM t");
  ASSERT_TRUE(*count.Step());
  EXPECT_EQ(count.Integer(0), 5000);
  EXPECT_EQ(count.Integer(1), 5000);
}

// How long a sort goes on without asking whether it is to stop.
TEST(ScratchFiles, ALargeSortLooksAllTheTime) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("PRAGMA temp_store = FILE").ok());
  int64_t looks = 0;
  MemoryBudget budget(1 << 30);
  budget.StopWhen([](void* count) { return ++*static_cast<int64_t*>(count) < 0; }, &looks);
  sqlite3_progress_handler(
      database.get(), 100, [](void* count) { return ++*static_cast<int64_t*>(count) < 0 ? 1 : 0; },
      &looks);
  MemoryBudget::Scope counted(budget);
  Statement sort = *database.Prepare(kLargeSort);
  int64_t rows = 0;
  int64_t looks_at_first = 0;
  while (*sort.Step()) {
    if (++rows == 1) looks_at_first = looks;
  }
  // All rows are sorted before the first is there: it is 64 MB, of which each 64 KiB is asked for.
  EXPECT_GT(looks_at_first, 400'000 * 7 / 100 + 900);
}

TEST(ScratchFiles, ASortThatIsStoppedEndsSoon) {
  Database database = *Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("PRAGMA temp_store = FILE").ok());
  bool stop = false;
  MemoryBudget budget(1 << 30);
  budget.StopWhen([](void* flag) { return *static_cast<bool*>(flag); }, &stop);
  MemoryBudget::Scope counted(budget);
  Statement sort = *database.Prepare(kLargeSort);
  stop = true;
  EXPECT_FALSE(sort.Step().ok());
  EXPECT_TRUE(budget.stopped());
}

}  // namespace
}  // namespace qasino::sqlite
