#include "adapters/legacy/statement.h"

#include <sqlite3.h>

#include "absl/strings/match.h"
#include "clients/cpp/absl_text.h"

namespace qasino::legacy {
namespace {

using client::Absl;

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string_view Trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

bool IsComplete(std::string_view sql) {
  if (sql.find('\0') != sql.npos) return false;
  return sqlite3_complete(std::string(sql).c_str()) == 1;
}

std::optional<std::string> Completed(std::string_view sql) {
  if (Trimmed(sql).empty() || sql.find('\0') != sql.npos) return std::nullopt;
  std::string statement(sql);
  if (sqlite3_complete(statement.c_str()) == 1) return statement;
  statement += ';';
  if (sqlite3_complete(statement.c_str()) == 1) return statement;
  // Behind a comment that lasts to the end of its line the `;` was a part of it.
  statement.back() = '\n';
  statement += ';';
  if (sqlite3_complete(statement.c_str()) == 1) return statement;
  return std::nullopt;
}

bool IsGoodbye(std::string_view sql) {
  sql = Trimmed(sql);
  if (!sql.ends_with(';')) return false;
  sql = Trimmed(sql.substr(0, sql.size() - 1));
  for (const std::string_view word : {"quit", "exit", "logout"}) {
    if (absl::EqualsIgnoreCase(Absl(sql), Absl(word))) return true;
  }
  return false;
}

}  // namespace qasino::legacy
