#include "services/query/repeatable.h"

#include <sqlite3.h>

#include <string>

#include "absl/base/call_once.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace qasino::query {
namespace {

// In small letters.
struct Names {
  absl::flat_hash_set<std::string> functions;
  // Virtual tables that are there without being made.
  absl::flat_hash_set<std::string> other_tables;
};

absl::once_flag learned;
const Names* names = nullptr;

// Aggregate and window functions are never flagged as deterministic. Those that SQLite brings
// see nothing but their rows.
constexpr char kFunctions[] =
    "SELECT lower(name) FROM pragma_function_list GROUP BY 1 "
    "HAVING min(flags & ?1 != 0 OR (builtin AND type IN ('w', 'a')))";

constexpr char kOtherTables[] =
    "SELECT lower(name) FROM pragma_module_list WHERE name NOT IN ('json_each', 'json_tree')";

void Read(sqlite::Database& database, const char* sql, absl::flat_hash_set<std::string>& into) {
  absl::StatusOr<sqlite::Statement> statement = database.Prepare(sql);
  if (!statement.ok()) return;
  statement->BindInteger(1, SQLITE_DETERMINISTIC);
  for (;;) {
    const absl::StatusOr<bool> row = statement->Step();
    if (!row.ok() || !*row) return;
    into.insert(std::string(statement->Text(0)));
  }
}

}  // namespace

void LearnRepeatable(sqlite::Database& database) {
  absl::call_once(learned, [&database] {
    auto* const read = new Names;
    Read(database, kOtherTables, read->other_tables);
    // Without the list of tables nothing is known to be repeatable.
    if (!read->other_tables.empty()) Read(database, kFunctions, read->functions);
    names = read;
  });
}

bool IsRepeatableFunction(const char* name) {
  return name != nullptr && names->functions.contains(absl::AsciiStrToLower(name));
}

bool IsRepeatableTable(const char* name) {
  if (name == nullptr || names->other_tables.empty()) return false;
  const std::string lower = absl::AsciiStrToLower(name);
  return !absl::StartsWith(lower, "pragma_") && !names->other_tables.contains(lower);
}

}  // namespace qasino::query
