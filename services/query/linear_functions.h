#ifndef QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_
#define QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_

#include <sqlite3.h>

#include <cstdint>

#include "absl/status/status.h"
#include "services/query/stop_sign.h"

namespace qasino::query {

// The longest pattern of LIKE and GLOB, in bytes; SQLite's own default.
inline constexpr int kMaxPatternBytes = 50'000;
// json_patch takes the product of its arguments' lengths; a larger product is refused.
inline constexpr int64_t kMaxPatchProduct = int64_t{1} << 28;

// Puts functions in the place of some of SQLite's that answer the same and can be ended: a
// function's call is one step to SQLite, and it asks about time between steps only.
//
//   instr, replace, trim, ltrim, rtrim  take time linear in their arguments, where SQLite's
//                                       own take the product of two lengths
//   like, glob (and so the operators)   go back to the last wildcard only, and ask `stop`
//   length                              asks `stop`
//   json_patch                          is SQLite's, for arguments of bounded lengths
//
// Replacing like and glob turns off SQLite's use of indexes for LIKE 'prefix%'; snapshots
// have no indexes, so nothing is lost. A call that `stop` has ended fails with
// SQLITE_INTERRUPT.
//
// `stop` outlives the connection.
absl::Status UseLinearFunctions(sqlite3* database, const StopSign* stop);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_LINEAR_FUNCTIONS_H_
