#include "services/names/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace qasino::names {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Names, Names) {
  EXPECT_TRUE(IsName("a"));
  EXPECT_TRUE(IsName("A_9z"));
  EXPECT_TRUE(IsName("sqlite_x"));
  EXPECT_TRUE(IsName(std::string(128, 'x')));
  EXPECT_FALSE(IsName(std::string(129, 'x')));
  for (const std::string name : {"", "_a", "9a", "a b", "a.", "\xc3\xaf"}) {
    EXPECT_FALSE(IsName(name)) << name;
  }
}

TEST(Names, TableNames) {
  EXPECT_EQ(ValidateTableName("A_9z"), absl::OkStatus());
  EXPECT_EQ(ValidateTableName("select"), absl::OkStatus());
  EXPECT_EQ(ValidateTableName(std::string(128, 'x')), absl::OkStatus());
  EXPECT_EQ(ValidateTableName("sqlit_e"), absl::OkStatus());
  EXPECT_EQ(ValidateTableName("qasino_servers"), absl::OkStatus());
  for (const std::string name : {"", "_a", "9a", "a b", "a-b", "a\"b", "na\xc3\xafve", "a."}) {
    EXPECT_THAT(std::string(ValidateTableName(name).message()), StartsWith("table '")) << name;
    EXPECT_THAT(std::string(ValidateTableName(name).message()), HasSubstr("is not a name"));
    EXPECT_EQ(ValidateTableName(name).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(ValidateTableName(std::string(129, 'x')).ok());
  EXPECT_FALSE(ValidateTableName(std::string("a\0b", 3)).ok());
  EXPECT_EQ(ValidateTableName("SQLite_x").message(),
            "table 'SQLite_x': names that begin with 'sqlite_' are reserved");
  EXPECT_EQ(ValidateTableName("Qasino_Server_info").message(),
            "table 'Qasino_Server_info': names that begin with 'qasino_server_' are reserved");
  EXPECT_FALSE(ValidateTableName("sqlite_").ok());
}

TEST(Names, Identities) {
  EXPECT_EQ(ValidateIdentity("host-1.example (rack 3) \xe2\x82\xac \xf0\x9f\x8e\xb0"),
            absl::OkStatus());
  EXPECT_EQ(ValidateIdentity(std::string(256, 'x')), absl::OkStatus());
  EXPECT_THAT(std::string(ValidateIdentity(std::string(257, 'x')).message()),
              HasSubstr("has 257 bytes, over the limit of 256"));
  for (const std::string& control : {std::string("a\nb"), std::string("a\0b", 3),
                                     std::string("\x7f"), std::string("\xc2\x85")}) {
    EXPECT_THAT(std::string(ValidateIdentity(control).message()),
                HasSubstr("has a control character"));
  }
  for (const std::string broken :
       {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xe0\x80\x80", "\xf5\x80\x80\x80",
        "\xf4\x90\x80\x80", "\x80", "\xf0\x80\x80\x80"}) {
    EXPECT_THAT(std::string(ValidateIdentity(broken).message()), HasSubstr("is not valid UTF-8"));
  }
  EXPECT_EQ(ValidateIdentity("\xff").message(), "the identity '\\xff' is not valid UTF-8");
}

TEST(Names, MessagesStayShortAndPrintable) {
  EXPECT_EQ(Quoted("a'b\n\x01"), "'a\\'b\\n\\x01'");
  EXPECT_EQ(Quoted("\xff\xe2\x82\xac"), "'\\xff\xe2\x82\xac'");
  EXPECT_EQ(Quoted(std::string(5000, 'x')).size(), 128 + 2 + std::string("…").size());
  // Never cut inside a character.
  EXPECT_EQ(Quoted(std::string(127, 'x') + "\xe2\x82\xac" + "y"),
            "'" + std::string(127, 'x') + "\xe2\x82\xac" + "…'");
  EXPECT_EQ(Quoted(""), "''");
}

}  // namespace
}  // namespace qasino::names
