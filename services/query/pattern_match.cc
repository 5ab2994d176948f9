#include "services/query/pattern_match.h"

#include <cstring>

#include "absl/strings/ascii.h"

namespace qasino::query {
namespace {

// Comparisons between two looks at the stop sign: some ten microseconds.
constexpr uint32_t kStepsBetweenLooks = 4096;

using Bytes = const unsigned char*;

uint32_t Folded(uint32_t character) {
  return character < 0x80 ? static_cast<unsigned char>(
                                absl::ascii_tolower(static_cast<unsigned char>(character)))
                          : character;
}

void SkipCharacter(Bytes* at) {
  if (*(*at)++ < 0xc0) return;
  while ((**at & 0xc0) == 0x80) ++*at;
}

class Matcher {
 public:
  Matcher(const PatternRules& rules, const StopSign& stop) : rules_(rules), stop_(stop) {}

  Match Run(Bytes pattern, Bytes text);

 private:
  enum class Element { kMatched, kOther, kNever };

  // One element of the pattern, whose first character `c` is read, against one character.
  Element MatchOne(uint32_t c, Bytes* pattern, Bytes* text);
  Element MatchSet(Bytes* pattern, uint32_t c);
  // To the next place in the text where what follows the last wildcard may begin.
  bool NextStart(Bytes pattern, Bytes* start) const;
  bool Stopped() { return (++steps_ & (kStepsBetweenLooks - 1)) == 0 && stop_(); }

  const PatternRules& rules_;
  const StopSign& stop_;
  uint32_t steps_ = 0;
  bool stopped_ = false;
};

// The pattern stands behind the '['.
Matcher::Element Matcher::MatchSet(Bytes* pattern, uint32_t c) {
  bool seen = false;
  bool inverted = false;
  uint32_t before = 0;
  uint32_t member = ReadCharacter(pattern);
  if (member == '^') {
    inverted = true;
    member = ReadCharacter(pattern);
  }
  if (member == ']') {
    seen = c == ']';
    member = ReadCharacter(pattern);
  }
  while (member != 0 && member != ']') {
    if (Stopped()) {
      stopped_ = true;
      return Element::kNever;
    }
    if (member == '-' && **pattern != ']' && **pattern != 0 && before > 0) {
      member = ReadCharacter(pattern);
      seen = seen || (c >= before && c <= member);
      before = 0;
    } else {
      seen = seen || c == member;
      before = member;
    }
    member = ReadCharacter(pattern);
  }
  if (member == 0) return Element::kNever;  // The set has no end.
  return seen != inverted ? Element::kMatched : Element::kOther;
}

Matcher::Element Matcher::MatchOne(uint32_t c, Bytes* pattern, Bytes* text) {
  bool escaped = false;
  if (rules_.sets && c == '[') {
    const uint32_t in_text = ReadCharacter(text);
    return in_text == 0 ? Element::kNever : MatchSet(pattern, in_text);
  }
  if (rules_.escape != 0 && c == rules_.escape) {
    c = ReadCharacter(pattern);
    if (c == 0) return Element::kNever;
    escaped = true;
  }
  const uint32_t in_text = ReadCharacter(text);
  // What is left of the pattern needs a character, and later starts have fewer.
  if (in_text == 0) return Element::kNever;
  if (c == in_text) return Element::kMatched;
  if (rules_.fold_case && Folded(c) == Folded(in_text)) return Element::kMatched;
  return c == rules_.any_one && !escaped ? Element::kMatched : Element::kOther;
}

bool Matcher::NextStart(Bytes pattern, Bytes* start) const {
  if (**start == 0) return false;
  SkipCharacter(start);
  const unsigned char c = *pattern;
  const bool plain =
      c != 0 && c < 0x80 && c != rules_.any_one && c != rules_.escape && !(rules_.sets && c == '[');
  if (!plain) return true;
  // A character of one byte is looked for as a byte: it is no part of another.
  const char sought[] = {rules_.fold_case ? absl::ascii_toupper(c) : static_cast<char>(c),
                         rules_.fold_case ? absl::ascii_tolower(c) : static_cast<char>(c), 0};
  *start += std::strcspn(reinterpret_cast<const char*>(*start), sought);
  return true;
}

Match Matcher::Run(Bytes pattern, Bytes text) {
  // Where the pattern goes on behind its last wildcard, and what was tried of the text.
  Bytes behind_wildcard = nullptr;
  Bytes start = nullptr;
  for (;;) {
    if (Stopped()) return Match::kStopped;
    uint32_t c = ReadCharacter(&pattern);
    Element element = Element::kOther;
    if (c == 0) {
      if (*text == 0) return Match::kYes;
    } else if (c == rules_.any_run) {
      Bytes next = pattern;
      while ((c = ReadCharacter(&next)) == rules_.any_run || (c == rules_.any_one && c != 0)) {
        if (Stopped()) return Match::kStopped;
        if (c == rules_.any_one && ReadCharacter(&text) == 0) return Match::kNo;
        pattern = next;
      }
      if (c == 0) return Match::kYes;
      behind_wildcard = pattern;
      start = text;
      continue;
    } else {
      element = MatchOne(c, &pattern, &text);
    }
    if (element == Element::kMatched) continue;
    if (element == Element::kNever) return stopped_ ? Match::kStopped : Match::kNo;
    if (behind_wildcard == nullptr || !NextStart(behind_wildcard, &start)) return Match::kNo;
    pattern = behind_wildcard;
    text = start;
  }
}

}  // namespace

uint32_t ReadCharacter(const unsigned char** at) {
  uint32_t c = *(*at)++;
  if (c < 0xc0) return c;
  // The bits of the first byte that count; 0xfe and 0xff begin nothing.
  if (c < 0xe0) {
    c &= 0x1f;
  } else if (c < 0xf0) {
    c &= 0x0f;
  } else if (c < 0xf8) {
    c &= 0x07;
  } else if (c < 0xfc) {
    c &= 0x03;
  } else {
    c = c == 0xfd ? 1 : 0;
  }
  while ((**at & 0xc0) == 0x80) c = (c << 6) + (*(*at)++ & 0x3f);
  if (c < 0x80 || (c & 0xfffff800) == 0xd800 || (c & 0xfffffffe) == 0xfffe) c = 0xfffd;
  return c;
}

Match MatchPattern(const PatternRules& rules, const char* pattern, const char* text,
                   const StopSign& stop) {
  return Matcher(rules, stop).Run(reinterpret_cast<Bytes>(pattern), reinterpret_cast<Bytes>(text));
}

}  // namespace qasino::query
