#include "clients/cpp/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace qasino::client {
namespace {

TEST(Utf8Test, AcceptsEveryLengthAndZeroBytes) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("plain text that is longer than one word"));
  EXPECT_TRUE(IsUtf8("é € 😀 and back to ASCII after them"));
  EXPECT_TRUE(IsUtf8(std::string_view("a\0b", 3)));
  EXPECT_TRUE(IsUtf8("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"));
}

TEST(Utf8Test, RefusesWhatIsNotACharacter) {
  for (const char* text : {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe2\x82",
                           "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                           "\xf5\x80\x80\x80", "\xff", "12345678\xe9", "caf\xe9 au lait"}) {
    EXPECT_FALSE(IsUtf8(text)) << text;
  }
}

TEST(Utf8Test, DecodesOneCharacter) {
  char32_t character = 0;
  EXPECT_EQ(DecodeUtf8("€uro", &character), 3u);
  EXPECT_EQ(character, U'€');
  EXPECT_EQ(DecodeUtf8("", &character), 0u);
}

}  // namespace
}  // namespace qasino::client
