#ifndef QASINO_SERVICES_PAGES_NUMBER_TEXTS_H_
#define QASINO_SERVICES_PAGES_NUMBER_TEXTS_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "services/sqlite/database.h"

namespace qasino::pages {

// Finds what SQLite stores for a text in a column of numbers: 12 for "12" and " 1.2e1", the text
// itself for "12 monkeys". Used by one thread at a time.
class NumberTexts {
 public:
  // Nothing: the text is stored as it is.
  using Number = std::variant<std::monostate, int64_t, double>;

  // In a column of type INTEGER, or of type REAL, where an integer is a real as well.
  // RESOURCE_EXHAUSTED when there is no memory.
  absl::StatusOr<Number> Find(const std::string& text, bool is_real_column);

 private:
  absl::Status Open();
  absl::StatusOr<Number> Ask(const std::string& text, bool is_real_column);

  // Opened when first asked. Its table's one row is replaced each time.
  sqlite::Database database_;
  sqlite::Statement insert_;
  sqlite::Statement select_;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_NUMBER_TEXTS_H_
