#ifndef QASINO_CLIENTS_TABLES_SHOWN_H_
#define QASINO_CLIENTS_TABLES_SHOWN_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace qasino::publish {

// What strangers wrote, for messages: at most `most` bytes of it, `…` behind what is cut, and
// U+FFFD in the place of each byte that is not UTF-8.
std::string Excerpt(std::string_view text, size_t most);

// The same in single quotes, short and with control characters escaped.
std::string Shown(std::string_view text);

// Behind the word for a type that is none, and "is".
inline constexpr char kNoColumnType[] =
    "not a column type; there are integer (int, ll, time, bigint), real (float, double), text "
    "(string, str, ip, varchar) and blob";

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_SHOWN_H_
