#include "services/pages/number_texts.h"

#include <sqlite3.h>

#include <cstddef>
#include <utility>

namespace qasino::pages {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// So many digits are always an integer of 64 bits.
constexpr size_t kMostDigits = 18;

// A text of digits alone, perhaps with a sign before them.
bool ReadDigits(const std::string& text, int64_t* value) {
  const size_t sign = text[0] == '-' || text[0] == '+' ? 1 : 0;
  if (text.size() == sign || text.size() - sign > kMostDigits) return false;
  *value = 0;
  for (size_t i = sign; i < text.size(); ++i) {
    if (!IsDigit(text[i])) return false;
    *value = 10 * *value + (text[i] - '0');
  }
  if (text[0] == '-') *value = -*value;
  return true;
}

}  // namespace

absl::StatusOr<NumberTexts::Number> NumberTexts::Find(const std::string& text,
                                                      bool is_real_column) {
  // What SQLite takes for blanks before a number.
  const size_t begin = text.find_first_not_of(" \t\n\v\f\r");
  if (begin == text.npos) return Number();
  const char first = text[begin];
  if (!IsDigit(first) && first != '-' && first != '+' && first != '.') return Number();
  if (int64_t value; ReadDigits(text, &value)) return Number(value);
  return Ask(text, is_real_column);
}

absl::Status NumberTexts::Open() {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  absl::Status status =
      database->Execute("CREATE TABLE t(i INTEGER, r REAL); INSERT INTO t VALUES(0, 0)");
  if (!status.ok()) return status;
  absl::StatusOr<sqlite::Statement> insert =
      database->Prepare("INSERT OR REPLACE INTO t(_rowid_, i, r) VALUES(1, ?1, ?1)");
  if (!insert.ok()) return insert.status();
  absl::StatusOr<sqlite::Statement> select = database->Prepare("SELECT i, r FROM t");
  if (!select.ok()) return select.status();
  database_ = std::move(*database);
  insert_ = std::move(*insert);
  select_ = std::move(*select);
  return absl::OkStatus();
}

absl::StatusOr<NumberTexts::Number> NumberTexts::Ask(const std::string& text, bool is_real_column) {
  if (!database_) {
    if (absl::Status status = Open(); !status.ok()) return status;
  }
  insert_.BindText(1, text);
  absl::Status status = insert_.Run();
  // The text is its caller's.
  insert_.BindNull(1);
  if (!status.ok()) return status;
  const absl::StatusOr<bool> row = select_.Step();
  if (!row.ok()) return row.status();
  const int column = is_real_column ? 1 : 0;
  Number number;
  switch (sqlite3_column_type(select_.get(), column)) {
    case SQLITE_INTEGER:
      number = select_.Integer(column);
      break;
    case SQLITE_FLOAT:
      number = select_.Real(column);
      break;
    default:
      break;
  }
  select_.Reset();
  return number;
}

}  // namespace qasino::pages
