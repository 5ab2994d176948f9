#include "clients/cpp/connect_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>

namespace qasino::client {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<ConnectOptions> Parse(const std::string& line) {
  CLI::App app;
  ConnectFlags flags(&app, 15601, absl::Seconds(30), "QASINO_TEST", "qasino-ingest");
  app.parse(line);
  return flags.options();
}

TEST(ConnectFlagsTest, HasDefaults) {
  const absl::StatusOr<ConnectOptions> options = Parse("");
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->target, "127.0.0.1:15601");
  EXPECT_EQ(options->timeout, absl::Seconds(30));
  EXPECT_FALSE(options->tls.enabled);
}

TEST(ConnectFlagsTest, FlagsBeatTheEnvironmentWhichBeatsTheDefaults) {
  setenv("QASINO_TEST_HOST", "far", 1);
  setenv("QASINO_TEST_PORT", "7", 1);
  EXPECT_EQ(Parse("")->target, "far:7");
  EXPECT_EQ(Parse("-H near -p 8")->target, "near:8");
  unsetenv("QASINO_TEST_HOST");
  unsetenv("QASINO_TEST_PORT");
}

TEST(ConnectFlagsTest, ReadsTimesAndAddresses) {
  EXPECT_EQ(Parse("--timeout 2")->timeout, absl::Seconds(2));
  EXPECT_EQ(Parse("--timeout 1m30s")->timeout, absl::Seconds(90));
  EXPECT_EQ(Parse("-H ::1")->target, "[::1]:15601");
  EXPECT_EQ(Parse("-H [::1]")->target, "[::1]:15601");
}

TEST(ConnectFlagsTest, TlsFilesTurnTlsOn) {
  EXPECT_TRUE(Parse("--tls")->tls.enabled);
  EXPECT_TRUE(Parse("--tls-ca ca.pem")->tls.enabled);
}

TEST(ConnectFlagsTest, NamesTheFlagThatIsWrong) {
  for (const std::string line : {"--port 0", "--port x", "--port 65536", "--port 80x"}) {
    EXPECT_THAT(std::string(Parse(line).status().message()), HasSubstr("--port")) << line;
  }
  for (const std::string time : {"0", "x", "nan", "inf", "-1s", "-5", "1e30"}) {
    EXPECT_THAT(std::string(Parse("--timeout=" + time).status().message()), HasSubstr("--timeout"))
        << time;
  }
  EXPECT_FALSE(Parse("--tls-cert x.pem").ok());
}

}  // namespace
}  // namespace qasino::client
