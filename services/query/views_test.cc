#include "services/query/views.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qasino::query {
namespace {

std::string Entry(const std::string& name, const std::string& sql) {
  return fmt::format("- viewname: {}\n  view: {}\n", name, sql);
}

// The error of the only view of such a file.
std::string ErrorOf(const std::string& name, const std::string& sql) {
  const absl::StatusOr<ViewSet> views = ParseViews(Entry(name, sql));
  EXPECT_TRUE(views.ok()) << views.status();
  if (!views.ok() || views->size() != 1) return "not one view";
  EXPECT_EQ((*views)[0].error.empty(), !(*views)[0].create.empty());
  return (*views)[0].error;
}

TEST(Fingerprint, ChangesWithWhatIsDefined) {
  const auto fingerprint = [](const std::string& yaml) { return Fingerprint(*ParseViews(yaml)); };
  const std::string one = Entry("v", "CREATE VIEW v AS SELECT 1");
  EXPECT_EQ(Fingerprint({}), 0u);
  EXPECT_EQ(fingerprint(one), fingerprint("# first\n" + one));
  EXPECT_NE(fingerprint(one), 0u);
  EXPECT_NE(fingerprint(one), fingerprint(Entry("v", "CREATE VIEW v AS SELECT 2")));
  EXPECT_NE(fingerprint(one), fingerprint(one + Entry("w", "CREATE VIEW w AS SELECT 1")));
}

TEST(ParseViews, AListOfNamesAndStatements) {
  const absl::StatusOr<ViewSet> views = ParseViews(
      "# the views\n"
      "- viewname: busy\n"
      "  view: CREATE VIEW busy AS SELECT * FROM machines WHERE load > 10\n"
      "  comment: other keys are left alone\n"
      "- {viewname: \"Lines\", view: \"create view lines (n) as select 1;\"}\n"
      "- viewname: folded\n"
      "  view: >\n"
      "    CREATE VIEW folded AS\n"
      "    SELECT 1 AS one\n");
  ASSERT_TRUE(views.ok()) << views.status();
  ASSERT_EQ(views->size(), 3u);
  EXPECT_EQ((*views)[0].name, "busy");
  EXPECT_EQ((*views)[0].sql, "CREATE VIEW busy AS SELECT * FROM machines WHERE load > 10");
  EXPECT_EQ((*views)[0].create, "CREATE TEMP VIEW busy AS SELECT * FROM machines WHERE load > 10");
  EXPECT_EQ((*views)[1].name, "Lines");
  EXPECT_EQ((*views)[1].create, "CREATE TEMP VIEW lines (n) as select 1");
  EXPECT_EQ((*views)[2].error, "");
}

TEST(ParseViews, NothingIsAnEmptyList) {
  for (const char* yaml : {"", "\n", "# nothing\n", "---\n", "[]", "~"}) {
    const absl::StatusOr<ViewSet> views = ParseViews(yaml);
    ASSERT_TRUE(views.ok()) << yaml << views.status();
    EXPECT_TRUE(views->empty()) << yaml;
  }
}

TEST(ParseViews, WhatIsNoListOfYamlIsRefused) {
  for (const std::string& yaml :
       {std::string("just words"), std::string("viewname: v\nview: CREATE VIEW v AS SELECT 1"),
        std::string("- [1, 2"), std::string("\t- x"), std::string("- \"open"), std::string("&a *a"),
        std::string("- 1\n---\n- 2\n"), std::string("\x00\x01\xff\xfe", 4), std::string("\xff"),
        std::string(100'000, '['), std::string(100'000, '{'), std::string(2 << 20, ' ')}) {
    const absl::StatusOr<ViewSet> views = ParseViews(yaml);
    EXPECT_EQ(views.status().code(), absl::StatusCode::kInvalidArgument)
        << yaml.substr(0, 80) << views.status();
  }
  for (const char* yaml : {",", "- a: b\n, c", "- a\n, b", "- 1\n---\n- 2\n", "- a\n]"}) {
    EXPECT_EQ(ParseViews(yaml).status().code(), absl::StatusCode::kInvalidArgument) << yaml;
  }
  EXPECT_EQ(ParseViews("- \xff").status().message(), "it is not UTF-8");
  const std::string anchor = "&a [*a, *" + std::string(5000, 'b') + "\x07 ]";
  EXPECT_LT(ParseViews(anchor).status().message().size(), 300u);
  std::string parts = "- [";
  for (int i = 0; i < 100'000; ++i) parts += "1,";
  EXPECT_EQ(ParseViews(parts + "1]").status().message(), "it is not YAML: it has too many parts");
  std::string many;
  for (size_t i = 0; i <= kMaxViews; ++i) many += "- 1\n";
  EXPECT_EQ(ParseViews(many).status().message(), "it has more than 1000 views");
}

TEST(ParseViews, AWrongEntryIsAnErrorOfThatViewAlone) {
  const absl::StatusOr<ViewSet> views = ParseViews(
      "- just a word\n"
      "- view: CREATE VIEW a AS SELECT 1\n"
      "- viewname: b\n"
      "- viewname: [c]\n"
      "- viewname: good\n"
      "  view: CREATE VIEW good AS SELECT 1\n"
      "- viewname: GOOD\n"
      "  view: CREATE VIEW GOOD AS SELECT 2\n"
      "- viewname: qasino_server_info\n"
      "  view: CREATE VIEW qasino_server_info AS SELECT 2\n"
      "- viewname: odd name\n"
      "  view: CREATE VIEW \"odd name\" AS SELECT 2\n");
  ASSERT_TRUE(views.ok()) << views.status();
  std::vector<std::string> errors;
  for (const ViewDefinition& view : *views) errors.push_back(view.name + ": " + view.error);
  ASSERT_EQ(errors.size(), 8u);
  EXPECT_EQ(errors[0], "#1: the entry is not a map with viewname and view");
  EXPECT_EQ(errors[1], "#2: the entry has no viewname");
  EXPECT_EQ(errors[2], "b: the entry has no view, which is a CREATE VIEW statement");
  EXPECT_EQ(errors[3], "#4: the entry has no viewname");
  EXPECT_EQ(errors[4], "good: ");
  EXPECT_EQ(errors[5], "GOOD: there is a view GOOD before it");
  EXPECT_NE(errors[6], "qasino_server_info: ");
  EXPECT_NE(errors[7], "odd name: ");
}

TEST(ParseViews, AStatementIsOneCreateViewOfThatName) {
  for (const char* sql :
       {"CREATE VIEW v AS SELECT 1", "create view V as select * from nowhere;",
        "CREATE VIEW v (a, b) AS VALUES (1, 2) -- why", "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE VIEW IF NOT EXISTS v AS SELECT 1", "CREATE VIEW main.v AS SELECT 1",
        "CREATE VIEW \"v\" AS WITH a AS (SELECT 1) SELECT * FROM a, t UNION SELECT 2"}) {
    EXPECT_EQ(ErrorOf("v", sql), "") << sql;
  }
  EXPECT_EQ(ErrorOf("v", "CREATE VIEW w AS SELECT 1"), "its statement creates a view 'w'");
  for (const char* sql :
       {"SELECT 1", "CREATE TABLE v (x)", "DROP VIEW v", "PRAGMA journal_mode", "VACUUM",
        "ATTACH 'x' AS y", "EXPLAIN CREATE VIEW v AS SELECT 1", "BEGIN",
        "CREATE TRIGGER v AFTER INSERT ON t BEGIN SELECT 1; END", "CREATE TABLE v AS SELECT 1",
        "CREATE VIRTUAL TABLE v USING fts5(x)", "INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"}) {
    const std::string error = ErrorOf("v", sql);
    EXPECT_FALSE(error.empty()) << sql;
  }
  EXPECT_EQ(ErrorOf("v", "SELECT 1"), "it is not one CREATE VIEW statement");
  for (const char* sql :
       {"CREATE VIEW v AS SELECT 1; CREATE VIEW w AS SELECT 1", "CREATE VIEW v AS SELEC 1",
        "CREATE VIEW v AS SELECT ?1", "CREATE VIEW v AS SELECT 1; DROP TABLE t", "''", "-- nothing",
        "CREATE VIEW v AS SELECT * FROM other.t"}) {
    EXPECT_NE(ErrorOf("v", sql), "") << sql;
  }
  EXPECT_EQ(ErrorOf("v", "\"CREATE VIEW v AS SELECT 1 \\0\""), "the statement has a zero byte");
}

merge::MergedTable Table(const std::string& name, const std::vector<std::string>& columns) {
  merge::MergedTable table{.name = name};
  for (const std::string& column : columns) {
    v1::ColumnInfo info;
    info.set_name(column);
    info.set_type(v1::INTEGER);
    table.columns.push_back(info);
  }
  return table;
}

// "name: error" of each view.
std::vector<std::string> Check(const std::string& yaml,
                               merge::InternalTables internal = merge::InternalTables::kFilled) {
  const absl::StatusOr<ViewSet> views = ParseViews(yaml);
  EXPECT_TRUE(views.ok()) << views.status();
  merge::MergedTable merged = Table("m", {"x"});
  merged.access = merge::Access::kView;
  const CheckedViews checked = CheckViews(*views, {Table("t", {"x", "y"}), merged}, internal);
  std::vector<std::string> results;
  size_t loaded = 0;
  for (const merge::ViewFact& fact : checked.facts) {
    EXPECT_EQ(fact.loaded, fact.error.empty());
    if (fact.loaded) ++loaded;
    results.push_back(fact.name + ": " + fact.error);
  }
  EXPECT_EQ(checked.create.size(), loaded);
  return results;
}

using Results = std::vector<std::string>;

TEST(CheckViews, AViewIsLoadedWhenItCanBePrepared) {
  EXPECT_EQ(Check(Entry("good", "CREATE VIEW good AS SELECT x, y FROM t JOIN m USING (x)") +
                  Entry("bad", "CREATE VIEW bad AS SELECT * FROM absent") +
                  Entry("column", "CREATE VIEW column AS SELECT z FROM t") +
                  Entry("own", "CREATE VIEW own AS SELECT tablename FROM qasino_server_tables") +
                  Entry("rowids", "CREATE VIEW rowids AS SELECT rowid AS r FROM m")),
            (Results{"bad: no such table: absent", "column: no such column: z",
                     "good: ", "own: ", "rowids: "}));
  EXPECT_EQ(Check(Entry("own", "CREATE VIEW own AS SELECT tablename FROM qasino_server_tables"),
                  merge::InternalTables::kNone),
            Results{"own: no such table: qasino_server_tables"});
}

TEST(CheckViews, AViewNamedLikeATableIsNotLoaded) {
  EXPECT_EQ(
      Check(Entry("T", "CREATE VIEW T AS SELECT 1") + Entry("m", "CREATE VIEW m AS SELECT 1")),
      (Results{"T: table T already exists", "m: table m already exists"}));
}

TEST(CheckViews, ViewsAreMadeOfViewsInAnyOrderAndNotOfThemselves) {
  EXPECT_EQ(Check(Entry("a", "CREATE VIEW a AS SELECT * FROM b") +
                  Entry("b", "CREATE VIEW b AS SELECT * FROM c") +
                  Entry("c", "CREATE VIEW c AS SELECT x FROM t")),
            (Results{"a: ", "b: ", "c: "}));
  EXPECT_EQ(Check(Entry("a", "CREATE VIEW a AS SELECT * FROM b") +
                  Entry("b", "CREATE VIEW b AS SELECT * FROM a") +
                  Entry("c", "CREATE VIEW c AS SELECT 1 AS one")),
            (Results{"a: view a is circularly defined", "b: view b is circularly defined", "c: "}));
}

TEST(CheckViews, NothingForbiddenIsInAView) {
  const Results results = Check(Entry("f", "CREATE VIEW f AS SELECT load_extension('x') AS e"));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_NE(results[0].find("load_extension"), results[0].npos) << results[0];
}

TEST(CheckViews, ViewsThatGrowWithoutBoundEnd) {
  std::string yaml = Entry("v0", "CREATE VIEW v0 AS SELECT x FROM t");
  for (int i = 1; i < 60; ++i) {
    yaml += Entry(fmt::format("v{}", i),
                  fmt::format("CREATE VIEW v{0} AS SELECT a.x FROM v{1} a, v{1} b", i, i - 1));
  }
  const Results results = Check(yaml);
  ASSERT_EQ(results.size(), 60u);
  EXPECT_EQ(results[0], "v0: ");
  // v59 comes after v58.
  EXPECT_NE(results[55], "v59: ");
}

}  // namespace
}  // namespace qasino::query
