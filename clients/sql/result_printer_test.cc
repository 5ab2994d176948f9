#include "clients/sql/result_printer.h"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace qasino::sql {
namespace {

using client::Cell;

std::string Print(Format format, const std::vector<std::string>& columns,
                  const std::vector<std::vector<Cell>>& rows, bool to_terminal = false) {
  std::ostringstream out;
  const std::unique_ptr<ResultPrinter> printer = MakeResultPrinter(format, to_terminal, &out);
  printer->Begin(columns);
  for (const std::vector<Cell>& row : rows) printer->Row(row);
  printer->End();
  return out.str();
}

TEST(ResultPrinterTest, ATableLooksLikePsqls) {
  EXPECT_EQ(Print(Format::kTable, {"name", "n", "note"},
                  {{"web1", 12, nullptr}, {"日本", -1.5, "x\ny"}, {nullptr, "text", "é"}}),
            " name |  n   | note\n"
            "------+------+------\n"
            " web1 |   12 |\n"
            " 日本 | -1.5 | x\\ny\n"
            "      | text | é\n"
            "(3 rows)\n");
  EXPECT_EQ(Print(Format::kTable, {"a"}, {}), " a\n---\n(0 rows)\n");
  EXPECT_EQ(Print(Format::kTable, {"a"}, {{1}}), " a\n---\n 1\n(1 row)\n");
}

TEST(ResultPrinterTest, ALongTableIsWrittenBeforeItsEnd) {
  std::ostringstream out;
  const std::unique_ptr<ResultPrinter> printer = MakeResultPrinter(Format::kTable, false, &out);
  printer->Begin({"n"});
  for (int i = 0; i < 1000; ++i) printer->Row({Cell(i)});
  EXPECT_NE(out.str().find("999\n"), std::string::npos);
  printer->Row({"wider than what came before"});
  EXPECT_NE(out.str().find(" wider than what came before\n"), std::string::npos);
}

TEST(ResultPrinterTest, CsvIsQuotedWhereItMust) {
  const std::vector<std::vector<Cell>> rows = {
      {1, "a,b"}, {nullptr, ""}, {0.5, "say \"x\"\n"}, {Cell::Blob("\xff"), " y"}};
  EXPECT_EQ(Print(Format::kCsv, {"n", "a b"}, rows),
            "n,a b\n1,\"a,b\"\n,\"\"\n0.5,\"say \"\"x\"\"\n\"\n\\xff,\" y\"\n");
  EXPECT_EQ(Print(Format::kCsv, {"e"}, {{"\x1b[2J"}}), "e\n\x1b[2J\n") << "data stays data";
  EXPECT_EQ(Print(Format::kCsv, {"e"}, {{"\x1b[2J"}}, true), "e\n\\x1b[2J\n");
}

TEST(ResultPrinterTest, JsonIsTyped) {
  EXPECT_EQ(
      Print(Format::kJson, {"a", "b"}, {{1, "x"}, {2.0, nullptr}, {1e300, "q\"\\\n\x1b\u009b€"}}),
      "{\"a\":1,\"b\":\"x\"}\n"
      "{\"a\":2.0,\"b\":null}\n"
      "{\"a\":1e+300,\"b\":\"q\\\"\\\\\\n\\u001b\\u009b€\"}\n");
  EXPECT_EQ(Print(Format::kJson, {"r"}, {{0.1}, {-std::numeric_limits<double>::infinity()}}),
            "{\"r\":0.1}\n{\"r\":-9.0e+999}\n");
  EXPECT_EQ(Print(Format::kJson, {"a", "a", "a:1", "a"}, {{1, 2, 3, 4}}),
            "{\"a\":1,\"a:2\":2,\"a:1\":3,\"a:3\":4}\n");
  EXPECT_EQ(Print(Format::kJson, {"b"}, {{Cell::Blob("\x01")}}), "{\"b\":\"\\\\x01\"}\n");
}

}  // namespace
}  // namespace qasino::sql
