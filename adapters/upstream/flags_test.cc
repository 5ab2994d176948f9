#include "adapters/upstream/flags.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace qasino::adapters {
namespace {

std::optional<int> Parse(std::vector<const char*> arguments, UpstreamOptions& options) {
  server::CommandLine line("qasino-test", "Tests.");
  AddFlags(line, options);
  arguments.insert(arguments.begin(), "qasino-test");
  return line.Parse(static_cast<int>(arguments.size()), arguments.data());
}

TEST(UpstreamFlagsTest, DefaultsAreTheOptions) {
  UpstreamOptions options{.query_timeout = absl::Seconds(7)};
  EXPECT_EQ(Parse({}, options), std::nullopt);
  EXPECT_EQ(options.ingest.target, "127.0.0.1:15601");
  EXPECT_EQ(options.query.target, "127.0.0.1:15602");
  EXPECT_EQ(options.query_timeout, absl::Seconds(7));
  EXPECT_FALSE(options.ingest.tls.enabled);
  EXPECT_FALSE(options.query.tls.enabled);
}

TEST(UpstreamFlagsTest, SetsTheOptions) {
  UpstreamOptions options;
  EXPECT_EQ(Parse({"--ingest=a:1", "--query=b:2", "--query-timeout=2m", "--publish-timeout=3s",
                   "--ingest-tls-ca=ca.pem"},
                  options),
            std::nullopt);
  EXPECT_EQ(options.ingest.target, "a:1");
  EXPECT_EQ(options.query.target, "b:2");
  EXPECT_EQ(options.query_timeout, absl::Minutes(2));
  EXPECT_EQ(options.publish_timeout, absl::Seconds(3));
  EXPECT_EQ(options.ingest.tls.ca_file, "ca.pem");
  EXPECT_TRUE(options.ingest.tls.enabled);
  EXPECT_FALSE(options.query.tls.enabled);
}

TEST(UpstreamFlagsTest, AnAdapterThatOnlyQueriesHasNoFlagsOfIngest) {
  UpstreamOptions options{.publishes = false};
  EXPECT_EQ(Parse({"--query=b:2"}, options), std::nullopt);
  EXPECT_EQ(Parse({"--ingest=a:1"}, options), 1);
  EXPECT_EQ(Parse({"--publish-timeout=1s"}, options), 1);
}

TEST(UpstreamFlagsTest, RefusesTimesOutOfRange) {
  UpstreamOptions options;
  EXPECT_EQ(Parse({"--query-timeout=0"}, options), 1);
  EXPECT_EQ(Parse({"--publish-timeout=never"}, options), 1);
}

}  // namespace
}  // namespace qasino::adapters
