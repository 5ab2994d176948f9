#ifndef QASINO_ADAPTERS_LEGACY_STATEMENT_H_
#define QASINO_ADAPTERS_LEGACY_STATEMENT_H_

#include <optional>
#include <string>
#include <string_view>

namespace qasino::legacy {

// Whether `sql` ends in a complete statement, as sqlite3_complete() says. What is behind a
// zero byte is not SQL: never complete.
bool IsComplete(std::string_view sql);

// The statement of a request, as HTTP and ZeroMQ take it: a `;` is put behind it when it
// is not complete. None: still incomplete (an open quote or comment), or blank.
std::optional<std::string> Completed(std::string_view sql);

// `quit;`, `exit;`, `logout;` in any case, with blanks around: no SQL, but goodbye.
bool IsGoodbye(std::string_view sql);

// What get_table_list asks of query.
inline constexpr std::string_view kTableListSql =
    "SELECT tablename, nr_updates, nr_rows, last_update_epoch FROM qasino_server_tables "
    "ORDER BY tablename";

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_STATEMENT_H_
