#include "services/merge/merge_plan.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/sqlite/database.h"

namespace qasino::merge {
namespace {

double Epoch(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}

// Adds a shard's table to the merged one. True when a column has another type there.
bool MergeIn(const v1::TableInfo& info, int shard, MergedTable& table) {
  bool types_differ = false;
  absl::flat_hash_map<std::string, size_t> position;
  for (size_t i = 0; i < table.columns.size(); ++i) {
    position[absl::AsciiStrToLower(table.columns[i].name())] = i;
  }
  TableSource source{.shard = shard, .name = info.name()};
  source.columns.resize(table.columns.size());
  for (const v1::ColumnInfo& column : info.columns()) {
    const std::string key = absl::AsciiStrToLower(column.name());
    if (table.columns.size() >= kMostColumns && !position.contains(key)) {
      ++table.columns_left_out;
      continue;
    }
    auto [known, is_new] = position.try_emplace(key, table.columns.size());
    if (is_new) {
      table.columns.push_back(column);
      source.columns.emplace_back();
    } else if (table.columns[known->second].type() != column.type()) {
      types_differ = true;
    }
    source.columns[known->second] = column.name();
  }
  table.sources.push_back(std::move(source));
  table.rows += info.rows();
  table.updates += info.updates();
  table.last_update_epoch = std::max(table.last_update_epoch, Epoch(info.last_update()));
  return types_differ;
}

}  // namespace

std::vector<MergedTable> PlanMerge(const v1::Manifest& manifest, int attachable) {
  std::vector<MergedTable> tables;
  absl::flat_hash_map<std::string, size_t> position;
  const auto merge_shards = [&](bool statics) {
    for (int shard = 0; shard < manifest.shards_size(); ++shard) {
      const v1::ShardInfo& info = manifest.shards(shard);
      if ((info.kind() == v1::STATIC) != statics) continue;
      for (const v1::TableInfo& table_info : info.tables()) {
        auto [known, is_new] =
            position.try_emplace(absl::AsciiStrToLower(table_info.name()), tables.size());
        if (is_new) {
          tables.push_back({.name = table_info.name(), .is_static = statics});
        } else if (statics) {
          continue;  // hidden by a published table
        }
        MergedTable& table = tables[known->second];
        const bool types_differ = MergeIn(table_info, shard, table);
        if (types_differ || shard >= attachable) {
          table.access = Access::kCopy;
        } else if (!is_new && table.access == Access::kInPlace) {
          table.access = Access::kView;
        }
      }
    }
  };
  merge_shards(false);
  merge_shards(true);
  // Columns that came later are lacking in the earlier sources.
  for (MergedTable& table : tables) {
    for (TableSource& source : table.sources) source.columns.resize(table.columns.size());
  }
  return tables;
}

const char* TypeName(v1::ColumnType type) {
  switch (type) {
    case v1::INTEGER:
      return "INTEGER";
    case v1::REAL:
      return "REAL";
    case v1::TEXT:
      return "TEXT";
    case v1::BLOB:
      return "BLOB";
    default:
      return "";
  }
}

std::string SourceSelect(const MergedTable& table, const TableSource& source,
                         const std::string& schema) {
  std::string sql = "SELECT ";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const v1::ColumnInfo& column = table.columns[i];
    if (i > 0) sql += ", ";
    if (source.columns[i].empty()) {
      // A bare NULL would have no affinity, and comparisons would go another way.
      absl::StrAppend(&sql, "CAST(NULL AS ", TypeName(column.type()), ")");
    } else {
      sql += sqlite::QuoteName(source.columns[i]);
    }
    absl::StrAppend(&sql, " AS ", sqlite::QuoteName(column.name()));
  }
  absl::StrAppend(&sql, " FROM ", sqlite::QuoteName(schema), ".", sqlite::QuoteName(source.name));
  return sql;
}

bool LacksColumns(const TableSource& source) {
  return std::any_of(source.columns.begin(), source.columns.end(),
                     [](const std::string& column) { return column.empty(); });
}

std::string ColumnsTable(const MergedTable& table) { return absl::StrCat(table.name, " columns"); }

std::string ViewSelect(const MergedTable& table, const std::function<std::string(int)>& schema) {
  std::string sql;
  if (LacksColumns(table.sources.front())) {
    absl::StrAppend(&sql, "SELECT * FROM main.", sqlite::QuoteName(ColumnsTable(table)),
                    " UNION ALL ");
  }
  const char* separator = "";
  for (const TableSource& source : table.sources) {
    absl::StrAppend(&sql, separator, SourceSelect(table, source, schema(source.shard)));
    separator = " UNION ALL ";
  }
  return sql;
}

std::string CreateTable(const MergedTable& table, const std::string& schema) {
  std::string sql =
      absl::StrCat("CREATE TABLE ", sqlite::QuoteName(schema), ".", sqlite::QuoteName(table.name));
  const char* separator = " (";
  for (const v1::ColumnInfo& column : table.columns) {
    absl::StrAppend(&sql, separator, sqlite::QuoteName(column.name()), " ",
                    TypeName(column.type()));
    separator = ", ";
  }
  return sql + ")";
}

}  // namespace qasino::merge
