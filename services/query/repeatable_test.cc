#include "services/query/repeatable.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "services/merge/fake_shard.h"
#include "services/query/cursor.h"
#include "services/query/views.h"

// Through a Cursor, which is where it matters.
namespace qasino::query {
namespace {

using merge::FakeShard;
using merge::ManifestOf;

struct Outcome {
  absl::Status status;
  std::string answer;
  bool repeatable = false;
};

class RepeatableTest : public testing::Test {
 protected:
  RepeatableTest() {
    FakeShard shard("a", 60);
    shard.Table("t", {"x INTEGER", "y TEXT"});
    shard.Publish("h1", "t", {"1, '2026-01-01'", "2, 'now'", "3, NULL"});
    const std::vector<std::shared_ptr<const ShardImage>> shards = {shard.Seal()};
    const auto views = std::make_shared<const ViewSet>(*ParseViews(
        "- viewname: drawn\n"
        "  view: CREATE VIEW drawn AS SELECT x, random() AS r FROM t\n"
        "- viewname: timed\n"
        "  view: CREATE VIEW timed AS SELECT x, datetime('now') AS at FROM t\n"
        "- viewname: plain\n"
        "  view: CREATE VIEW plain AS SELECT x, date(y) AS day FROM t WHERE y LIKE '2%'\n"));
    snapshot_ = *Snapshot::Build(ManifestOf(60, shards), shards, {.identity = "server"}, views);
  }

  Outcome Ask(const std::string& sql) {
    v1::QueryRequest request;
    request.set_sql(sql);
    Cancellation cancellation;
    Outcome run;
    auto cursor = Cursor::Open(*snapshot_->Connect(), request, {}, &cancellation);
    run.status = cursor.status();
    while (run.status.ok() && !(*cursor)->done()) {
      v1::QueryResponse response;
      run.status = (*cursor)->Next(response);
      run.answer += response.batch().SerializeAsString();
    }
    run.repeatable = run.status.ok() && (*cursor)->repeatable();
    return run;
  }

  bool IsRepeatable(const std::string& sql) {
    const Outcome run = Ask(sql);
    EXPECT_TRUE(run.status.ok()) << sql << ": " << run.status;
    return run.repeatable;
  }

  struct Function {
    std::string name;
    int arguments;
    bool operator<(const Function& other) const {
      return std::tie(name, arguments) < std::tie(other.name, other.arguments);
    }
  };

  // Of a connection as queries have it.
  std::set<Function> Functions() {
    Snapshot::Connection connection = *snapshot_->Connect();
    sqlite::Statement list =
        *connection.sandbox().Prepare("SELECT lower(name), narg FROM pragma_function_list");
    std::set<Function> functions;
    while (*list.Step()) {
      const int arguments = static_cast<int>(list.Integer(1));
      if (arguments >= 0) {
        functions.insert({std::string(list.Text(0)), arguments});
        continue;
      }
      for (int some = 0; some < 5; ++some) functions.insert({std::string(list.Text(0)), some});
    }
    return functions;
  }

