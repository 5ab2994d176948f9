#include "adapters/legacy/csv_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace qasino::legacy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char kHead[] = "1\nt\na,b,c\nint,string,float\nA,B,C\n";

std::string Error(const std::string& text, const MessageLimits& limits = {}) {
  const absl::StatusOr<v1::PublishRequest> request = ParseCsvMessage(text, limits);
  EXPECT_FALSE(request.ok()) << request->ShortDebugString();
  return std::string(request.status().message());
}

TEST(CsvMessageTest, ReadsATable) {
  const absl::StatusOr<v1::PublishRequest> request = ParseCsvMessage(
      "1,identity=host1,persist=1,update=true,keycols=a;b,static=no\r\nt\r\na,b,c\r\n"
      " LL , ip,Float\r\n\r\n1,10.0.0.1,0.5\r\n,\"a, \"\"b\"\"\nc\",\r\n");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->identity(), "host1");
  EXPECT_TRUE(request->persist() && request->update());
  EXPECT_FALSE(request->static_());
  EXPECT_THAT(request->keycols(), ElementsAre("a", "b"));
  EXPECT_EQ(request->table().name(), "t");
  EXPECT_EQ(request->table().columns(0).kinds(), std::string("\1\0", 2));
  EXPECT_THAT(request->table().columns(1).texts(), ElementsAre("10.0.0.1", "a, \"b\"\nc"));
  EXPECT_THAT(request->table().columns(2).reals(), ElementsAre(0.5));
}

TEST(CsvMessageTest, KnowsEveryTypeInAnyCase) {
  for (const char* word : {"str", "string", "ip", "varchar", "text", "float", "real", "double",
                           "int", "integer", "ll", "time", "bigint", "blob", "Str", "FLOAT"}) {
    EXPECT_TRUE(ParseCsvMessage(std::string("1\nt\na\n") + word + "\n\n").ok()) << word;
  }
}

TEST(CsvMessageTest, ErrorsAreTheOriginalsWords) {
  const std::string head = kHead;
  EXPECT_EQ(Error("1\nt\na,b\nint, date \nA,B\n"),
            "Unsupported type in type list ''date'' or parse error");
  EXPECT_EQ(Error(head + "1,x,2\n1,\"x\"\n1\n"), "Wrong number of rows on line 7: '1,\"x\"'");
  EXPECT_EQ(Error(head + "1,x\r\n"), "Wrong number of rows on line 6: '1,x'");
  EXPECT_EQ(Error(head + "1,\"x\ny\",2\n\n1,x,2\n"), "Wrong number of rows on line 8: ''");
  EXPECT_EQ(Error(head + "1,x,2,3\n"), "Could not find type for column 4 on line 6!");
  EXPECT_EQ(Error(head + "1,x,2\n x ,x,2\n"),
            "Parse error on line 7: invalid literal for int() with base 10: 'x'");
  EXPECT_EQ(Error(head + "1.5,x,2\n"),
            "Parse error on line 6: invalid literal for int() with base 10: '1.5'");
  EXPECT_EQ(Error(head + "1,x,1.2.3\n"),
            "Parse error on line 6: could not convert string to float: 1.2.3");
}

TEST(CsvMessageTest, OtherErrorsSayWhere) {
  const std::string head = kHead;
  EXPECT_EQ(Error(head + "1,caf\xe9,2\n"),
            "Parse error on line 6, column 2: the text is not UTF-8");
  EXPECT_EQ(Error(head + "9223372036854775808,x,2\n"),
            "Parse error on line 6, column 1: '9223372036854775808' does not fit into 64 bits");
  EXPECT_EQ(Error("1\nt\na,b\nint\n"), "Parse error on line 4: 1 types for 2 columns");
  EXPECT_EQ(Error(""), "Parse error on line 1: the file ends before its options");
  EXPECT_EQ(Error("x\nt\na\nint\n"),
            "Parse error on line 1, column 1: 'x' is not a version number, such as 1");
}

TEST(CsvMessageTest, NamesAreChecked) {
  EXPECT_EQ(Error("1\nt\na,b c\nint,int\n\n"), "Invalid column name 'b c'");
  EXPECT_EQ(Error("1\n1t\na\nint\n\n"), "Invalid table name '1t'");
}

TEST(CsvMessageTest, MessagesAreShortAndUtf8) {
  const std::string head = kHead;
  EXPECT_LT(Error(head + std::string(100000, 'x') + ",x,2\n").size(), 400u);
  EXPECT_LT(Error(head + std::string(100000, 'x') + "\n").size(), 400u);
  EXPECT_EQ(Error(head + "\xff,x,2\n"),
            "Parse error on line 6: invalid literal for int() with base 10: '\xef\xbf\xbd'");
}

TEST(CsvMessageTest, HasLimits) {
  EXPECT_EQ(ParseCsvMessage(kHead, {.max_bytes = 5}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Error(kHead, {.max_columns = 2}), HasSubstr("more than 2 cells"));
  EXPECT_THAT(Error(std::string(kHead) + "1,x,2\n1,x,2\n", {.max_cells = 5}),
              HasSubstr("more than 5 cells"));
}

}  // namespace
}  // namespace qasino::legacy
