#include "adapters/zmq/envelope.h"

#include <gtest/gtest.h>

#include <vector>

namespace qasino::zeromq {
namespace {

struct Case {
  std::vector<size_t> sizes;
  size_t envelope;
  bool sound;
};

TEST(EnvelopeTest, EndsWithTheLastEmptyPart) {
  const std::vector<Case> cases = {
      {{5, 0, 20}, 2, true},
      {{5, 20}, 1, true},
      {{5, 4, 0, 20}, 3, true},
      {{5, 4, 0, 4, 0, 20}, 5, true},
      {{5, 0, 0, 20}, 3, true},
      // An empty message; it is no JSON, but there is one.
      {{5, 0, 0}, 2, true},
      {{5, 0}, 1, true},
  };
  for (const Case& one : cases) {
    const Shape shape = ShapeOf(one.sizes, false);
    EXPECT_EQ(shape.envelope, one.envelope) << testing::PrintToString(one.sizes);
    EXPECT_EQ(shape.sound, one.sound) << testing::PrintToString(one.sizes);
  }
}

TEST(EnvelopeTest, TellsWrongNumbersOfParts) {
  const std::vector<Case> cases = {
      {{5, 0, 20, 20}, 2, false},
      {{5, 20, 20}, 1, false},
      {{5, 0, 20, 0, 20, 20}, 4, false},
      {{5, 0, 20, 0}, 2, false},
      {{5, 20, 20, 0}, 1, false},
      {{5}, 1, false},
      {{}, 0, false},
  };
  for (const Case& one : cases) {
    const Shape shape = ShapeOf(one.sizes, false);
    EXPECT_EQ(shape.envelope, one.envelope) << testing::PrintToString(one.sizes);
    EXPECT_EQ(shape.sound, one.sound) << testing::PrintToString(one.sizes);
  }
}

TEST(EnvelopeTest, AMessageThatWasCutIsNotSound) {
  const std::vector<size_t> sizes = {5, 0, 20};
  EXPECT_EQ(ShapeOf(sizes, true).envelope, 2u);
  EXPECT_FALSE(ShapeOf(sizes, true).sound);
}

}  // namespace
}  // namespace qasino::zeromq
