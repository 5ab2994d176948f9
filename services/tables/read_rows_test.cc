#include "services/tables/read_rows.h"

#include <gtest/gtest.h>

#include "services/tables/write_rows.h"

namespace qasino::tables {
namespace {

v1::Table Columns() {
  v1::Table table;
  for (const auto& [name, type] : {std::pair{"i", v1::INTEGER}, std::pair{"r", v1::REAL},
                                   std::pair{"t", v1::TEXT}, std::pair{"b", v1::BLOB}}) {
    v1::Column& column = *table.add_columns();
    column.set_name(name);
    column.set_type(type);
  }
  return table;
}

v1::Table Read(sqlite::Database& database) {
  v1::Table table = Columns();
  std::vector<ColumnTarget> targets;
  for (int i = 0; i < 4; ++i) targets.push_back({i, table.mutable_columns(i)});
  absl::StatusOr<sqlite::Statement> select = database.Prepare("SELECT i, r, t, b FROM t");
  EXPECT_TRUE(select.ok());
  const absl::Status status = ReadRows(*select, targets);
  EXPECT_TRUE(status.ok()) << status;
  return table;
}

TEST(ReadRowsTest, WhatIsReadIsWrittenTheSame) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  ASSERT_TRUE(
      database
          .Execute("CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB);"
                   "INSERT INTO t VALUES (1, 2.5, 'x', x'00ff'), (NULL, NULL, NULL, NULL),"
                   "('text', 'text', x'01', 7), (-1, 3, char(0) || 'z', x''), (5, 6, '', 'text')")
          .ok());
  const v1::Table table = Read(database);
  EXPECT_EQ(RowCount(table), 5);
  EXPECT_EQ(table.columns(0).kinds(), std::string("\1\0\3\1\1", 5));
  EXPECT_EQ(table.columns(3).blobs(1), "");

  sqlite::Database copy = *sqlite::Database::OpenInMemory();
  ASSERT_TRUE(copy.Execute("CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB)").ok());
  ASSERT_TRUE(InsertRows(copy, "t", table).ok());
  EXPECT_EQ(Read(copy).SerializeAsString(), table.SerializeAsString());
}

TEST(ReadRowsTest, CellsOfTheColumnsTypeNeedNoKinds) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  ASSERT_TRUE(database
                  .Execute("CREATE TABLE t (i INTEGER, r REAL, t TEXT, b BLOB);"
                           "INSERT INTO t VALUES (1, 2.5, 'x', x'00'), (2, 1, '', x'')")
                  .ok());
  const v1::Table table = Read(database);
  for (const v1::Column& column : table.columns()) EXPECT_EQ(column.kinds(), "");
  EXPECT_EQ(RowCount(table), 2);
}

TEST(ReadRowsTest, NoRowsAreNoCells) {
  sqlite::Database database = *sqlite::Database::OpenInMemory();
  ASSERT_TRUE(database.Execute("CREATE TABLE t (i, r, t, b)").ok());
  EXPECT_EQ(Read(database).SerializeAsString(), Columns().SerializeAsString());
}

}  // namespace
}  // namespace qasino::tables
