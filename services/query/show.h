#ifndef QASINO_SERVICES_QUERY_SHOW_H_
#define QASINO_SERVICES_QUERY_SHOW_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace qasino::query {

// SHOW and DESC in SQL.
struct ShowStatement {
  std::string sql;
  // For the statement's one parameter, where it has one.
  std::optional<std::string> parameter;
  // No rows mean that what was asked for does not exist; this says so. Empty: no rows
  // are an answer.
  std::string error_when_empty;
};

// The statement when `sql` begins with SHOW, DESC or DESCRIBE, without case; nothing for
// all other SQL. INVALID_ARGUMENT with the forms there are when it is not one of them.
//   SHOW TABLES [LIKE 'pattern'], SHOW CONNECTIONS, SHOW INFO, SHOW VIEWS,
//   SHOW GENERATIONS, DESC table, DESC VIEW view
absl::StatusOr<std::optional<ShowStatement>> ParseShow(std::string_view sql);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_SHOW_H_
