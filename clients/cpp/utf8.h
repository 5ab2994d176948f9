#ifndef QASINO_CLIENTS_CPP_UTF8_H_
#define QASINO_CLIENTS_CPP_UTF8_H_

#include <cstddef>
#include <string_view>

namespace qasino::client {

// The length in bytes of the character that `text` begins with, and the character; 0
// when these bytes are not valid UTF-8 (overlong forms, surrogates and what lies beyond
// U+10FFFF are not) or there are none.
size_t DecodeUtf8(std::string_view text, char32_t* character);

// Every byte belongs to a valid character. Zero bytes are characters.
bool IsUtf8(std::string_view text);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_UTF8_H_
