#ifndef QASINO_CLIENTS_SQL_DISPLAY_TEXT_H_
#define QASINO_CLIENTS_SQL_DISPLAY_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "clients/cpp/cells.h"

namespace qasino::sql {

// Text as a terminal may be given it.
struct DisplayText {
  std::string text;
  size_t width = 0;  // columns of the terminal
};

// `text` with what could drive the terminal or hide made visible: control characters as
// \n, \t or \x1b, those that change the direction of text as \u202e, bytes that
// are not UTF-8 as \xff. The locale must be a UTF-8 one for widths (UseUtf8).
DisplayText Displayed(std::string_view text);

// A cell as the table shows it: NULL is empty, a real has up to 15 digits as SQLite
// writes it, a blob is \x and its bytes in hexadecimal.
DisplayText DisplayedCell(const client::Cell& cell);

// A real number as SQLite writes it, up to 15 digits.
std::string RealText(double value);

// \x and hexadecimal digits.
std::string BlobText(std::string_view bytes);

// Makes the process's character type UTF-8, whatever its environment says.
void UseUtf8();

}  // namespace qasino::sql

#endif  // QASINO_CLIENTS_SQL_DISPLAY_TEXT_H_
