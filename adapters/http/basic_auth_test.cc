#include "adapters/http/basic_auth.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace qasino::http {
namespace {

std::string Parsed(std::string_view header) {
  const absl::StatusOr<Credentials> credentials = ParseBasicAuth(header);
  if (!credentials.ok()) return absl::StatusCodeToString(credentials.status().code());
  return credentials->user + "|" + credentials->password;
}

std::string Encoded(const std::string& text) { return "Basic " + absl::Base64Escape(text); }

TEST(BasicAuthTest, ReadsUserAndPassword) {
  // The example of RFC 7617.
  EXPECT_EQ(Parsed("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame");
  EXPECT_EQ(Parsed(" bASIC \t QWxhZGRpbjpvcGVuIHNlc2FtZQ== "), "Aladdin|open sesame");
  EXPECT_EQ(Parsed(Encoded("u:a:b")), "u|a:b");
  EXPECT_EQ(Parsed(Encoded("u:")), "u|");
  EXPECT_EQ(Parsed(Encoded(":p")), "|p");
  EXPECT_EQ(Parsed(Encoded("ü:\xe9")), "ü|\xe9");
  // Every length of padding, and the two letters beyond the digits.
  EXPECT_EQ(Parsed(Encoded("u:p1")), "u|p1");
  EXPECT_EQ(Parsed(Encoded("u:p12")), "u|p12");
  EXPECT_EQ(Parsed(Encoded("u:\xfb\xff\xfe")), "u|\xfb\xff\xfe");
}

TEST(BasicAuthTest, AsksWhoSaysNothing) {
  for (const char* header :
       {"", " ", "Bearer abc", "Digest username=\"u\"", "Basicx dTpw", "dTpw"}) {
    EXPECT_EQ(Parsed(header), "UNAUTHENTICATED") << header;
  }
}

TEST(BasicAuthTest, RefusesWhatIsMalformed) {
  for (const char* header :
       {"Basic", "Basic ", "Basic dTpwMQ", "Basic dTpwMQ=", "Basic dTpwMQ===", "Basic dTpwMQ==x",
        "Basic dTp wMQ==", "Basic dTpwMQ..", "Basic dTpwMQ==, Basic dTpw", "Basic dT-w",
        "Basic ====", "Basic =", "Basic d===", "Basic \"dTpw\"", "Basic dTp\xe9"}) {
    EXPECT_EQ(Parsed(header), "INVALID_ARGUMENT") << header;
  }
  EXPECT_EQ(Parsed(Encoded("user")), "INVALID_ARGUMENT");
  EXPECT_EQ(Parsed(Encoded(std::string("u:p\0x", 5))), "INVALID_ARGUMENT");
  EXPECT_EQ(Parsed(Encoded("u\n:p")), "INVALID_ARGUMENT");
  EXPECT_EQ(Parsed(Encoded("u:" + std::string(5000, 'p'))), "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace qasino::http
