#include "adapters/http/date.h"

#include <fmt/format.h>

#include <array>

namespace qasino::http {

std::string FormatHttpDate(std::time_t seconds) {
  // strftime would speak the language of the process.
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm time{};
  if (gmtime_r(&seconds, &time) == nullptr) time = {.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[time.tm_wday], time.tm_mday,
                     kMonths[time.tm_mon], time.tm_year + 1900, time.tm_hour, time.tm_min,
                     time.tm_sec);
}

std::string_view HttpDate() {
  thread_local std::time_t second = -1;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != second) {
    text = FormatHttpDate(now);
    second = now;
  }
  return text;
}

}  // namespace qasino::http
