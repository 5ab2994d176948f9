#include "adapters/line/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace qasino::line {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kMost = 100;

// What a client sees happen, in short.
std::string Show(const LineEvent& event) {
  switch (event.kind) {
    case LineEvent::Kind::kStatement:
      return event.statement;
    case LineEvent::Kind::kNotUtf8:
      return "(not UTF-8)";
    case LineEvent::Kind::kTooLong:
      return "(too long)";
    case LineEvent::Kind::kGoodbye:
      return "(goodbye)";
    case LineEvent::Kind::kTimingMark:
      return "(timing mark)";
  }
  return "(?)";
}

void Feed(LineReader& reader, std::string_view piece, std::vector<std::string>* events) {
  while (const std::optional<LineEvent> event = reader.Next(&piece)) {
    events->push_back(Show(*event));
  }
  EXPECT_TRUE(piece.empty());
}

// Reads the input whole, in two pieces wherever they are cut, and byte by byte; all must
// give the same.
std::vector<std::string> Read(std::string_view input) {
  std::vector<std::string> whole;
  LineReader reader(kMost);
  Feed(reader, input, &whole);
  for (size_t cut = 0; cut < input.size(); ++cut) {
    std::vector<std::string> cut_in_two;
    LineReader other(kMost);
    Feed(other, input.substr(0, cut), &cut_in_two);
    Feed(other, input.substr(cut), &cut_in_two);
    EXPECT_EQ(cut_in_two, whole) << "cut at " << cut;
  }
  std::vector<std::string> by_byte;
  LineReader other(kMost);
  for (const char byte : input) Feed(other, std::string_view(&byte, 1), &by_byte);
  EXPECT_EQ(by_byte, whole);
  return whole;
}

TEST(LineReaderTest, LinesEndInAnyWay) {
  EXPECT_THAT(Read("select 1;\r\nselect 2;\nselect 3;\rselect 4;\r\0select 5;\r\n"s),
              ElementsAre("select 1;", "select 2;", "select 3;", "select 4;", "select 5;"));
}

TEST(LineReaderTest, LinesAreJoinedUntilTheyAreAStatement) {
  EXPECT_THAT(Read("select\r\n1,\r2,\r\0 3\n;\r\n"s), ElementsAre("select\n1,\n2,\n 3\n;"));
  EXPECT_THAT(Read("create trigger t begin select 1;\n end\n; select 2;"),
              ElementsAre("create trigger t begin select 1;\n end\n;", "select 2;"));
}

TEST(LineReaderTest, AStatementNeedsNoLineEndBehindIt) {
  EXPECT_THAT(Read("select 1;"), ElementsAre("select 1;"));
  EXPECT_THAT(Read("select 1"), IsEmpty());
}

TEST(LineReaderTest, SeveralStatementsOnALineAreSeveral) {
  EXPECT_THAT(Read("select 1; select 2;select\n3;  \n"),
              ElementsAre("select 1;", "select 2;", "select\n3;"));
}

TEST(LineReaderTest, NoStatementEndsInQuotesAndComments) {
  EXPECT_THAT(Read("select ';' || \";\" || [;] || `;`;\n"),
              ElementsAre("select ';' || \";\" || [;] || `;`;"));
  EXPECT_THAT(Read("select 'it''s;\r\n\r\nfine';\n"), ElementsAre("select 'it''s;\n\nfine';"));
  EXPECT_THAT(Read("select 1 -- ; not yet\r\n + 1 /* ; nor\r\n now; */ ;\n"),
              ElementsAre("select 1 -- ; not yet\n + 1 /* ; nor\n now; */ ;"));
}

TEST(LineReaderTest, BlankLinesAndCommentsBeforeAStatementAreIgnored) {
  EXPECT_THAT(Read("\r\n \t\r\n\n-- a; comment\r\n/* another; */ select 1;\r\n\r\n"),
              ElementsAre("select 1;"));
}

TEST(LineReaderTest, ASemicolonAloneIsAnswered) {
  EXPECT_THAT(Read(";\r\n"), ElementsAre(";"));
  EXPECT_THAT(Read("-- nothing\r\n  ;\r\n"), ElementsAre(";"));
  // But not behind a statement of the same line.
  EXPECT_THAT(Read("select 1;; ;\r\n;\r\n"), ElementsAre("select 1;", ";"));
}

