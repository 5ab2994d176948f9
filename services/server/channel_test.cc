#include "services/server/channel.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"

namespace qasino::server {
namespace {

using ::testing::HasSubstr;

std::string Refusal(const ChannelOptions& options) {
  const auto channel = MakeChannel(options);
  EXPECT_EQ(channel.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(channel.status().message());
}

TEST(ChannelTest, TargetsAreHostAndPort) {
  for (const std::string target : {"127.0.0.1:15603", "store:1", "[::1]:65535", "a.b-c.d:80"}) {
    EXPECT_TRUE(MakeChannel({.target = target}).ok()) << target;
  }
  for (const std::string target : {"", "store", "store:", ":15603", "store:0", "store:65536",
                                   "::1:15603", "http://store:80", "a b:80", "store:15603x"}) {
    EXPECT_EQ(Refusal({.target = target}),
              "'" + target + "' is not host:port (such as 127.0.0.1:15603)");
  }
}

TEST(ChannelTest, FilesOfTlsAreNamedWhenTheyAreWrong) {
  EXPECT_EQ(Refusal({.target = "store:1", .tls_ca = "/nowhere/ca.pem"}),
            "cannot read '/nowhere/ca.pem': No such file or directory");
  const std::string path = ::testing::TempDir() + "/not.pem";
  std::ofstream(path) << "hello\n";
  EXPECT_EQ(Refusal({.target = "store:1", .tls_ca = path}),
            "'" + path + "' is not a PEM file of certificates or a key");
  std::ofstream(path).close();
  EXPECT_EQ(Refusal({.target = "store:1", .tls_ca = path}),
            "cannot read '" + path + "': it is empty");
  EXPECT_THAT(Refusal({.target = "store:1", .tls_ca = path, .tls_cert = path}),
              HasSubstr("one of them is missing"));
  EXPECT_THAT(Refusal({.target = "store:1", .tls_cert = path, .tls_key = path}),
              HasSubstr("needs the authority"));
}

}  // namespace
}  // namespace qasino::server
