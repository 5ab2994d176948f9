#include "adapters/http/date.h"

#include <gtest/gtest.h>

#include <thread>

namespace qasino::http {
namespace {

TEST(DateTest, WritesAsRfc9110) {
  EXPECT_EQ(FormatHttpDate(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(FormatHttpDate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(FormatHttpDate(1709251199), "Thu, 29 Feb 2024 23:59:59 GMT");
}

TEST(DateTest, IsTheTimeNowOnEveryThread) {
  const auto expect_now = [] {
    const std::time_t before = std::time(nullptr);
    const std::string date(HttpDate());
    const std::time_t after = std::time(nullptr);
    bool is_now = false;
    for (std::time_t second = before; second <= after; ++second) {
      is_now = is_now || date == FormatHttpDate(second);
    }
    EXPECT_TRUE(is_now) << date;
  };
  expect_now();
  std::thread(expect_now).join();
  expect_now();
}

}  // namespace
}  // namespace qasino::http
