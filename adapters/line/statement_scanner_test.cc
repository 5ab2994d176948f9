#include "adapters/line/statement_scanner.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <string>
#include <string_view>

namespace qasino::line {
namespace {

// The length of the shortest beginning of `text` that is complete; npos when none is.
size_t Find(std::string_view text) {
  StatementScanner scanner;
  for (size_t i = 0; i < text.size(); ++i) {
    if (scanner.Take(text[i])) return i + 1;
  }
  return std::string_view::npos;
}

size_t FindBySqlite(std::string_view text) {
  for (size_t size = 1; size <= text.size(); ++size) {
    if (text[size - 1] == ';' && sqlite3_complete(std::string(text.substr(0, size)).c_str())) {
      return size;
    }
  }
  return std::string_view::npos;
}

TEST(StatementScannerTest, EndsWhereSqliteSaysThatAStatementIsComplete) {
  for (const std::string_view text : {
           "select 1;",
           " ;",
           "select 1",
           "select ';', \";\", `;`, [;];",
           "select 'it''s; fine';",
           "select '",
           "select [';];",
           "select 1 -- ;\n;",
           "select 1 -- ;",
           "select 1 /* ; */;",
           "select 1 /*/ ; */;",
           "select 1 /**/;",
           "select 1 /***/;",
           "select 1 /* ; * /;",
           "select 1 - - 2;",
           "select 4 / 2;",
           "select 4 /;",
           "select 4 -;",
           "select '--'; -- ;",
           "select \xc3\xa9;",
           "select 1\v;",
           "create table t(x);",
           "create trigger t after insert on u begin select 1; end;",
           "create trigger t after insert on u begin select 1; select 2; end; select 3;",
           "create trigger t after insert on u begin select 1; end ; end;",
           "create trigger t begin select 1;",
           "create trigger t begin select 1; 'end';",
           "create trigger t begin select 1; /* end */;",
           "create trigger t begin select 1; ;; end;",
           "create trigger t begin select 1; end x; end;",
           "create trigger t begin select 1; ended; end;",
           "CREATE TEMP TRIGGER t BEGIN SELECT 1; END;",
           "Create Temporary Trigger t begin select 1; end;",
           "create temporaryx trigger t begin select 1; end;",
           "create x trigger t begin select 1; end;",
           "create temp;",
           "create ;",
           "create",
           "creates trigger t begin select 1; end;",
           "trigger;",
           "temp;",
           "end;",
           "explain create trigger t begin select 1; end;",
           "explain query plan create trigger t begin select 1; end;",
           "explain explain create trigger t begin select 1; end;",
           "explain;",
           "explain select 1;",
           "explain end create trigger t begin select 1; end;",
           "select create trigger t begin select 1; end;",
           "/* a */ create trigger t begin select 1; end;",
           "create/**/trigger t begin select 1; end;",
           "create-trigger t begin select 1; end;",
       }) {
    EXPECT_EQ(Find(text), FindBySqlite(text)) << text;
  }
}

// Every text of four of these words.
TEST(StatementScannerTest, AgreesWithSqliteOnAllShortTexts) {
  constexpr std::string_view kWords[] = {";",    " ",   "\n",      "x", "create", "trigger",
                                         "temp", "end", "explain", "'", "[",      "]",
                                         "/*",   "*/",  "--",      "/", "-",      "*"};
  for (const std::string_view a : kWords) {
    for (const std::string_view b : kWords) {
      for (const std::string_view c : kWords) {
        for (const std::string_view d : kWords) {
          for (const std::string_view end : {"; end ;", ";"}) {
            for (const std::string_view between : {"", " "}) {
              std::string text;
              for (const std::string_view word : {a, b, c, d, end}) {
                text += word;
                text += between;
              }
              ASSERT_EQ(Find(text), FindBySqlite(text)) << text;
            }
          }
        }
      }
    }
  }
}

TEST(StatementScannerTest, IsAtTheStartUntilThereIsMoreThanBlanksAndComments) {
  StatementScanner scanner;
  const auto take = [&](std::string_view text) {
    for (const char byte : text) scanner.Take(byte);
    return scanner.at_start();
  };
  EXPECT_TRUE(scanner.at_start());
  EXPECT_TRUE(take(" \t\n"));
  EXPECT_FALSE(take("-"));
  EXPECT_FALSE(take("- comment"));
  EXPECT_TRUE(take("\n"));
  EXPECT_FALSE(take("/*"));
  EXPECT_TRUE(take("*/"));
  EXPECT_FALSE(take("s"));
  EXPECT_FALSE(take("elect 1 "));
  EXPECT_TRUE(take(";"));
}

}  // namespace
}  // namespace qasino::line
