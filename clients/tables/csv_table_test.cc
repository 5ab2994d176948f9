#include "clients/tables/csv_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

namespace qasino::publish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char kHead[] = "1\nt\na,b,c\nint,text,float\nA,B,C\n";

v1::PublishRequest Parse(const std::string& text) {
  absl::StatusOr<v1::PublishRequest> request = ParseCsvTable(text);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.ok() ? *std::move(request) : v1::PublishRequest();
}

std::string Error(const std::string& text, const TableLimits& limits = {}) {
  const absl::StatusOr<v1::PublishRequest> request = ParseCsvTable(text, limits);
  EXPECT_FALSE(request.ok()) << request->ShortDebugString();
  return std::string(request.status().message());
}

TEST(CsvTableTest, ReadsATable) {
  const v1::PublishRequest request = Parse(std::string(kHead) + "1,x,0.5\n-2, y z ,1e3\n");
  EXPECT_EQ(request.identity(), "");
  const v1::Table& table = request.table();
  EXPECT_EQ(table.name(), "t");
  ASSERT_EQ(table.columns_size(), 3);
  EXPECT_EQ(table.columns(0).name(), "a");
  EXPECT_EQ(table.columns(2).type(), v1::REAL);
  EXPECT_THAT(table.columns(0).integers(), ElementsAre(1, -2));
  EXPECT_THAT(table.columns(1).texts(), ElementsAre("x", " y z ")) << "blanks are kept";
  EXPECT_THAT(table.columns(2).reals(), ElementsAre(0.5, 1000));
}

TEST(CsvTableTest, CrLfAndAMissingLastNewlineAndAByteOrderMarkDoNotMatter) {
  const v1::PublishRequest request = Parse(
      "\xef\xbb\xbf"
      "1\r\nt\r\na,b\r\nint,text\r\n\r\n1,x\r\n2,\"y\"\r\n3,z");
  EXPECT_THAT(request.table().columns(0).integers(), ElementsAre(1, 2, 3));
  EXPECT_THAT(request.table().columns(1).texts(), ElementsAre("x", "y", "z"));
}

TEST(CsvTableTest, QuotesHoldCommasQuotesAndNewlines) {
  const v1::PublishRequest request =
      Parse(std::string(kHead) + "1,\"a, \"\"b\"\"\nnext\",2\n2,5\" disk,\"3\"\n");
  EXPECT_THAT(request.table().columns(1).texts(), ElementsAre("a, \"b\"\nnext", "5\" disk"));
  EXPECT_THAT(request.table().columns(2).reals(), ElementsAre(2, 3));
}

TEST(CsvTableTest, EmptyNumbersAreNullAndEmptyTextIsEmpty) {
  const v1::PublishRequest request = Parse(std::string(kHead) + ",,\n 7 ,\"\", 1 \n");
  EXPECT_EQ(request.table().columns(0).kinds(), std::string("\0\1", 2));
  EXPECT_THAT(request.table().columns(0).integers(), ElementsAre(7));
  EXPECT_THAT(request.table().columns(1).texts(), ElementsAre("", ""));
  EXPECT_EQ(request.table().columns(1).kinds(), "");
  EXPECT_EQ(request.table().columns(2).kinds(), std::string("\0\2", 2));
}

TEST(CsvTableTest, ReadsOptions) {
  v1::PublishRequest request =
      Parse("1,identity=web1,static=no,persist=1,update=true,keycols=a;b,other=x\nt\na\nint\n");
  EXPECT_EQ(request.identity(), "web1");
  EXPECT_FALSE(request.static_());
  EXPECT_TRUE(request.persist());
  EXPECT_TRUE(request.update());
  EXPECT_THAT(request.keycols(), ElementsAre("a", "b"));
  EXPECT_EQ(request.table().columns(0).integers_size(), 0) << "a table without rows";

  request = Parse("1.0,static=1,persist=FALSE,update=0,keycols=a\nt,,\na\nint\n");
  EXPECT_TRUE(request.static_());
  EXPECT_FALSE(request.persist());
  EXPECT_FALSE(request.update());
  EXPECT_EQ(request.keycols_size(), 0) << "keycols go with update";
}

