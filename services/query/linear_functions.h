#ifndef QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_
#define QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_

#include <sqlite3.h>

#include "absl/status/status.h"

namespace qasino::query {

// Puts functions in the place of SQLite's instr, replace, trim, ltrim and rtrim that answer
// the same in time linear in their arguments. SQLite's own take the product of two lengths,
// which for two long values is hours; and a function's call is one step to SQLite, so that
// neither a time limit nor cancelling can end it.
absl::Status UseLinearFunctions(sqlite3* database);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_
