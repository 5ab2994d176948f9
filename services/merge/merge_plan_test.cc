#include "services/merge/merge_plan.h"

#include <gtest/gtest.h>

namespace qasino::merge {
namespace {

v1::TableInfo& AddTable(v1::ShardInfo& shard, const std::string& name) {
  v1::TableInfo& table = *shard.add_tables();
  table.set_name(name);
  table.set_rows(2);
  table.set_updates(1);
  return table;
}

void AddColumn(v1::TableInfo& table, const std::string& name, v1::ColumnType type) {
  v1::ColumnInfo& column = *table.add_columns();
  column.set_name(name);
  column.set_type(type);
}

TEST(PlanMerge, OneShardIsReadInPlace) {
  v1::Manifest manifest;
  AddColumn(AddTable(*manifest.add_shards(), "t"), "x", v1::INTEGER);
  const std::vector<MergedTable> tables = PlanMerge(manifest, 10);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].access, Access::kInPlace);
}

TEST(PlanMerge, ColumnsAreTheUnionInOrderOfFirstSight) {
  v1::Manifest manifest;
  v1::TableInfo& first = AddTable(*manifest.add_shards(), "t");
  AddColumn(first, "x", v1::INTEGER);
  AddColumn(first, "y", v1::TEXT);
  v1::TableInfo& second = AddTable(*manifest.add_shards(), "T");
  AddColumn(second, "z", v1::BLOB);
  AddColumn(second, "X", v1::INTEGER);
  const std::vector<MergedTable> tables = PlanMerge(manifest, 10);
  ASSERT_EQ(tables.size(), 1u);
  EXPECT_EQ(tables[0].access, Access::kView);
  EXPECT_EQ(tables[0].rows, 4);
  EXPECT_EQ(SourceSelect(tables[0], tables[0].sources[0], "shard0"),
            "SELECT \"x\" AS \"x\", \"y\" AS \"y\", CAST(NULL AS BLOB) AS \"z\" "
            "FROM \"shard0\".\"t\"");
  EXPECT_EQ(SourceSelect(tables[0], tables[0].sources[1], "shard1"),
            "SELECT \"X\" AS \"x\", CAST(NULL AS TEXT) AS \"y\", \"z\" AS \"z\" "
            "FROM \"shard1\".\"T\"");
  EXPECT_EQ(CreateTable(tables[0], "main"),
            "CREATE TABLE \"main\".\"t\" (\"x\" INTEGER, \"y\" TEXT, \"z\" BLOB)");
}

TEST(PlanMerge, DisputedTypesAndShardsThatCannotBeAttachedAreCopied) {
  v1::Manifest manifest;
  for (v1::ColumnType type : {v1::INTEGER, v1::TEXT, v1::INTEGER}) {
    v1::ShardInfo& shard = *manifest.add_shards();
    AddColumn(AddTable(shard, "disputed"), "x", type);
    AddColumn(AddTable(shard, "agreed"), "x", v1::INTEGER);
  }
  const std::vector<MergedTable> tables = PlanMerge(manifest, 3);
  EXPECT_EQ(tables[0].access, Access::kCopy);
  EXPECT_EQ(tables[0].columns[0].type(), v1::INTEGER);
  EXPECT_EQ(tables[1].access, Access::kView);
  EXPECT_EQ(PlanMerge(manifest, 2)[1].access, Access::kCopy);
}

TEST(PlanMerge, APublishedTableHidesAStaticOneWhereverTheShardStands) {
  v1::Manifest manifest;
  v1::ShardInfo& fixed = *manifest.add_shards();
  fixed.set_kind(v1::STATIC);
  AddColumn(AddTable(fixed, "t"), "x", v1::TEXT);
  AddColumn(AddTable(fixed, "s"), "x", v1::TEXT);
  AddColumn(AddTable(*manifest.add_shards(), "t"), "x", v1::INTEGER);
  const std::vector<MergedTable> tables = PlanMerge(manifest, 10);
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_FALSE(tables[0].is_static);
  EXPECT_EQ(tables[0].sources.size(), 1u);
  EXPECT_EQ(tables[0].sources[0].shard, 1);
  EXPECT_TRUE(tables[1].is_static);
}

}  // namespace
}  // namespace qasino::merge
