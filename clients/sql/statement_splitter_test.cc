#include "clients/sql/statement_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qasino::sql {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Split(const std::string& text, size_t piece = std::string::npos) {
  StatementSplitter splitter;
  std::vector<std::string> statements;
  for (size_t at = 0; at < text.size(); at += std::min(piece, text.size())) {
    splitter.Append(text.substr(at, piece));
    while (std::optional<std::string> statement = splitter.Next()) {
      statements.push_back(*statement);
    }
  }
  if (std::optional<std::string> rest = splitter.Rest()) statements.push_back(*rest);
  return statements;
}

TEST(StatementSplitterTest, EndsAtSemicolonsOutsideOfQuotesAndComments) {
  const std::string text =
      " select 1; select ';', \"a;b\", [c;d], `e;f`, 'it''s;' -- x;\n /* y; '*/ ;\n;;select 3";
  for (const size_t piece : {std::string::npos, size_t{1}, size_t{2}, size_t{7}}) {
    EXPECT_THAT(
        Split(text, piece),
        ElementsAre("select 1;", "select ';', \"a;b\", [c;d], `e;f`, 'it''s;' -- x;\n /* y; '*/ ;",
                    "select 3"));
  }
}

TEST(StatementSplitterTest, SkipsWhatHasNoContent) {
  EXPECT_THAT(Split(""), IsEmpty());
  EXPECT_THAT(Split(" ;; \n ; -- nothing\n /* at all */ ; "), IsEmpty());
  EXPECT_THAT(Split("-"), ElementsAre("-"));
}

TEST(StatementSplitterTest, KnowsWhetherAStatementHasBegun) {
  StatementSplitter splitter;
  splitter.Append("  -- only a comment\n");
  EXPECT_FALSE(splitter.Next().has_value());
  EXPECT_FALSE(splitter.has_content());
  splitter.Append("select\n");
  EXPECT_FALSE(splitter.Next().has_value());
  EXPECT_TRUE(splitter.has_content());
  splitter.Clear();
  EXPECT_FALSE(splitter.has_content());
  EXPECT_EQ(splitter.size(), 0u);
}

TEST(StatementSplitterTest, ManySemicolonsInAStringTakeNoTime) {
  const std::string text = "select '" + std::string(1 << 20, ';') + "';";
  EXPECT_THAT(Split(text), ElementsAre(text));
}

TEST(StatementSplitterTest, ManyStatements) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "select 1;\n";
  EXPECT_EQ(Split(text, 100).size(), 20000u);
}

}  // namespace
}  // namespace qasino::sql
