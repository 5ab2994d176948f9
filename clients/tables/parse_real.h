#ifndef QASINO_CLIENTS_TABLES_PARSE_REAL_H_
#define QASINO_CLIENTS_TABLES_PARSE_REAL_H_

#include <cmath>
#include <limits>
#include <string_view>
#include <system_error>

#include "absl/strings/charconv.h"

namespace qasino::publish {

// Reads the whole text as a real number. What is too large is infinite and what is too small
// is 0, as SQLite reads them. False: it is no number, and `value` is as it was.
inline bool ParseReal(std::string_view text, double* value) {
  double read = 0;
  const auto [end, error] = absl::from_chars(text.data(), text.data() + text.size(), read);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) return false;
  // Abseil gives the largest finite one.
  if (error == std::errc::result_out_of_range && std::abs(read) > 1) {
    read = std::copysign(std::numeric_limits<double>::infinity(), read);
  }
  *value = read;
  return true;
}

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_PARSE_REAL_H_
