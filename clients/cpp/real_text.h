#ifndef QASINO_CLIENTS_CPP_REAL_TEXT_H_
#define QASINO_CLIENTS_CPP_REAL_TEXT_H_

#include <cstddef>
#include <string>

namespace qasino::client {

// The most bytes that a real number takes.
inline constexpr size_t kMostRealText = 32;

// Writes a real number as SQLite does, with up to 15 digits ("1.0", "0.1", "1.0e+20",
// "-Inf"), and returns the end. `to` has room for kMostRealText bytes. Any thread.
char* PutRealText(double value, char* to);

std::string RealText(double value);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_REAL_TEXT_H_
