#ifndef QASINO_SERVICES_NAMES_NAMES_H_
#define QASINO_SERVICES_NAMES_NAMES_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

// What tables, columns and publishers may be called: the same for whoever takes them in.
// Pure functions; any thread. They read texts of any content in linear time, and the
// messages of their errors are short and valid UTF-8 whatever is in these.
namespace qasino::names {

// What IsName asks for, to end a message with.
inline constexpr char kRule[] = "a letter, then letters, digits or '_', 128 bytes at the most";

// True for [A-Za-z][A-Za-z0-9_]* of at most 128 bytes.
bool IsName(std::string_view name);

// OK when a table from outside may have this name: it is one, and does not begin, in any
// case, with `sqlite_` or `qasino_server_`, which are for SQLite's tables and the server's
// own. Else INVALID_ARGUMENT.
absl::Status ValidateTableName(const std::string& name);

// OK when it may stand as an identity: not empty, at most 256 bytes of UTF-8 without control
// characters. Else INVALID_ARGUMENT.
absl::Status ValidateIdentity(std::string_view identity);

// `text` in quotes, for messages: cut when long, escaped where it is not printable.
std::string Quoted(std::string_view text);

}  // namespace qasino::names

#endif  // QASINO_SERVICES_NAMES_NAMES_H_
