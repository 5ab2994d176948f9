#include "adapters/http/url.h"

#include <gtest/gtest.h>

#include <string>

namespace qasino::http {
namespace {

using std::string_view_literals::operator""sv;

std::string Value(std::string_view query, std::string_view name) {
  const absl::StatusOr<Parameters> parameters = Parameters::Parse(query);
  if (!parameters.ok()) return std::string(parameters.status().message());
  return std::string(parameters->Find(name).value_or("(none)"));
}

TEST(UrlTest, SplitsTargets) {
  const auto split = [](std::string_view target) {
    const Target halves = SplitTarget(target);
    return std::string(halves.path) + " " + std::string(halves.query);
  };
  EXPECT_EQ(split("/request?op=query&a=?"), "/request op=query&a=?");
  EXPECT_EQ(split("/request"), "/request ");
  EXPECT_EQ(split("/request#here?x"), "/request ");
  EXPECT_EQ(split("http://host:15597/request?op=query"), "/request op=query");
  EXPECT_EQ(split("http://host:15597"), "/ ");
  EXPECT_EQ(split("http://host?op=query"), "/ op=query");
  EXPECT_EQ(split("/to?url=http://host/x"), "/to url=http://host/x");
  EXPECT_EQ(split("*"), "* ");
  EXPECT_EQ(split("odd?url=http://host/x"), "odd url=http://host/x");
  EXPECT_EQ(split(""), "/ ");
}

TEST(UrlTest, DecodesPercent) {
  EXPECT_EQ(Value("x=/a%20b+c%c3%A9", "x"), "/a b cé");
  for (const std::string_view bad :
       std::initializer_list<std::string_view>{"%00", "%ff", "%c3", "a\0"sv, "\xe9"}) {
    const std::string query = "x=" + std::string(bad);
    EXPECT_EQ(Parameters::Parse(query).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(UrlTest, APercentThatEncodesNothingStandsForItself) {
  for (const std::string_view plain : {"%", "%4", "%4g", "%g4", "%u00e9", "%-1", "% 1"}) {
    EXPECT_EQ(Value("x=" + std::string(plain), "x"), plain);
  }
  EXPECT_EQ(Value("x=a%%20b", "x"), "a% b");
  EXPECT_EQ(Value("sql=SELECT 1 WHERE 'x' LIKE '%x%'", "sql"), "SELECT 1 WHERE 'x' LIKE '%x%'");
}

TEST(UrlTest, ReadsParameters) {
  EXPECT_EQ(Value("op=query&sql=select+%27a%2Bb%27%3b", "sql"), "select 'a+b';");
  EXPECT_EQ(Value("op=query&sql=a=b", "sql"), "a=b");
  EXPECT_EQ(Value("sql=select '\xe2\x82\xac'", "sql"), "select '€'");
  EXPECT_EQ(Value("%6fp=query", "op"), "query");
  EXPECT_EQ(Value("OP=query", "op"), "(none)");
  EXPECT_EQ(Value("", "op"), "(none)");
  EXPECT_EQ(Value("&&;=x&", ""), "x");
}

TEST(UrlTest, TheFirstValueCounts) {
  EXPECT_EQ(Value("op=a&op=b", "op"), "a");
  EXPECT_EQ(Value("op=&op=b", "op"), "");
  EXPECT_EQ(Value("op&op=b", "op"), "b");
}

TEST(UrlTest, ASemicolonSeparates) {
  EXPECT_EQ(Value("sql=select 1;", "sql"), "select 1");
  EXPECT_EQ(Value("sql=select 1;&format=text", "format"), "text");
  EXPECT_EQ(Value("sql=select 1;format=text", "format"), "text");
  EXPECT_EQ(Value("sql=select 1; drop table t", "sql"), "select 1");
  EXPECT_EQ(Value("sql=select 1%3B drop table t", "sql"), "select 1; drop table t");
}

TEST(UrlTest, ErrorsNameTheParameter) {
  EXPECT_EQ(Value("op=query&a%ff=", "op"), "the name of parameter 2 of the URL: not valid UTF-8");
  EXPECT_EQ(Value("op=query&sql=%00", "op"), "parameter 'sql' of the URL: a zero byte is no text");
  EXPECT_EQ(Value(std::string(65, 'n') + "=%00", "op").substr(0, 24), "parameter 1 of the URL: ");
}

TEST(UrlTest, BoundsTheirNumber) {
  std::string query;
  for (size_t i = 0; i < Parameters::kMaxParameters; ++i) query += "a=&";
  EXPECT_TRUE(Parameters::Parse(query + "&&&").ok());
  EXPECT_EQ(Value(query + "b", "a"), "the URL has more than 64 parameters");
}

}  // namespace
}  // namespace qasino::http