  std::shared_ptr<const Snapshot> snapshot_;
};

// Whatever is called repeatable gives the same again, with whatever it is called.
TEST_F(RepeatableTest, EveryFunctionOfSqlite) {
  int answered = 0;
  std::set<std::string> repeatable;
  std::set<std::string> not_repeatable;
  const std::set<Function> functions = Functions();
  ASSERT_GT(functions.size(), 150);
  for (const Function& function : functions) {
    for (const std::string value : {"'now'", "x", "y", "17", "'abc'", "x'0102'", "'[1,2]'", "'%s'",
                                    "'$[0]'", "'%s', 'now'", "NULL", "0.5"}) {
      std::vector<std::string> arguments(function.arguments, value);
      if (arguments.size() > 1 && value == "'%s', 'now'") arguments.pop_back();
      for (const char* const over : {"", " OVER (ORDER BY x)"}) {
        const std::string sql = fmt::format("SELECT \"{}\"({}){} FROM t", function.name,
                                            fmt::join(arguments, ", "), over);
        // Two connections, so that nothing of one is left for the other.
        const Outcome first = Ask(sql);
        const Outcome second = Ask(sql);
        EXPECT_EQ(first.status.code(), second.status.code()) << sql;
        if (!first.status.ok()) continue;
        ++answered;
        EXPECT_EQ(first.repeatable, second.repeatable) << sql;
        (first.repeatable ? repeatable : not_repeatable).insert(function.name);
        EXPECT_TRUE(!first.repeatable || first.answer == second.answer) << sql;
      }
    }
  }
  EXPECT_GT(answered, 1000);
  for (const char* const name :
       {"random", "randomblob", "changes", "total_changes", "last_insert_rowid", "current_date",
        "current_time", "current_timestamp"}) {
    EXPECT_FALSE(repeatable.contains(name)) << name;
    EXPECT_TRUE(not_repeatable.contains(name)) << name;
  }
  for (const char* const name :
       {"date", "time", "datetime", "julianday", "unixepoch", "strftime"}) {
    EXPECT_TRUE(repeatable.contains(name)) << name;
    EXPECT_TRUE(not_repeatable.contains(name)) << name;
  }
  for (const char* const name :
       {"abs",        "lower",        "substr", "coalesce",     "printf",
        "round",      "like",         "glob",   "replace",      "trim",
        "json",       "json_extract", "count",  "sum",          "total",
        "avg",        "min",          "max",    "group_concat", "json_group_array",
        "row_number", "rank",         "lag",    "first_value",  "ntile",
        "sin",        "hex",          "typeof", "length",       "instr",
        "char",       "ifnull",       "iif",    "nullif",       "upper",
        "quote"}) {
    EXPECT_TRUE(repeatable.contains(name)) << name;
  }
}

TEST_F(RepeatableTest, Statements) {
  for (const char* const sql : {
           "SELECT 1",
           "SELECT * FROM t",
           "SELECT x, count(*), sum(x) OVER (ORDER BY x) FROM t GROUP BY x ORDER BY y",
           "SELECT date('2026-01-01', '+1 month'), strftime('%Y', 0, 'unixepoch')",
           "SELECT * FROM plain",
           "SELECT * FROM t WHERE y LIKE '2%' OR y GLOB '3*' OR y IN (SELECT 'a')",
           "SELECT value FROM json_each('[1,2]')",
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT i FROM "
           "n",
           "SELECT name FROM sqlite_schema",
           "SELECT * FROM qasino_server_sql_stats",
           "SHOW TABLES",
           "SHOW INFO",
           "DESC t",
           "EXPLAIN QUERY PLAN SELECT * FROM t",
       }) {
    EXPECT_TRUE(IsRepeatable(sql)) << sql;
  }
  for (const char* const sql : {
           "SELECT random()",
           "SELECT x FROM t ORDER BY RANDOM()",
           "SELECT 1 WHERE (SELECT abs(random()) > 1)",
           "SELECT * FROM drawn",
           "SELECT count(r) FROM drawn",
           "SELECT * FROM timed",
           "SELECT datetime()",
           "SELECT date('now')",
           "SELECT date('NOW', 'start of month')",
           "SELECT strftime('%s', 'n' || 'ow')",
           "SELECT strftime('%s')",
           "SELECT datetime(y) FROM t",
           "SELECT CURRENT_TIMESTAMP",
           "SELECT x FROM t WHERE y < CURRENT_DATE",
           "SELECT last_insert_rowid()",
           "SELECT * FROM pragma_function_list",
           "SELECT count(*) FROM pragma_database_list",
       }) {
    EXPECT_FALSE(IsRepeatable(sql)) << sql;
  }
  // What a statement was leaves nothing behind.
  EXPECT_TRUE(IsRepeatable("SELECT 1"));
}

TEST_F(RepeatableTest, UnknownNames) {
  EXPECT_FALSE(IsRepeatableFunction(nullptr));
  EXPECT_FALSE(IsRepeatableFunction("function_of_nobody"));
  EXPECT_TRUE(IsRepeatableFunction("LOWER"));
  EXPECT_TRUE(IsRepeatableTable("t"));
  EXPECT_FALSE(IsRepeatableTable("Sqlite_Stmt"));
  EXPECT_FALSE(IsRepeatableTable("PRAGMA_table_list"));
}

}  // namespace
}  // namespace qasino::query
