#include "services/query/linear_functions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "services/sqlite/database.h"

namespace qasino::query {
namespace {

class LinearFunctionsTest : public testing::Test {
 protected:
  LinearFunctionsTest() { EXPECT_TRUE(UseLinearFunctions(ours_.get(), &stop_).ok()); }

  static std::string Answer(sqlite::Database& database, const std::string& expression) {
    absl::StatusOr<sqlite::Statement> statement =
        database.Prepare(fmt::format("SELECT typeof({0}), quote({0})", expression));
    if (!statement.ok()) return statement.status().ToString();
    const absl::StatusOr<bool> row = statement->Step();
    if (!row.ok()) return row.status().ToString();
    return fmt::format("{} {}", statement->Text(0), statement->Text(1));
  }

  void ExpectSame(const std::string& expression) {
    EXPECT_EQ(Answer(ours_, expression), Answer(sqlites_, expression)) << expression;
  }

  StopSign stop_;
  sqlite::Database ours_ = *sqlite::Database::OpenInMemory();
  sqlite::Database sqlites_ = *sqlite::Database::OpenInMemory();
};

TEST_F(LinearFunctionsTest, AnswerWhatSqlitesOwnAnswer) {
  for (const char* expression : {"instr('abc', 'c')",
                                 "instr('äöü', 'ü')",
                                 "instr('abc', '')",
                                 "instr('', 'a')",
                                 "instr(NULL, 'a')",
                                 "instr('a', NULL)",
                                 "instr(x'c3a4c3b6', x'b6')",
                                 "instr('ä', x'a4')",
                                 "instr(12345, 34)",
                                 "instr(x'6162', 'b')",
                                 "instr(zeroblob(4), x'00')",
                                 "instr(zeroblob(0), x'00')",
                                 "instr(x'00', zeroblob(0))",
                                 "instr(1.5, '.')",
                                 "replace('abcabc', 'b', 'xx')",
                                 "replace('aaa', 'aa', 'b')",
                                 "replace('abc', '', 'x')",
                                 "replace('abc', 'd', 'x')",
                                 "replace(NULL, 'a', 'b')",
                                 "replace('a', NULL, 'b')",
                                 "replace('a', 'b', NULL)",
                                 "replace(121, 1, 3)",
                                 "replace('abc', 'abc', '')",
                                 "replace(x'6162', 'b', 'c')",
                                 "replace('abc', '', NULL)",
                                 "trim('  a b  ')",
                                 "trim('')",
                                 "trim('   ')",
                                 "trim(NULL)",
                                 "trim('xxaxx', 'x')",
                                 "trim('äaö', 'öä')",
                                 "ltrim('xya', 'yx')",
                                 "rtrim('axy', 'yx')",
                                 "trim('abc', '')",
                                 "trim('abc', NULL)",
                                 "trim(NULL, 'x')",
                                 "ltrim('  a  ')",
                                 "rtrim('  a  ')",
                                 "trim(1221, 1)",
                                 "rtrim('aü', 'ü')",
                                 "ltrim('ü', 'ü')",
                                 "trim(x'2061', ' ')",
                                 "length('äb')",
                                 "length(NULL)",
                                 "length(x'c3a4')",
                                 "length(-12.5)",
                                 "length('a' || char(0) || 'b')",
                                 "length(CAST(x'80ffc3' AS TEXT))",
                                 "'ab' LIKE 'A_'",
                                 "'a%' LIKE 'a!%' ESCAPE '!'",
                                 "'ab' LIKE 'a!%' ESCAPE '!'",
                                 "'a' LIKE 'a!' ESCAPE '!'",
                                 "'a' LIKE 'a' ESCAPE '!!'",
                                 "'a' LIKE 'a' ESCAPE ''",
                                 "'a' LIKE 'a' ESCAPE NULL",
                                 "'%%' LIKE '%%%%' ESCAPE '%'",
                                 "'_a' LIKE '___' ESCAPE '_'",
                                 "NULL LIKE 'a'",
                                 "'a' LIKE NULL",
                                 "12 LIKE 1.0",
                                 "1.5 LIKE '1._'",
                                 "x'61' LIKE 'a'",
                                 "'a' GLOB x'61'",
                                 "zeroblob(100000) LIKE 'a'",
                                 "'Ä' LIKE 'ä'",
                                 "'a]' GLOB 'a[]]'",
                                 "'a' GLOB '[^]]'",
                                 "'-' GLOB '[a-]'",
                                 "'b' GLOB '[a-c'",
                                 "'B' GLOB 'b'",
                                 "'' GLOB '*'",
                                 "'' LIKE ''",
                                 "json_patch('{\"a\":1}', '{\"b\":[2,null]}')",
                                 "json_array(json_patch('{\"a\":1}', '{\"a\":null}'))",
                                 "json_patch('{', '{}')",
                                 "json_patch(NULL, '{}')",
                                 "json_patch('{}', x'00')"}) {
    ExpectSame(expression);
  }
}

TEST_F(LinearFunctionsTest, AnswerWhatSqlitesOwnAnswerForRandomTexts) {
  std::mt19937 random(7);
  const std::vector<std::string> letters = {"a", "b", "ä", "€", " ", "😀"};
  const auto text = [&](int most) {
    std::string made = "'";
    for (int length = static_cast<int>(random() % (most + 1)); length > 0; --length) {
      made += letters[random() % letters.size()];
    }
    return made + "'";
  };
  for (int round = 0; round < 2000; ++round) {
    ExpectSame(fmt::format("instr({}, {})", text(12), text(3)));
    ExpectSame(fmt::format("replace({}, {}, {})", text(12), text(2), text(3)));
    ExpectSame(fmt::format("trim({}, {})", text(8), text(3)));
    ExpectSame(fmt::format("ltrim({}, {})", text(8), text(3)));
    ExpectSame(fmt::format("rtrim({}, {})", text(8), text(3)));
  }
}

TEST_F(LinearFunctionsTest, LongArgumentsAreNoMatter) {
  // SQLite's own would take an hour for these.
  EXPECT_EQ(Answer(ours_, "instr(hex(zeroblob(2000000)), hex(zeroblob(1000000)) || '1')"),
            "integer 0");
  EXPECT_EQ(Answer(ours_,
                   "length(replace(hex(zeroblob(2000000)), hex(zeroblob(1000000)) || '1', "
                   "''))"),
            "integer 4000000");
  EXPECT_EQ(Answer(ours_, "length(trim(hex(zeroblob(2000000)), 'x' || hex(zeroblob(2000000))))"),
            "integer 0");
}

// Patterns and texts of any bytes; what one of them begins another may go on.
TEST_F(LinearFunctionsTest, PatternsMatchWhatSqlitesOwnMatch) {
  constexpr char kAsked[] = "SELECT quote(like(?1, ?2)), quote(glob(?1, ?2)), like(?1, ?2, ?3)";
  sqlite::Statement ours = *ours_.Prepare(kAsked);
  sqlite::Statement sqlites = *sqlites_.Prepare(kAsked);
  const std::string zero(1, '\0');
  const std::vector<std::string> pieces = {"a",
                                           "b",
                                           "%",
                                           "_",
                                           "*",
                                           "A",
                                           "?",
                                           "[",
                                           "]",
                                           "^",
                                           "-",
                                           "B",
                                           "ä",
                                           "€",
                                           "z",
                                           "1",
                                           "[a-c]",
                                           "[^a]",
                                           "[]a]",
                                           "😀",
                                           "\xff",
                                           "\xc3",
                                           "\x80",
                                           "\xed\xa0\x80",
                                           "\xfd\x81",
                                           zero,
                                           "[ä-€]",
                                           "\ufffd",
                                           "\xf0\x90\x80",
                                           "%%"};
  std::mt19937 random(11);
  const auto text = [&](int most) {
    // Many of few letters, which match more often.
    const size_t choice = random() % 2 == 0 ? 6 : pieces.size();
    std::string made;
    for (int length = static_cast<int>(random() % (most + 1)); length > 0; --length) {
      made += pieces[random() % choice];
    }
    return made;
  };
  int matches = 0;
  for (int round = 0; round < 200'000; ++round) {
    const std::string pattern = text(8);
    const std::string matched = text(10);
    const std::string escape = pieces[random() % pieces.size()];
    std::string answers[2];
    for (sqlite::Statement* statement : {&ours, &sqlites}) {
      statement->Reset();
      statement->BindText(1, pattern);
      statement->BindText(2, matched);
      statement->BindText(3, escape);
      const absl::StatusOr<bool> row = statement->Step();
      std::string& answer = answers[statement == &ours ? 0 : 1];
      if (!row.ok()) {
        answer = row.status().ToString();
      } else {
        answer =
            fmt::format("{} {} {}", statement->Text(0), statement->Text(1), statement->Text(2));
        matches += statement->Text(0) == "1" ? 1 : 0;
      }
    }
    ASSERT_EQ(answers[0], answers[1])
        << "pattern " << pattern << ", text " << matched << ", escape " << escape;
  }
  EXPECT_GT(matches, 2000);
}

TEST_F(LinearFunctionsTest, LongLoopsEndWhenTheStopSignSaysSo) {
  int looks = 0;
  stop_ = {[](void* asked) { return ++*static_cast<int*>(asked) > 3; }, &looks};
  // Each would take minutes.
  for (const char* expression :
       {"like('%' || substr(x, 1, 49000) || '1', x)", "glob('*' || substr(x, 1, 49000) || '1', x)",
        "like('%a' || substr(replace(x, '0', '_'), 1, 49000) || '1', replace(x, '0', 'a'))",
        "glob(printf('*[%.40000c]1', 'b'), x)"}) {
    looks = 0;
    const std::string made = fmt::format("{} FROM (SELECT hex(zeroblob(3000000)) x)", expression);
    absl::StatusOr<sqlite::Statement> statement = ours_.Prepare("SELECT " + made);
    ASSERT_TRUE(statement.ok()) << statement.status();
    EXPECT_EQ(statement->Step().status().code(), absl::StatusCode::kCancelled) << expression;
  }
  stop_ = {};
  EXPECT_EQ(Answer(ours_, "'abc' LIKE 'a%'"), "integer 1");
}

TEST_F(LinearFunctionsTest, PatternsMayBeAsLongAsSqliteLets) {
  EXPECT_EQ(Answer(ours_, "hex(zeroblob(25000)) LIKE hex(zeroblob(25000))"), "integer 1");
  EXPECT_EQ(Answer(ours_, "'a' LIKE hex(zeroblob(25001))"),
            "INVALID_ARGUMENT: LIKE or GLOB pattern too complex");
}

TEST_F(LinearFunctionsTest, APatchOfManyKeysOnManyIsRefused) {
  EXPECT_EQ(Answer(ours_, "json_patch(hex(zeroblob(10000)), hex(zeroblob(10000)))"),
            "INVALID_ARGUMENT: json_patch: the lengths of the two values are too large together; "
            "their product is at most 2^28");
}

TEST_F(LinearFunctionsTest, ATooLongReplacementIsRefused) {
  sqlite3_limit(ours_.get(), SQLITE_LIMIT_LENGTH, 1000);
  EXPECT_EQ(Answer(ours_, "replace(hex(zeroblob(100)), '0', 'ten letters')"),
            "RESOURCE_EXHAUSTED: string or blob too big");
}

}  // namespace
}  // namespace qasino::query
