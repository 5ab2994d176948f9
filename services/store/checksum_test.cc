#include "services/store/checksum.h"

#include <string>

#include "gtest/gtest.h"

namespace qasino::store {
namespace {

TEST(ChecksumTest, IsXxh3WithSeedZero) {
  EXPECT_EQ(Checksum::Of(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Checksum().Digest(), 0x2d06800538d394c2u);
}

TEST(ChecksumTest, PiecesGiveWhatTheWholeGives) {
  std::string whole;
  Checksum checksum;
  for (int i = 0; i < 1'000; ++i) {
    const std::string piece(static_cast<size_t>(i), static_cast<char>(i));
    whole += piece;
    checksum.Update(piece);
  }
  EXPECT_EQ(checksum.Digest(), Checksum::Of(whole));
}

}  // namespace
}  // namespace qasino::store
