#ifndef QASINO_CLIENTS_TABLES_IS_NAME_H_
#define QASINO_CLIENTS_TABLES_IS_NAME_H_

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"

namespace qasino::publish {

// Matches [A-Za-z][A-Za-z0-9_]*, as the names of tables and columns do.
inline bool IsName(std::string_view text) {
  const auto is_word = [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; };
  return !text.empty() && absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), is_word);
}

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_IS_NAME_H_
