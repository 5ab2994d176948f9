#ifndef QASINO_SERVICES_QUERY_PATTERN_MATCH_H_
#define QASINO_SERVICES_QUERY_PATTERN_MATCH_H_

#include <cstdint>

#include "services/query/stop_sign.h"

namespace qasino::query {

// What the characters of a pattern mean. 0: no character means that.
struct PatternRules {
  uint32_t any_run;  // matches any number of characters, none included
  uint32_t any_one;  // matches one character
  uint32_t escape;   // the next character means itself
  bool sets;         // [a-z] and [^a-z] match one character
  bool fold_case;    // ASCII letters are the same in both cases
};

inline constexpr PatternRules kLikeRules = {'%', '_', 0, false, true};
inline constexpr PatternRules kGlobRules = {'*', '?', 0, true, false};

enum class Match { kNo, kYes, kStopped };

// Whether the whole text matches the pattern, both ended by a zero byte, exactly as LIKE and
// GLOB of SQLite 3.40 have it, also for bytes that are not UTF-8.
//
// It goes back to the last wildcard only, so its time is at most the product of the lengths;
// kStopped when `stop` says so meanwhile.
Match MatchPattern(const PatternRules& rules, const char* pattern, const char* text,
                   const StopSign& stop);

// Reads a character and steps over it, as SQLite does: bytes that are not UTF-8 are something
// too. Steps over the zero byte at the end as well.
uint32_t ReadCharacter(const unsigned char** at);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_PATTERN_MATCH_H_