TEST(CsvTableTest, KeycolsHaveALimit) {
  std::string names;
  for (int i = 0; i < 100; ++i) names += "a;";
  const absl::StatusOr<v1::PublishRequest> request =
      ParseCsvTable("1,update=1,keycols=" + names + "\nt\na\nint\n\n", {.max_columns = 99});
  EXPECT_EQ(request.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(request.status().message(), "line 1: 'keycols' has more than 99 names");
}

TEST(CsvTableTest, RealsBeyondTheirRangeAreInfiniteOrZero) {
  const v1::PublishRequest request = Parse("1\nt\na\nfloat\n\n1e999\n-1e999\n1e-999\n");
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  EXPECT_THAT(request.table().columns(0).reals(), ElementsAre(kInfinite, -kInfinite, 0));
}

TEST(CsvTableTest, KnowsEveryTypeInAnyCase) {
  const v1::PublishRequest request = Parse("1\nt\na,b,c,d\n Varchar ,LL,Double,blob\n\n,5,,\xff\n");
  EXPECT_EQ(request.table().columns(0).type(), v1::TEXT);
  EXPECT_EQ(request.table().columns(1).type(), v1::INTEGER);
  EXPECT_EQ(request.table().columns(2).type(), v1::REAL);
  EXPECT_THAT(request.table().columns(3).blobs(), ElementsAre("\xff"));
}

TEST(CsvTableTest, ErrorsNameLineAndColumnFromOne) {
  const std::string head = kHead;
  EXPECT_THAT(Error(head + "1,x,2\n1,x,y\n"), HasSubstr("line 7, column 3: 'y' is not a number"));
  EXPECT_THAT(Error(head + "one,x,2\n"), HasSubstr("line 6, column 1: 'one' is not an integer"));
  EXPECT_THAT(Error(head + "1.5,x,2\n"), HasSubstr("column 1: '1.5' is not an integer"));
  EXPECT_THAT(Error(head + "9223372036854775808,x,2\n"), HasSubstr("does not fit into 64 bits"));
  EXPECT_THAT(Error(head + "+-1,x,2\n"), HasSubstr("is not an integer"));
  EXPECT_THAT(Error(head + "1,x\n"), HasSubstr("line 6: 2 cells for 3 columns"));
  EXPECT_THAT(Error(head + "1,x,2,3\n"), HasSubstr("line 6: 4 cells for 3 columns"));
  EXPECT_THAT(Error(head + "1,x,2\n\n1,x,2\n"), HasSubstr("line 7: a blank line"));
  EXPECT_THAT(Error(head + "1,\"two\nlines\",2\n1,x,y\n"), HasSubstr("line 8, column 3"));
  EXPECT_THAT(Error(head + "1,caf\xe9,2\n"), HasSubstr("line 6, column 2: the text is not UTF-8"));
  EXPECT_THAT(Error(head + "1,\"x,2\n1,x,2\n"), HasSubstr("line 6: a quote is not closed"));
}

TEST(CsvTableTest, ErrorsOfTheHead) {
  EXPECT_THAT(Error(""), HasSubstr("line 1: the file ends before its options"));
  EXPECT_THAT(Error("1\n"), HasSubstr("line 2: the file ends before its table's name"));
  EXPECT_THAT(Error("1\nt\n"), HasSubstr("line 3: the file ends before its column names"));
  EXPECT_THAT(Error("1\nt\na\n"), HasSubstr("line 4: the file ends before its column types"));
  EXPECT_THAT(Error("\nt\na\nint\n"), HasSubstr("line 1, column 1: '' is not a version number"));
  EXPECT_THAT(Error("host,x\n1,2\n"), HasSubstr("'host' is not a version number"));
  EXPECT_THAT(Error("1\n\na\nint\n"), HasSubstr("line 2, column 1: the table's name is missing"));
  EXPECT_THAT(Error("1\nt,u\na\nint\n"), HasSubstr("line 2, column 2: 'u' stands behind"));
  EXPECT_THAT(Error("1\nt\na,,c\nint,int,int\n"), HasSubstr("line 3, column 2"));
  EXPECT_THAT(Error("1\nt\na,b\nint\n"), HasSubstr("line 4: 1 types for 2 columns"));
  EXPECT_THAT(Error("1\nt\na,b\nint,date\n"),
              HasSubstr("line 4, column 2: 'date' is not a column type"));
}

TEST(CsvTableTest, HasLimits) {
  EXPECT_THAT(Error("1\nt\na,b,c\n", {.max_columns = 2}), HasSubstr("line 3: more than 2 cells"));
  EXPECT_THAT(Error(std::string(kHead) + "1,x,2\n1,x,2\n", {.max_cells = 5}),
              HasSubstr("line 7: the table has more than 5 cells"));
  EXPECT_THAT(Error(std::string(100, 'x'), {.max_bytes = 99}), HasSubstr("longer than 99 bytes"));
  EXPECT_THAT(Error(std::string(10 << 20, ',')), HasSubstr("more than 2000 cells"));
  EXPECT_LT(Error(std::string(kHead) + std::string(100000, '\x1b') + ",x,2\n").size(), 500u)
      << "messages stay short";
}

TEST(CsvTableTest, AnyBytesGiveATableOrAnError) {
  std::mt19937 random(1);
  const std::string alphabet = std::string("1,,\"\"\n\n\r ax=;.\xc3\xa9\xff") + '\0';
  for (int i = 0; i < 20000; ++i) {
    std::string text = i % 2 == 0 ? kHead : "";
    for (int n = static_cast<int>(random() % 60); n > 0; --n) {
      text += alphabet[random() % alphabet.size()];
    }
    (void)ParseCsvTable(text);
  }
}

}  // namespace
}  // namespace qasino::publish
