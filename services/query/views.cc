#include "services/query/views.h"

#include <fmt/format.h>
#include <sqlite3.h>
#include <xxhash.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/names/names.h"
#include "services/query/row_batch.h"
#include "services/query/sandbox.h"
#include "services/sqlite/database.h"
#include "services/sqlite/memory_budget.h"

namespace qasino::query {
namespace {

using sqlite::Database;
using sqlite::Statement;

constexpr char kCreateView[] = "CREATE VIEW ";
// Scalars, lists and maps of a file.
constexpr int kMostParts = 20'000;

std::string Words(const absl::Status& status) { return std::string(status.message()); }

// Finds out what a statement is by letting SQLite execute it where nothing is: CREATE VIEW
// does not look at what is behind AS. The authorizer sees to it that nothing else happens.
class StatementChecker {
 public:
  // The statement in the temp schema, or why it is none.
  absl::StatusOr<std::string> Check(const std::string& name, const std::string& sql) {
    if (sql.size() > kMaxSqlBytes) {
      return absl::InvalidArgumentError(
          fmt::format("the statement has more than {} bytes", kMaxSqlBytes));
    }
    if (sql.find('\0') != sql.npos) {
      return absl::InvalidArgumentError("the statement has a zero byte");
    }
    absl::StatusOr<Database> opened = Database::OpenInMemory();
    if (!opened.ok()) return opened.status();
    creates_ = 0;
    refused_ = false;
    // In this order: SQLite asks the authorizer until the database is closed.
    Database database = *std::move(opened);
    sqlite::MemoryBudget budget(kMaxViewMemory);
    sqlite::MemoryBudget::Scope counted(budget);
    sqlite3_set_authorizer(database.get(), &StatementChecker::Authorize, this);
    absl::Status status = Create(database, sql);
    sqlite3_set_authorizer(database.get(), nullptr, nullptr);
    if (!status.ok()) return status;
    return ReadBack(database, name);
  }

 private:
  static int Authorize(void* self, int action, const char* first, const char* /*second*/,
                       const char* /*schema*/, const char* /*source*/) {
    auto& checker = *static_cast<StatementChecker*>(self);
    switch (action) {
      case SQLITE_CREATE_VIEW:
      case SQLITE_CREATE_TEMP_VIEW:
        ++checker.creates_;
        return SQLITE_OK;
      case SQLITE_INSERT:
      case SQLITE_UPDATE:
      case SQLITE_READ: {
        // The entry in the schema is written.
        const std::string_view table = first == nullptr ? "" : first;
        if (table == "sqlite_master" || table == "sqlite_temp_master") return SQLITE_OK;
        break;
      }
      default:
        break;
    }
    checker.refused_ = true;
    return SQLITE_DENY;
  }

  absl::Status Create(Database& database, const std::string& sql) {
    absl::StatusOr<Statement> statement = database.Prepare(sql);
    const absl::Status other = absl::InvalidArgumentError("it is not one CREATE VIEW statement");
    if (refused_) return other;
    if (!statement.ok()) return statement.status();
    if (creates_ != 1 || sqlite3_stmt_isexplain(statement->get()) != 0) return other;
    absl::Status status = statement->Run();
    return refused_ ? other : status;
  }

  // SQLite keeps the statement without TEMP, IF NOT EXISTS and the schema.
  static absl::StatusOr<std::string> ReadBack(Database& database, const std::string& name) {
    absl::StatusOr<Statement> kept = database.Prepare(
        "SELECT name, sql FROM main.sqlite_master WHERE type = 'view' "
        "UNION ALL SELECT name, sql FROM temp.sqlite_master WHERE type = 'view'");
    if (!kept.ok()) return kept.status();
    absl::StatusOr<bool> row = kept->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::InvalidArgumentError("it creates no view");
    const std::string created(kept->Text(0));
    const std::string sql(kept->Text(1));
    if (absl::AsciiStrToLower(created) != absl::AsciiStrToLower(name)) {
      return absl::InvalidArgumentError(
          fmt::format("its statement creates a view {}", names::Quoted(created)));
    }
    if (!sql.starts_with(kCreateView)) return absl::InternalError("SQLite kept another statement");
    return fmt::format("CREATE TEMP VIEW {}", sql.substr(sizeof(kCreateView) - 1));
  }

