#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "services/merge/merge_plan.h"
#include "services/merge/snapshot_builder.h"
#include "services/query/views.h"
#include "services/sqlite/database.h"
#include "testing/fuzz/oracle.h"

// The bytes are a file of views, which is parsed and tried on two tables.
//
//   - A file is refused with a good message, or each of its entries is a view or has an error.
//   - What creates a view creates that one view in the temp schema, and does nothing else.
//   - The views that can be used can be created one after the other, and then prepared.
namespace qasino::fuzz {
namespace {

constexpr absl::Duration kCheckTimeout = absl::Seconds(20);

bool IsName(const std::string& text) {
  const auto is_word = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; };
  return !text.empty() && text.size() <= 128 &&
         absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), is_word);
}

sqlite::Database OpenEmpty() {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  RequireOk(database.status(), "open");
  return *std::move(database);
}

// The one cell that a query answers.
std::string Cell(sqlite::Database& database, const std::string& sql) {
  absl::StatusOr<sqlite::Statement> statement = database.Prepare(sql);
  RequireOk(statement.status(), sql);
  const absl::StatusOr<bool> row = statement->Step();
  RequireOk(row.status(), sql);
  Require(*row, "it answers a row: " + sql);
  return std::string(statement->Text(0));
}

void RequireOneView(const query::ViewDefinition& view) {
  sqlite::Database database = OpenEmpty();
  RequireOk(database.Execute(view.create), "create view " + view.name);
  Require(Cell(database, "SELECT count(*) FROM main.sqlite_schema") == "0" &&
              Cell(database, "SELECT count(*) FROM pragma_database_list") == "2" &&
              Cell(database, "SELECT count(*) FROM temp.sqlite_schema WHERE type = 'view'") == "1",
          "a view's statement does nothing else: " + view.create);
  const std::string name =
      Cell(database, "SELECT name FROM temp.sqlite_schema WHERE type = 'view'");
  Require(absl::AsciiStrToLower(name) == absl::AsciiStrToLower(view.name),
          "a view has the name that it is to have: " + view.name);
}

std::vector<merge::MergedTable> Tables() {
  std::vector<merge::MergedTable> tables(2);
  for (const char* name : {"host", "load"}) {
    v1::ColumnInfo column;
    column.set_name(name);
    column.set_type(v1::TEXT);
    tables[0].columns.push_back(column);
    tables[1].columns.push_back(column);
  }
  tables[0].name = "cpu";
  tables[1].name = "order";
  tables[1].access = merge::Access::kView;
  return tables;
}

void TryViews(const query::ViewSet& views) {
  const absl::Time begin = absl::Now();
  const query::CheckedViews checked =
      query::CheckViews(views, Tables(), merge::InternalTables::kNone);
  Require(absl::Now() - begin < kCheckTimeout, "views are tried within a limit of time");
  Require(checked.facts.size() == views.size(), "there is a fact for each view");
  size_t loaded = 0;
  for (const merge::ViewFact& fact : checked.facts) {
    Require(fact.loaded == fact.error.empty(), "a view can be used or has an error: " + fact.name);
    if (fact.loaded) ++loaded;
  }
  Require(checked.create.size() == loaded, "there is a statement for each view that can be used");
  sqlite::Database database = OpenEmpty();
  for (const merge::MergedTable& table : Tables()) {
    RequireOk(database.Execute(merge::CreateTable(table, "main")), "make a table");
  }
  for (const std::string& create : checked.create) {
    RequireOk(database.Execute(create), "create the views that can be used");
  }
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using qasino::fuzz::Require;
  const auto views =
      qasino::query::ParseViews(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!views.ok()) {
    Require(absl::IsInvalidArgument(views.status()), "a file of views is read or refused");
    qasino::fuzz::RequireGoodMessage(views.status());
    return 0;
  }
  Require(views->size() <= qasino::query::kMaxViews, "the limit of views holds");
  std::set<std::string> names;
  for (const qasino::query::ViewDefinition& view : *views) {
    Require(view.error.empty() != view.create.empty(), "an entry is a view or has an error");
    if (!view.error.empty()) continue;
    Require(qasino::fuzz::IsName(view.name), "a view has a name: " + view.name);
    Require(names.insert(absl::AsciiStrToLower(view.name)).second,
            "names of views differ: " + view.name);
    qasino::fuzz::RequireOneView(view);
  }
  qasino::fuzz::TryViews(*views);
  return 0;
}
