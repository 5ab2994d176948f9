#ifndef QASINO_ADAPTERS_LEGACY_NAMES_H_
#define QASINO_ADAPTERS_LEGACY_NAMES_H_

#include <string_view>

#include "absl/status/status.h"

namespace qasino::legacy {

// What the original says of a name or a word that is none: `Invalid column name 'a b'`. A long
// one is cut, and what is not UTF-8 has U+FFFD in its place.
absl::Status InvalidTableName(std::string_view name);
absl::Status InvalidColumnName(std::string_view name);
absl::Status InvalidColumnType(std::string_view word);

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_NAMES_H_