TEST(LineReaderTest, SaysGoodbye) {
  EXPECT_THAT(Read("\x03\r\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("\x04\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read(" \t\x04 \x03 \r\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("\x04"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("select 1; \x04"), ElementsAre("select 1;", "(goodbye)"));
  EXPECT_THAT(Read("select '\r\n\x03\r\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("quit;\r\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read(" EXIT ;\r\n"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("select 1; Logout;"), ElementsAre("select 1;", "(goodbye)"));
  EXPECT_THAT(Read("quit\r\n;\r\n"), ElementsAre("(goodbye)"));
}

TEST(LineReaderTest, NothingHappensAfterGoodbye) {
  EXPECT_THAT(Read("quit; select 1;\r\nselect 2;\r\n\x03\r\n"), ElementsAre("(goodbye)"));
  std::vector<std::string> events;
  LineReader reader(kMost);
  Feed(reader, "select 'a\n\x04select '" + std::string(10 * kMost, 'a'), &events);
  EXPECT_EQ(reader.held(), 0u);
}

TEST(LineReaderTest, ControlCharactersWithinALineAreBytesOfIt) {
  EXPECT_THAT(Read("select \x03;\r\nselect 1\x04;\r\n"),
              ElementsAre("select \x03;", "select 1\x04;"));
}

TEST(LineReaderTest, ZeroBytesArePassedOver) {
  EXPECT_THAT(Read("sel\0ect\0 1;\0\r\n"s), ElementsAre("select 1;"));
}

TEST(LineReaderTest, WhatIsNoUtf8IsAnErrorOfItsStatementAlone) {
  EXPECT_THAT(Read("select '\xe9'; select '\xc3\xa9';\r\nselect '\xc3';\r\nselect '\xa9';\r\n"),
              ElementsAre("(not UTF-8)", "select '\xc3\xa9';", "(not UTF-8)", "(not UTF-8)"));
  // Overlong, a surrogate, beyond the last character.
  EXPECT_THAT(Read("'\xc0\xaf'; '\xed\xa0\x80'; '\xf4\x90\x80\x80';"),
              ElementsAre("(not UTF-8)", "(not UTF-8)", "(not UTF-8)"));
  EXPECT_THAT(Read("\xef\xbb\xbfselect 1;"), ElementsAre("\xef\xbb\xbfselect 1;"));
}

TEST(LineReaderTest, TelnetNegotiationIsPassedOver) {
  EXPECT_THAT(Read("\xff\xfb\x01\xff\xfc\x02sel\xff\xfd\x03"
                   "ect\xff\xfe\x04 1;\r\n"),
              ElementsAre("select 1;"));
  // Its option may be any byte, also one that means something elsewhere.
  EXPECT_THAT(Read("select\xff\xfb\xff 1\xff\xfb;;\xff\xfb\r"), ElementsAre("select 1;"));
  EXPECT_THAT(Read("sel\xff\xfa\x18;\r\n\x03\xff\xff\xf0\xff\xf0"
                   "ect 1;\r\n"),
              ElementsAre("select 1;"));
  // No operation, data mark, go ahead, are you there.
  EXPECT_THAT(Read("sel\xff\xf1\xff\xf2\xff\xf9\xff\xf6"
                   "ect 1;"),
              ElementsAre("select 1;"));
  // A subnegotiation that another command cuts off.
  EXPECT_THAT(Read("sel\xff\xfa\x18;\xff\xf1"
                   "ect 1;"),
              ElementsAre("select 1;"));
  EXPECT_THAT(Read("\xff\xfa;select 1;\r\n"), IsEmpty());
}

TEST(LineReaderTest, ADoubledIacIsAByte) {
  EXPECT_THAT(Read("select '\xff\xff';\r\nselect 1;"), ElementsAre("(not UTF-8)", "select 1;"));
}

TEST(LineReaderTest, AnIacBeforeNoCommandIsAByteToo) {
  EXPECT_THAT(Read("select '\xff';\r\nselect 1;"), ElementsAre("(not UTF-8)", "select 1;"));
  EXPECT_THAT(Read("\xff\r\n;select 1;"), ElementsAre("(not UTF-8)", "select 1;"));
}

TEST(LineReaderTest, TelnetsOwnWordsForCtrlCAndCtrlD) {
  // As telnet sends Ctrl-C.
  EXPECT_THAT(Read("\xff\xf4\xff\xfd\x06"), ElementsAre("(goodbye)", "(timing mark)"));
  EXPECT_THAT(Read("select 1;\r\nselect\r\n\xff\xf4"), ElementsAre("select 1;", "(goodbye)"));
  EXPECT_THAT(Read("\xff\xee"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("\xff\xec"), ElementsAre("(goodbye)"));
  EXPECT_THAT(Read("select 1 \xff\xf4;"), ElementsAre("select 1 \x03;"));
}

TEST(LineReaderTest, ATimingMarkIsToBeAnswered) {
  EXPECT_THAT(Read("select\xff\xfd\x06 1;\xff\xfe\x06\xff\xfb\x06"),
              ElementsAre("(timing mark)", "select 1;"));
}

std::string OfSize(size_t size) { return "select '" + std::string(size - 10, 'a') + "';"; }

TEST(LineReaderTest, AStatementMayBeAsLongAsTheLimit) {
  EXPECT_THAT(Read(OfSize(kMost) + "\r\n" + OfSize(kMost)),
              ElementsAre(OfSize(kMost), OfSize(kMost)));
  EXPECT_THAT(Read(std::string(2 * kMost, ' ') + "select 1;"), ElementsAre("select 1;"));
}

TEST(LineReaderTest, BeyondItTheRestOfItsLineIsPassedOver) {
  for (const size_t more : {1, 2, 3, 50, 1000}) {
    EXPECT_THAT(Read(OfSize(kMost + more) + " select 1;\r\nselect 2;\r\n"),
                ElementsAre("(too long)", "select 2;"))
        << more;
  }
  EXPECT_THAT(Read("select\n" + OfSize(kMost) + "\nselect 2;\r\n"),
              ElementsAre("(too long)", "select 2;"));
  EXPECT_THAT(Read("/*" + std::string(kMost, ' ') + "\nselect 2;\r\n"),
              ElementsAre("(too long)", "select 2;"));
  // What is passed over is not looked at, but for what telnet wants.
  EXPECT_THAT(Read(OfSize(kMost + 1) + "\xff\xfd\x06\xff\xfb\n\xff\xf4 quit;\rselect 2;\n"),
              ElementsAre("(too long)", "(timing mark)", "select 2;"));
  EXPECT_THAT(Read(OfSize(kMost + 1) + "\n\x04"), ElementsAre("(too long)", "(goodbye)"));
}

TEST(LineReaderTest, TheLineEndThatIsTooMuchEndsTheLine) {
  const std::string lines = "select " + std::string(kMost - 7, '1') + "\r\n";
  EXPECT_THAT(Read(lines + "select 2;\r\n"), ElementsAre("(too long)", "select 2;"));
}

TEST(LineReaderTest, NoInputTakesMoreMemoryThanTwiceTheLimit) {
  for (const std::string_view begin : {"", "select '", "/*", "--", "\xff\xfa"}) {
    LineReader reader(1'000);
    std::vector<std::string> events;
    Feed(reader, begin, &events);
    const std::string piece(50'000, 'a');
    for (int i = 0; i < 200; ++i) {
      Feed(reader, piece, &events);
      EXPECT_LE(reader.held(), 2'000u);
    }
    EXPECT_LE(events.size(), 1u);
    Feed(reader, "\xff\xf0\r\nselect 1;", &events);
    EXPECT_EQ(events.back(), "select 1;");
    EXPECT_EQ(reader.held(), 0u);
  }
}

TEST(LineReaderTest, HoldsNothingBetweenStatements) {
  LineReader reader(1'000);
  std::vector<std::string> events;
  Feed(reader, "select '" + std::string(500, 'a'), &events);
  EXPECT_GE(reader.held(), 500u);
  Feed(reader, "';\r\n", &events);
  EXPECT_EQ(reader.held(), 0u);
  Feed(reader, "/* " + std::string(500, 'a'), &events);
  EXPECT_GE(reader.held(), 500u);
  Feed(reader, " */  ", &events);
  EXPECT_EQ(reader.held(), 0u);
}

}  // namespace
}  // namespace qasino::line
