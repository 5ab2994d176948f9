#ifndef QASINO_SERVICES_MERGE_MERGE_PLAN_H_
#define QASINO_SERVICES_MERGE_MERGE_PLAN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "qasino/v1/snapshot.pb.h"
#include "qasino/v1/table.pb.h"

// How the tables of a snapshot's shards become one set of tables. Pure: it looks at the
// manifest alone.
//
// The merged columns of a table are the union of its shards' columns, in the order of
// the shards and then of first sight; a column has the type that the first shard gives
// it. A static table is hidden by a published one of the same name. Past kMostColumns, which
// is what SQLite can have in a table, further columns are left out.
namespace qasino::merge {

inline constexpr size_t kMostColumns = 2000;

// How SQL reaches a merged table.
enum class Access {
  // One shard has it: it is read where it lies.
  kInPlace,
  // Several attached shards have it, with the same type for each column: a view that
  // reads one after the other.
  kView,
  // Its rows are copied into one table when the snapshot is built: types differ, so that
  // cells must be converted; or a shard cannot be attached, because SQLite attaches ten.
  kCopy,
  // It could not be copied, and is not there.
  kLeftOut,
};

// Where some of a merged table's rows are.
struct TableSource {
  // Index into the manifest's shards.
  int shard = 0;
  // The table's name as that shard spells it.
  std::string name;
  // For each merged column its name in that shard, or empty where the shard lacks it.
  std::vector<std::string> columns;
};

struct MergedTable {
  std::string name;
  std::vector<v1::ColumnInfo> columns;
  std::vector<TableSource> sources;
  Access access = Access::kInPlace;
  bool is_static = false;
  // Columns that are not there because there are too many.
  int64_t columns_left_out = 0;
  int64_t rows = 0;
  int64_t updates = 0;
  // Unix time of the last publish.
  double last_update_epoch = 0;
};

// Tables in the order of first sight. `attachable` is how many shards, from the first,
// can be read in place.
std::vector<MergedTable> PlanMerge(const v1::Manifest& manifest, int attachable);

// "INTEGER", "REAL", "TEXT", "BLOB"; empty for an unspecified type.
const char* TypeName(v1::ColumnType type);

// SELECT … FROM schema.table with every merged column, NULL where the source lacks it.
std::string SourceSelect(const MergedTable& table, const TableSource& source,
                         const std::string& schema);

// The source lacks some of the merged columns.
bool LacksColumns(const TableSource& source);

// SQLite takes the types of a view's columns from its first SELECT, where a cast NULL has
// none. So a view whose first source lacks columns begins with an empty table of this name,
// in the main schema. No table from outside can have it.
std::string ColumnsTable(const MergedTable& table);

// The SELECT that a view of a table with Access::kView is; `schema` names a shard's.
std::string ViewSelect(const MergedTable& table, const std::function<std::string(int)>& schema);

// CREATE TABLE schema.name (columns).
std::string CreateTable(const MergedTable& table, const std::string& schema);

}  // namespace qasino::merge

#endif  // QASINO_SERVICES_MERGE_MERGE_PLAN_H_
