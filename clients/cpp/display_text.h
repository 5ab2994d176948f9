#ifndef QASINO_CLIENTS_CPP_DISPLAY_TEXT_H_
#define QASINO_CLIENTS_CPP_DISPLAY_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "clients/cpp/cells.h"

namespace qasino::client {

// Text as a terminal may be given it. Widths are those of UTF-8, whatever the locale of the
// process; any thread may ask for them.
struct DisplayText {
  std::string text;
  size_t width = 0;  // columns of the terminal
};

// `text` with what could drive the terminal or hide made visible: control characters as
// \n, \t or \x1b, those that change the direction of text as \u202e, bytes that
// are not UTF-8 as \xff.
DisplayText Displayed(std::string_view text);

// The columns that a terminal takes for `text` itself: two for a wide character, none for a
// combining one; one for a control character and for each byte that is not UTF-8.
size_t DisplayWidth(std::string_view text);

// Printable ASCII, which is displayed as it is, a column a byte.
bool IsPlainAscii(std::string_view text);

// A cell as the table shows it: NULL is empty, a real has up to 15 digits as SQLite
// writes it, a blob is \x and its bytes in hexadecimal.
DisplayText DisplayedCell(const Cell& cell);

// \x and hexadecimal digits.
std::string BlobText(std::string_view bytes);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_DISPLAY_TEXT_H_
