#include "services/pages/schema_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/pages/page_space.h"
#include "services/pages/record.h"
#include "services/pages/table_pages.h"
#include "services/sqlite/database.h"

namespace qasino::pages {
namespace {

class SchemaWriterTest : public ::testing::Test {
 protected:
  SchemaWriterTest() {
    auto space = PageSpace::Reserve(1 << 20);
    EXPECT_TRUE(space.ok()) << space.status();
    space_ = std::move(*space);
  }

  // The first cell that the statement answers.
  std::string Ask(const std::string& sql) {
    auto database = sqlite::Database::OpenInMemory();
    EXPECT_TRUE(database.ok());
    EXPECT_TRUE(database->ReadFrom("main", space_.bytes()).ok());
    auto statement = database->Prepare(sql);
    EXPECT_TRUE(statement.ok()) << statement.status();
    if (!statement.ok()) return "";
    const auto row = statement->Step();
    EXPECT_TRUE(row.ok() && *row) << row.status();
    return std::string(statement->Text(0));
  }

  PageSpace space_;
};

TEST_F(SchemaWriterTest, AnEmptyDatabase) {
  SchemaWriter().Finish(space_);
  EXPECT_EQ(space_.bytes().size(), 4096u);
  EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(Ask("SELECT count(*) FROM sqlite_schema"), "0");
  EXPECT_EQ(Ask("PRAGMA encoding"), "UTF-8");
  EXPECT_EQ(Ask("PRAGMA page_count"), "1");
}

// From a schema that fits on the first page to one of three levels; at some number the pages
// above its leaves fit on any page but the first.
TEST_F(SchemaWriterTest, SchemasOfAllSizes) {
  for (const int tables : {1, 10, 30, 39, 40, 41, 42, 43, 44, 45, 50, 1'000, 20'000}) {
    SCOPED_TRACE(tables);
    const PageSpace::Mark mark = space_.TakeMark();
    SchemaWriter schema;
    Record record;
    for (int i = 0; i < tables; ++i) {
      TablePages table;
      record.AddInteger(i);
      record.AppendTo(space_, table);
      const std::string name = absl::StrCat("t", i);
      schema.Add(space_, name, absl::StrCat("CREATE TABLE ", name, "(a INTEGER)"),
                 table.Finish(space_));
    }
    const int64_t before = space_.UsedPages();
    const int64_t most = schema.FinishPages();
    schema.Finish(space_);
    EXPECT_LE(space_.UsedPages() - before, most);
    EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(Ask(absl::StrCat("SELECT a FROM t", tables - 1)), absl::StrCat(tables - 1));
    EXPECT_EQ(Ask("SELECT count(*) FROM sqlite_schema"), absl::StrCat(tables));
    space_.ReturnTo(mark);
  }
}

// The rows are views, which have no pages: one row fills a leaf.
TEST_F(SchemaWriterTest, SchemasOfAsManyLeavesAsTheRootHolds) {
  for (int leaves = 1; leaves < 1'100;
       leaves += leaves < 3 || (leaves > 480 && leaves < 530) ? 1 : 37) {
    SCOPED_TRACE(leaves);
    const PageSpace::Mark mark = space_.TakeMark();
    TablePages rows = TablePages::OnFirstPage();
    Record record;
    for (int i = 0; i < leaves; ++i) {
      record.AddText("view");
      record.AddText(absl::StrCat("v", i));
      record.AddText(absl::StrCat("v", i));
      record.AddInteger(0);
      record.AddText(
          absl::StrCat("CREATE VIEW v", i, " AS SELECT ", i, " AS a -- ", std::string(3'950, 'x')));
      record.AppendTo(space_, rows);
    }
    const int64_t before = space_.UsedPages();
    const int64_t most = rows.FinishPages();
    rows.Finish(space_);
    EXPECT_LE(space_.UsedPages() - before, most);
    // The header of a database without tables, before the root as it is.
    const std::string root(reinterpret_cast<const char*>(space_.page(1)) + 100, 3'996);
    SchemaWriter().Finish(space_);
    root.copy(reinterpret_cast<char*>(space_.page(1)) + 100, root.size());
    EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
    EXPECT_EQ(Ask(absl::StrCat("SELECT a FROM v", leaves - 1)), absl::StrCat(leaves - 1));
    EXPECT_EQ(Ask("SELECT count(*) FROM sqlite_schema"), absl::StrCat(leaves));
    space_.ReturnTo(mark);
  }
}

TEST_F(SchemaWriterTest, LongDefinitionsOverflow) {
  SchemaWriter schema;
  std::string columns = "c";
  for (int i = 0; i < 1'999; ++i) absl::StrAppend(&columns, ", ", std::string(100, 'c'), i);
  for (const char* name : {"a", "b"}) {
    const std::string sql = absl::StrCat("CREATE TABLE ", name, "(", columns, ")");
    const int64_t before = space_.UsedPages();
    schema.Add(space_, name, sql, TablePages().Finish(space_));
    EXPECT_LE(space_.UsedPages() - before, 1 + SchemaWriter::PagesOf(name, sql));
  }
  schema.Finish(space_);
  EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(Ask("SELECT count(*) FROM pragma_table_info('b')"), "2000");
}

// SQLite never uses the page at 1 GiB: there it locks files.
TEST_F(SchemaWriterTest, DatabasesOverOneGibibyteLeaveTheLockPageOut) {
  constexpr uint32_t kLockPage = PageSpace::kLockPage;
  while (space_.pages() < kLockPage - 50) space_.Allocate();
  TablePages table;
  Record record;
  const auto fill = [&](int rows) {
    for (int i = 0; i < rows; ++i) {
      record.AddText(std::string(i % 10 == 0 ? 20'000 : 1'000, 'x'));
      record.AppendTo(space_, table);
    }
  };
  fill(200);
  EXPECT_GT(space_.pages(), kLockPage + 50);
  // Those that are free are listed, and the lock page is none of them.
  for (uint32_t page = 2; page <= kLockPage - 50; ++page) space_.Free(page);
  SchemaWriter schema;
  schema.Add(space_, "t", "CREATE TABLE t(a)", table.Finish(space_));
  schema.Finish(space_);
  EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(Ask("SELECT sum(length(a)) FROM t"), absl::StrCat(20 * 20'000 + 180 * 1'000));
}

TEST_F(SchemaWriterTest, FreePagesAreWhole) {
  TablePages kept, gone;
  Record record;
  for (int i = 0; i < 5'000; ++i) {
    record.AddText(std::string(i % 100 == 0 ? 20'000 : 100, 'x'));
    record.AppendTo(space_, i % 2 == 0 ? gone : kept);
  }
  for (int i = 0; i < 10; ++i) {
    record.AddInteger(i);
    record.AppendTo(space_, kept);
  }
  const int64_t used = space_.UsedPages();
  gone.Release(space_);
  EXPECT_EQ(gone.rows(), 0);
  EXPECT_LT(space_.UsedPages(), used - 250);
  SchemaWriter schema;
  schema.Add(space_, "kept", "CREATE TABLE kept(a)", kept.Finish(space_));
  schema.Add(space_, "gone", "CREATE TABLE gone(a)", gone.Finish(space_));
  schema.Finish(space_);
  EXPECT_EQ(Ask("PRAGMA integrity_check"), "ok");
  EXPECT_NE(Ask("PRAGMA freelist_count"), "0");
  EXPECT_EQ(Ask("SELECT count(*) FROM kept"), "2510");
  EXPECT_EQ(Ask("SELECT count(*) FROM gone"), "0");
}

}  // namespace
}  // namespace qasino::pages
