#ifndef QASINO_SERVICES_QUERY_REPEATABLE_H_
#define QASINO_SERVICES_QUERY_REPEATABLE_H_

#include "services/sqlite/database.h"

// Which functions and tables of a connection give the same for the same every time, so that a
// statement which uses no others depends on its snapshot and parameters alone. The time is not
// looked at here: functions of dates and times count as repeatable, because only those calls
// that ask for the current time are not (sqlite::ClockReads).
namespace qasino::query {

// Asks SQLite. To be called with a connection that has all its functions before the other two
// are; all connections have the same, so the first call's answer stays. From any thread.
void LearnRepeatable(sqlite::Database& database);

// False for what SQLite does not call deterministic (random(), changes(), CURRENT_TIME…), for
// all forms of such a name, and for functions that are not known.
bool IsRepeatableFunction(const char* name);

// False for tables that tell of the connection instead of the snapshot (sqlite_stmt,
// pragma_…), and for tables of the snapshot with such names.
bool IsRepeatableTable(const char* name);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_REPEATABLE_H_
