#include "clients/cpp/display_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace qasino::client {
namespace {

TEST(DisplayTextTest, CountsColumnsOfTheTerminal) {
  EXPECT_EQ(Displayed("abc").width, 3u);
  EXPECT_EQ(Displayed("é€").width, 2u);
  EXPECT_EQ(Displayed("日本").width, 4u);
  EXPECT_EQ(Displayed("e\u0301").width, 1u) << "a combining accent";
  EXPECT_EQ(Displayed("日本").text, "日本");
}

TEST(DisplayTextTest, CountsColumnsOfTheTextItself) {
  EXPECT_EQ(DisplayWidth(""), 0u);
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("caf\u00e9, \u65e5\u672c"), 10u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
  EXPECT_EQ(DisplayWidth("a\nb"), 3u);
  EXPECT_EQ(DisplayWidth(std::string_view("a\0b", 3)), 3u);
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2u);
}

TEST(DisplayTextTest, KnowsPlainAscii) {
  for (int c = 0; c < 256; ++c) {
    for (size_t at = 0; at < 9; ++at) {
      std::string text(9, 'a');
      text[at] = static_cast<char>(c);
      EXPECT_EQ(IsPlainAscii(text), c >= ' ' && c < 0x7f) << c << " at " << at;
    }
  }
  EXPECT_TRUE(IsPlainAscii(""));
}

TEST(DisplayTextTest, DataCannotDriveTheTerminal) {
  EXPECT_EQ(Displayed("a\nb\tc\r").text, "a\\nb\\tc\\r");
  EXPECT_EQ(Displayed("\x1b[2J").text, "\\x1b[2J");
  EXPECT_EQ(Displayed("\x1b[2J").width, 7u);
  EXPECT_EQ(Displayed(std::string_view("\0", 1)).text, "\\x00");
  EXPECT_EQ(Displayed("\x7f").text, "\\x7f");
  EXPECT_EQ(Displayed("\u009b2J").text, "\\u009b2J") << "an 8-bit control character";
  EXPECT_EQ(Displayed("\u202egpj").text, "\\u202egpj") << "right to left";
  EXPECT_EQ(Displayed("\u2028").text, "\\u2028");
  EXPECT_EQ(Displayed("\U000e0041").text, "\\U000e0041");
  EXPECT_EQ(Displayed("caf\xe9!").text, "caf\\xe9!");
}

TEST(DisplayTextTest, ShowsEveryKindOfCell) {
  EXPECT_EQ(DisplayedCell(Cell()).text, "");
  EXPECT_EQ(DisplayedCell(Cell(-5)).text, "-5");
  EXPECT_EQ(DisplayedCell(Cell(std::numeric_limits<int64_t>::min())).text, "-9223372036854775808");
  EXPECT_EQ(DisplayedCell(Cell(1.0)).text, "1.0");
  EXPECT_EQ(DisplayedCell(Cell(0.1)).text, "0.1");
  EXPECT_EQ(DisplayedCell(Cell(1e300)).text, "1.0e+300");
  EXPECT_EQ(DisplayedCell(Cell::Blob("\x01\xff")).text, "\\x01ff");
  EXPECT_EQ(DisplayedCell(Cell("é")).width, 1u);
}

}  // namespace
}  // namespace qasino::client
