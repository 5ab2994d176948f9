#include "adapters/http/negotiation.h"

#include <gtest/gtest.h>

#include <string>

namespace qasino::http {
namespace {

using legacy::Format;

Format ByAccept(std::string_view accept) { return *ChooseFormat(std::nullopt, accept); }

TEST(NegotiationTest, TheParameterBeatsAccept) {
  EXPECT_EQ(*ChooseFormat("json", "text/csv"), Format::kJson);
  EXPECT_EQ(*ChooseFormat("TEXT", ""), Format::kText);
  EXPECT_EQ(*ChooseFormat("html", ""), Format::kHtml);
  EXPECT_EQ(*ChooseFormat("csv", ""), Format::kCsv);
  EXPECT_EQ(*ChooseFormat("ndjson", ""), Format::kNdjson);
  EXPECT_EQ(*ChooseFormat("", "text/csv"), Format::kCsv);
  EXPECT_EQ(ChooseFormat("cvs", "").status().message(),
            "format 'cvs' is none of json, text, html, csv, ndjson");
}

TEST(NegotiationTest, AcceptChoosesCsvAndNdjsonOnlyByName) {
  for (const char* accept :
       {"", "*/*", "application/json", "text/*", "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/plain", "application/json, text/csv;q=0.9", "application/json, text/csv",
        "text/csv;q=0", "text/csv;q=2", "text/csv;q=x", "text/csv;q=0.5, */*", "text/csv-x",
        "text/csv;q=0.1, application/*;q=0.2", ",;,=", "\"text/csv", "application/xml"}) {
    EXPECT_EQ(ByAccept(accept), Format::kJson) << accept;
  }
  for (const char* accept :
       {"text/csv", "Text/CSV ; header=absent", "text/csv, */*", "text/csv;q=0.5",
        "text/csv;q=0.5, text/html", "text/csv, application/json", ", text/csv",
        "application/json;q=0.4,text/csv;Q=0.50", "*/*, text/csv",
        "*/*, application/json;q=0.1, text/csv;q=0.2", "text/csv;x=\"a,b;q=0\""}) {
    EXPECT_EQ(ByAccept(accept), Format::kCsv) << accept;
  }
  EXPECT_EQ(ByAccept("application/x-ndjson"), Format::kNdjson);
  EXPECT_EQ(ByAccept("application/ndjson;charset=utf-8"), Format::kNdjson);
  EXPECT_EQ(ByAccept("text/csv;q=0.8,application/x-ndjson;q=0.801"), Format::kNdjson);
}

TEST(NegotiationTest, GzipIsTakenWhereItIsNamed) {
  for (const char* header : {"gzip", "GZIP", "x-gzip", "deflate, gzip;q=1.0, *;q=0.5", "*",
                             "gzip;q=0.001", "gzip, identity", "br , gzip ; q=0.5"}) {
    EXPECT_TRUE(AcceptsGzip(header)) << header;
  }
  for (const char* header : {"", "identity", "deflate, br", "gzip;q=0", "gzip;q=0.000", "*;q=0",
                             "gzip;q=0, *", "gzip;q=0.5, identity;q=0.6", "gzipx", "gzip;q=",
                             "gzip;q=-1", "gzip;q=1.001", "gzip;q=0.0001", "gzip;q=1.0.0"}) {
    EXPECT_FALSE(AcceptsGzip(header)) << header;
  }
}

TEST(NegotiationTest, AnEtagIsSeenAgain) {
  const std::string etag = MakeEtag("store", 1795342380, 7, "select 1;", Format::kJson);
  EXPECT_EQ(etag.substr(0, 16), "W/\"1795342380-7-");
  EXPECT_EQ(etag.size(), 16u + 32 + 1);
  for (const std::string& header : {etag, etag.substr(2), " \"x\" , " + etag, etag + ",\"y\"",
                                    "\"a,b\"," + etag, "bad, " + etag}) {
    const std::optional<SeenAnswer> seen = Seen(header, "select 1;", Format::kJson);
    ASSERT_TRUE(seen.has_value()) << header;
    EXPECT_EQ(seen->generation, 1795342380);
    EXPECT_EQ(seen->revision, 7);
    EXPECT_TRUE(seen->IsOf("store"));
    EXPECT_FALSE(seen->IsOf("another"));
    EXPECT_FALSE(seen->IsOf(""));
  }
  EXPECT_FALSE(Seen(etag, "select 2;", Format::kJson));
  EXPECT_FALSE(Seen(etag, "select 1;", Format::kText));
}

TEST(NegotiationTest, OfSeveralEtagsTheNewestCounts) {
  const auto etag = [](int64_t generation, int64_t revision) {
    return MakeEtag("s", generation, revision, "q", Format::kCsv);
  };
  const std::string header = etag(30, 2) + ", " + etag(60, 1) + ", " + etag(60, 3) + ", " +
                             etag(30, 9) + ", " + MakeEtag("s", 90, 1, "other", Format::kCsv);
  const std::optional<SeenAnswer> seen = Seen(header, "q", Format::kCsv);
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->generation, 60);
  EXPECT_EQ(seen->revision, 3);
}

TEST(NegotiationTest, WhatIsNoEtagOfOursIsNotSeen) {
  const std::string good = MakeEtag("s", 30, 1, "q", Format::kJson);
  std::string many;
  for (int i = 0; i < 64; ++i) many += "\"x\",";
  for (const std::string& header :
       {std::string(), std::string("*"), std::string("\"\""), std::string("W/"), std::string("\""),
        good.substr(0, good.size() - 1), "w/" + good.substr(2), "\"" + good, many + good,
        std::string("W/\"99999999999999999999-1-") + std::string(32, '0') + "\"",
        "W/\"-30" + good.substr(5), good.substr(0, good.size() - 2) + "-gzip\"",
        "W/\"30-1-" + std::string(32, 'g') + "\"", "W/\" 30" + good.substr(5)}) {
    EXPECT_FALSE(Seen(header, "q", Format::kJson)) << header;
  }
}

}  // namespace
}  // namespace qasino::http
