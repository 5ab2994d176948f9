#include "clients/tables/shown.h"

#include <gtest/gtest.h>

#include <string>

namespace qasino::publish {
namespace {

TEST(ShownTest, AnExcerptIsCutBetweenCharacters) {
  EXPECT_EQ(Excerpt("é€x", 6), "é€x");
  EXPECT_EQ(Excerpt("é€x", 5), "é€…");
  EXPECT_EQ(Excerpt("é€x", 4), "é…");
  EXPECT_EQ(Excerpt("", 0), "");
}

TEST(ShownTest, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(Excerpt("caf\xe9 \xe2\x82", 20), "caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
}

TEST(ShownTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(Shown("a\nb"), R"('a\nb')");
  EXPECT_LT(Shown(std::string(1000, '\x1b')).size(), 300u);
}

}  // namespace
}  // namespace qasino::publish
