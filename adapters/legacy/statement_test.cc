#include "adapters/legacy/statement.h"

#include <gtest/gtest.h>

namespace qasino::legacy {
namespace {

using std::string_view_literals::operator""sv;

TEST(StatementTest, IsCompleteAsSqliteSays) {
  EXPECT_TRUE(IsComplete("select 1;"));
  EXPECT_TRUE(IsComplete("select 1; -- done"));
  EXPECT_TRUE(IsComplete(";"));
  EXPECT_FALSE(IsComplete(""));
  EXPECT_FALSE(IsComplete("select 1"));
  EXPECT_FALSE(IsComplete("select ';"));
  EXPECT_FALSE(IsComplete("select 1 /* ;"));
  EXPECT_FALSE(IsComplete("select 1;\0"sv));
  EXPECT_FALSE(IsComplete("select 1\0;"sv));
}

TEST(StatementTest, DoesNotReadBehindTheView) {
  const std::string text = "select 1;select";
  EXPECT_TRUE(IsComplete(std::string_view(text).substr(0, 9)));
  EXPECT_FALSE(IsComplete(std::string_view(text).substr(0, 8)));
}

TEST(StatementTest, CompletesAStatement) {
  EXPECT_EQ(Completed("select 1"), "select 1;");
  EXPECT_EQ(Completed("select 1;"), "select 1;");
  EXPECT_EQ(Completed("select 1; \n"), "select 1; \n");
  EXPECT_EQ(Completed("select 1 -- one"), "select 1 -- one\n;");
  EXPECT_EQ(Completed("select ';'"), "select ';';");
}

TEST(StatementTest, LeavesWhatStaysIncomplete) {
  EXPECT_EQ(Completed("select 'a"), std::nullopt);
  EXPECT_EQ(Completed("select \"a"), std::nullopt);
  EXPECT_EQ(Completed("select [a"), std::nullopt);
  EXPECT_EQ(Completed("select 1 /* open"), std::nullopt);
  EXPECT_EQ(Completed(""), std::nullopt);
  EXPECT_EQ(Completed(" \t\r\n"), std::nullopt);
  EXPECT_EQ(Completed("select 1\0"sv), std::nullopt);
}

TEST(StatementTest, KnowsGoodbye) {
  EXPECT_TRUE(IsGoodbye("quit;"));
  EXPECT_TRUE(IsGoodbye("EXIT;"));
  EXPECT_TRUE(IsGoodbye(" Logout ;\r\n"));
  EXPECT_FALSE(IsGoodbye("quit"));
  EXPECT_FALSE(IsGoodbye("quit;;"));
  EXPECT_FALSE(IsGoodbye("select 'quit;"));
  EXPECT_FALSE(IsGoodbye(""));
  EXPECT_FALSE(IsGoodbye(";"));
}

}  // namespace
}  // namespace qasino::legacy
