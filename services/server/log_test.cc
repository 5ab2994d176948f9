#include "services/server/log.h"

#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace qasino::log {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr char kTime[] =
    "20[0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
    "[.][0-9][0-9][0-9]Z";

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { Configure(Format::kText, Level::kInfo); }

  // What `speak` wrote on standard error.
  static std::string Written(const std::function<void()>& speak) {
    ::testing::internal::CaptureStderr();
    speak();
    return ::testing::internal::GetCapturedStderr();
  }

  // The one line of an Info event, without its time.
  static std::string TextLine(std::string_view event, std::initializer_list<Field> fields) {
    const std::string line = Written([&] { Info("ingest", event, fields); });
    return line.substr(line.find(' ') + 1);
  }
};

TEST_F(LogTest, TextHasTimeLevelPartEventAndFields) {
  const std::string line = Written([] {
    Info("ingest", "shard sealed", {{"generation", 1795}, {"rows", 12}});
  });
  EXPECT_THAT(line, MatchesRegex(std::string(kTime) +
                                 " info ingest: shard sealed generation=1795 rows=12\n"));
}

TEST_F(LogTest, TextQuotesWhatIsNotOneWord) {
  EXPECT_EQ(TextLine("e", {{"a", "two words"}, {"b", ""}, {"c", "x=y"}, {"d", "say \"hi\""}}),
            "info ingest: e a=\"two words\" b=\"\" c=\"x=y\" d=\"say \\\"hi\\\"\"\n");
}

TEST_F(LogTest, EveryKindOfValue) {
  EXPECT_EQ(TextLine("e", {{"i", int64_t{-5}},
                           {"u", uint32_t{7}},
                           {"r", 0.1},
                           {"b", true},
                           {"s", std::string("w")},
                           {"t", absl::Milliseconds(1500)},
                           {"status", absl::NotFoundError("no table 'x'")}}),
            "info ingest: e i=-5 u=7 r=0.1 b=true s=w t=1.5 "
            "status=\"NOT_FOUND: no table 'x'\"\n");
}

TEST_F(LogTest, OneEventIsAlwaysOneLine) {
  EXPECT_EQ(TextLine("a\nb", {{"k\n", "one\ntwo\r\t\x1b[31m\x7f"}}),
            "info ingest: a\\nb k\\n=\"one\\ntwo\\r\\t\\u001b[31m\\u007f\"\n");
  // U+0085 and U+2028 end lines too.
  EXPECT_EQ(TextLine("e", {{"k", "\xC2\x85|\xE2\x80\xA8"}}),
            "info ingest: e k=\"\\u0085|\\u2028\"\n");
}

TEST_F(LogTest, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(TextLine("e", {{"k", "ü \xFF\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80 \xE2\x82"}}),
            "info ingest: e k=\"ü \uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD "
            "\uFFFD\uFFFD\"\n");
}

TEST_F(LogTest, LongValuesAreCut) {
  const std::string line = TextLine("e", {{"k", std::string(10000, 'x')}});
  EXPECT_LT(line.size(), 5000u);
  EXPECT_THAT(line, HasSubstr("(5904 bytes more)"));
}

TEST_F(LogTest, JsonHasTheSameFields) {
  Configure(Format::kJson, Level::kInfo);
  const std::string line = Written([] {
    Warn("store", "disk \"full\"",
         {{"path", "/a\\b\nc"}, {"bytes", 12}, {"share", 0.5}, {"ok", false}});
  });
  EXPECT_THAT(line, MatchesRegex("\\{\"time\":\"" + std::string(kTime) +
                                 "\",\"level\":\"warn\",\"part\":\"store\",\"event\":\"disk "
                                 "\\\\\"full\\\\\"\",\"path\":\"/a\\\\\\\\b\\\\nc\",\"bytes\":12,"
                                 "\"share\":0.5,\"ok\":false\\}\n"));
}

TEST_F(LogTest, JsonHasNoNumberForInfinity) {
  Configure(Format::kJson, Level::kInfo);
  const std::string line = Written([] {
    Info("p", "e",
         {{"a", std::numeric_limits<double>::infinity()},
          {"b", std::numeric_limits<double>::quiet_NaN()}});
  });
  EXPECT_THAT(line, HasSubstr("\"a\":\"Inf\",\"b\":\"NaN\"}\n"));
}

TEST_F(LogTest, LevelsBelowTheConfiguredOneAreSilent) {
  Configure(Format::kText, Level::kWarn);
  EXPECT_EQ(Written([] {
              Debug("p", "d");
              Info("p", "i");
            }),
            "");
  EXPECT_THAT(Written([] { Warn("p", "w"); }), HasSubstr(" warn p: w\n"));
  EXPECT_THAT(Written([] { Error("p", "x"); }), HasSubstr(" error p: x\n"));
  Configure(Format::kText, Level::kDebug);
  EXPECT_THAT(Written([] { Debug("p", "d"); }), HasSubstr(" debug p: d\n"));
}

TEST_F(LogTest, LibrariesSpeakThroughTheLogAndAreHeldBack) {
  Configure(Format::kText, Level::kInfo);
  EXPECT_THAT(Written([] { gpr_log("src/core/x.cc", 7, GPR_LOG_SEVERITY_ERROR, "no %s", "luck"); }),
              HasSubstr(" error grpc: library message message=\"no luck\" source=x.cc:7"));
  EXPECT_THAT(
      Written([] { GOOGLE_LOG(WARNING) << "bad text"; }),
      HasSubstr(" warn protobuf: library message message=\"bad text\" source=log_test.cc:"));
  const std::string flood = Written([] {
    for (int i = 0; i < 1000; ++i) GOOGLE_LOG(ERROR) << "again";
  });
  // However slow the machine, most of them fall into few seconds.
  EXPECT_LT(flood.size(), 50000u);
}

}  // namespace
}  // namespace qasino::log
