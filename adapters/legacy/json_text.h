#ifndef QASINO_ADAPTERS_LEGACY_JSON_TEXT_H_
#define QASINO_ADAPTERS_LEGACY_JSON_TEXT_H_

#include <string>
#include <string_view>

#include "adapters/legacy/block.h"

namespace qasino::legacy {

// Puts `text` between quotes, with what JSON demands escaped and the rest as it is; each
// byte that is no UTF-8 becomes U+FFFD. True: all of it is ASCII.
bool PutJsonString(std::string_view text, Block* block);

// The same, behind what `out` has.
void AppendJsonString(std::string_view text, std::string* out);

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_JSON_TEXT_H_