  int creates_ = 0;
  bool refused_ = false;
};

// The text of a scalar; nothing where the key is absent or has something else.
std::string Scalar(const YAML::Node& entry, const char* key) {
  const YAML::Node value = entry[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : std::string();
}

ViewDefinition ReadEntry(const YAML::Node& entry, size_t place) {
  ViewDefinition view{.name = fmt::format("#{}", place)};
  if (!entry.IsMap()) {
    view.error = "the entry is not a map with viewname and view";
    return view;
  }
  view.sql = Scalar(entry, "view");
  const std::string name = Scalar(entry, "viewname");
  if (name.empty()) {
    view.error = "the entry has no viewname";
    return view;
  }
  view.name = name;
  if (view.sql.empty()) {
    view.error = "the entry has no view, which is a CREATE VIEW statement";
  } else if (const absl::Status status = names::ValidateTableName(name); !status.ok()) {
    view.error = Words(status);
  }
  return view;
}

// What yaml-cpp finds, counted, so that it does not make nodes without end of it.
class PartCounter : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { Count(); }
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { Count(); }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {
    Count();
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Count();
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Count();
  }
  void OnMapEnd() override {}

 private:
  // yaml-cpp can be stopped only so; the one who calls it catches.
  void Count() {
    if (++parts_ > kMostParts) throw std::length_error("it has too many parts");
  }

  int parts_ = 0;
};

// OK when the whole text is one document, or nothing. yaml-cpp's LoadAll does not end where it
// makes no way, at a ',' for example, and Load leaves unread what is behind the document.
absl::Status CheckOneDocument(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  PartCounter counter;
  if (parser.HandleNextDocument(counter) && parser.HandleNextDocument(counter)) {
    return absl::InvalidArgumentError("there is more behind the list");
  }
  return absl::OkStatus();
}

// A library's words, short and on one line. They may quote the file, which is UTF-8.
std::string Tidied(std::string_view words) {
  constexpr size_t kMost = 200;
  std::string tidied(words.substr(0, kMost));
  while (!IsUtf8(tidied)) tidied.pop_back();
  for (char& c : tidied) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return tidied;
}

absl::StatusOr<ViewSet> ReadList(const std::string& yaml) {
  if (absl::Status status = CheckOneDocument(yaml); !status.ok()) return status;
  const YAML::Node list = YAML::Load(yaml);
  if (!list.IsDefined() || list.IsNull()) return ViewSet();
  if (!list.IsSequence()) {
    return absl::InvalidArgumentError("it is not a list of maps with viewname and view");
  }
  if (list.size() > kMaxViews) {
    return absl::InvalidArgumentError(fmt::format("it has more than {} views", kMaxViews));
  }
  ViewSet views;
  StatementChecker checker;
  absl::flat_hash_set<std::string> taken;
  for (const YAML::Node& entry : list) {
    ViewDefinition view = ReadEntry(entry, views.size() + 1);
    if (view.error.empty() && !taken.insert(absl::AsciiStrToLower(view.name)).second) {
      view.error = fmt::format("there is a view {} before it", view.name);
    }
    if (view.error.empty()) {
      absl::StatusOr<std::string> create = checker.Check(view.name, view.sql);
      if (create.ok()) {
        view.create = *std::move(create);
      } else {
        view.error = Words(create.status());
      }
    }
    views.push_back(std::move(view));
  }
  return views;
}

// Tables of the same form as a snapshot's, without rows.
absl::Status CreateTables(Database& database, const std::vector<merge::MergedTable>& tables,
                          merge::InternalTables internal) {
  absl::Status status = database.Execute("PRAGMA temp_store = MEMORY; BEGIN");
  for (const merge::MergedTable& table : tables) {
    if (!status.ok()) return status;
    if (table.access == merge::Access::kLeftOut) continue;
    status = database.Execute(merge::CreateTable(table, "main"));
  }
  if (internal == merge::InternalTables::kFilled) {
    for (const std::string& sql : merge::CreateInternalTables()) {
      if (status.ok()) status = database.Execute(sql);
    }
  }
  return status.ok() ? database.Execute("COMMIT") : status;
}

}  // namespace

uint64_t Fingerprint(const ViewSet& views) {
  uint64_t hash = 0;
  for (const ViewDefinition& view : views) {
    for (const std::string* text : {&view.name, &view.sql, &view.error}) {
      hash = XXH3_64bits_withSeed(text->data(), text->size(), hash);
    }
  }
  return hash;
}

absl::StatusOr<ViewSet> ParseViews(std::string_view yaml) {
  if (yaml.size() > kMaxViewsBytes) {
    return absl::InvalidArgumentError(fmt::format("it has more than {} bytes", kMaxViewsBytes));
  }
  if (!IsUtf8(yaml)) return absl::InvalidArgumentError("it is not UTF-8");
  // yaml-cpp throws.
  try {
    return ReadList(std::string(yaml));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(fmt::format("it is not YAML: {}", Tidied(error.what())));
  }
}

CheckedViews CheckViews(const ViewSet& views, const std::vector<merge::MergedTable>& tables,
                        merge::InternalTables internal) {
  CheckedViews checked;
  if (views.empty()) return checked;
  for (const ViewDefinition& view : views) {
    checked.facts.push_back({.name = view.name, .error = view.error, .sql = view.sql});
  }
  absl::StatusOr<Database> database = Database::OpenInMemory();
  absl::Status status = database.status();
  if (status.ok()) status = CreateTables(*database, tables, internal);
  absl::flat_hash_set<std::string> taken;
  for (const merge::MergedTable& table : tables) taken.insert(absl::AsciiStrToLower(table.name));
  for (size_t i = 0; i < views.size(); ++i) {
    std::string& error = checked.facts[i].error;
    if (!error.empty()) continue;
    if (taken.contains(absl::AsciiStrToLower(views[i].name))) {
      error = fmt::format("table {} already exists", views[i].name);
    } else if (!status.ok()) {
      error = Words(status);
    } else if (absl::Status created = database->Execute(views[i].create); !created.ok()) {
      error = Words(created);
    }
  }
  std::unique_ptr<Sandbox> sandbox;
  if (status.ok()) sandbox = std::make_unique<Sandbox>(*std::move(database));
  const absl::Time deadline = absl::Now() + absl::Seconds(kMaxViewSeconds);
  for (size_t i = 0; i < views.size(); ++i) {
    merge::ViewFact& fact = checked.facts[i];
    if (!fact.error.empty()) continue;
    if (absl::Now() > deadline) {
      fact.error = fmt::format("the views before it took {} s to prepare", kMaxViewSeconds);
      continue;
    }
    sqlite::MemoryBudget budget(kMaxViewMemory);
    absl::Status prepared;
    {
      sqlite::MemoryBudget::Scope counted(budget);
      prepared =
          sandbox->Prepare(fmt::format("SELECT * FROM {}", sqlite::QuoteName(fact.name))).status();
    }
    fact.loaded = prepared.ok();
    if (fact.loaded) {
      checked.create.push_back(views[i].create);
    } else if (budget.exceeded()) {
      fact.error = fmt::format("it needs more than {} MiB to prepare", kMaxViewMemory >> 20);
    } else {
      fact.error = Words(prepared);
    }
  }
  std::stable_sort(checked.facts.begin(), checked.facts.end(),
                   [](const auto& a, const auto& b) { return a.name < b.name; });
  return checked;
}

}  // namespace qasino::query
