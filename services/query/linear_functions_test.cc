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
  LinearFunctionsTest() { EXPECT_TRUE(UseLinearFunctions(ours_.get()).ok()); }

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
                                 "trim(x'2061', ' ')"}) {
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

TEST_F(LinearFunctionsTest, ATooLongReplacementIsRefused) {
  sqlite3_limit(ours_.get(), SQLITE_LIMIT_LENGTH, 1000);
  EXPECT_EQ(Answer(ours_, "replace(hex(zeroblob(100)), '0', 'ten letters')"),
            "RESOURCE_EXHAUSTED: string or blob too big");
}

}  // namespace
}  // namespace qasino::query
