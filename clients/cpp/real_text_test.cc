#include "clients/cpp/real_text.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace qasino::client {
namespace {

std::string BySqlite(double value) {
  char text[64];
  sqlite3_snprintf(sizeof(text), text, "%!.15g", value);
  return text;
}

TEST(RealTextTest, IsSqlites) {
  EXPECT_EQ(RealText(0), "0.0");
  EXPECT_EQ(RealText(-0.0), "0.0");
  EXPECT_EQ(RealText(1), "1.0");
  EXPECT_EQ(RealText(-1.5), "-1.5");
  EXPECT_EQ(RealText(0.1), "0.1");
  EXPECT_EQ(RealText(0.1 + 0.2), "0.3");
  EXPECT_EQ(RealText(1.0 / 3), "0.333333333333333");
  EXPECT_EQ(RealText(1e14), "100000000000000.0");
  EXPECT_EQ(RealText(1e15), "1.0e+15");
  EXPECT_EQ(RealText(1e20), "1.0e+20");
  EXPECT_EQ(RealText(1.25e-5), "1.25e-05");
  EXPECT_EQ(RealText(0.0001), "0.0001");
  EXPECT_EQ(RealText(1e300), "1.0e+300");
  EXPECT_EQ(RealText(std::numeric_limits<double>::infinity()), "Inf");
  EXPECT_EQ(RealText(-std::numeric_limits<double>::infinity()), "-Inf");
}

TEST(RealTextTest, IsSqlitesAtTheEdges) {
  for (int exponent = -310; exponent <= 308; ++exponent) {
    for (const double digits : {1.0, 9.0, 1.5, 9.99999999999999, 9.999999999999995, 1.23456789}) {
      const double value = digits * std::pow(10, exponent);
      for (const double near : {value, std::nextafter(value, 0), std::nextafter(value, 1e308)}) {
        ASSERT_EQ(RealText(near), BySqlite(near));
        ASSERT_EQ(RealText(-near), BySqlite(-near));
      }
    }
  }
  for (const double value :
       {12345678901234.5, 123456789012345.5, 0.5, 2.5, 999999999999999.0, 999999999999999.5,
        std::numeric_limits<double>::max(), std::numeric_limits<double>::min(),
        std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::epsilon()}) {
    EXPECT_EQ(RealText(value), BySqlite(value));
  }
}

TEST(RealTextTest, IsSqlitesForAnyValue) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const double value = std::bit_cast<double>(random());
    ASSERT_EQ(RealText(value), BySqlite(value)) << i;
  }
  for (int i = 0; i < 1'000'000; ++i) {
    // Of all digits, from 1e-15 to 1e45.
    const double value = static_cast<double>(random()) * std::pow(10, i % 60 - 34);
    ASSERT_EQ(RealText(value), BySqlite(value)) << i;
  }
  for (int i = 0; i < 300'000; ++i) {
    // Decimal numbers of 1 to 17 digits, as people and counters have them.
    const auto digits =
        static_cast<int64_t>(random() % static_cast<uint64_t>(std::pow(10, 1 + i % 17)));
    const auto exponent = static_cast<int>(random() % (i % 2 == 0 ? 20 : 200));
    const double value = std::stod(std::to_string(digits) + "e" +
                                   std::to_string(exponent - (i % 2 == 0 ? 17 : 110)));
    ASSERT_EQ(RealText(value), BySqlite(value)) << digits << "e" << exponent;
  }
}

}  // namespace
}  // namespace qasino::client
