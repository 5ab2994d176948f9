#include "adapters/http/negotiation.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "clients/cpp/absl_text.h"

namespace qasino::http {
namespace {

using legacy::Format;

constexpr int kMostEtags = 64;
// What an error shows of a format's name.
constexpr size_t kShownBytes = 64;

bool Is(std::string_view text, std::string_view word) {
  return absl::EqualsIgnoreCase(client::Absl(text), client::Absl(word));
}

std::string_view Trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Takes what is before the next `separator` that is not in quotes, and the separator.
std::string_view Take(std::string_view& text, char separator) {
  bool quoted = false;
  size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != separator); ++end) {
    if (text[end] == '"') {
      quoted = !quoted;
    } else if (quoted && text[end] == '\\') {
      ++end;
    }
  }
  end = std::min(end, text.size());
  const std::string_view taken = Trimmed(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

// In thousandths; RFC 9110 has three digits. 0 for what is no quality.
int Quality(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return 0;
  if (text.size() > 1 && text[1] != '.') return 0;
  int thousandths = (text[0] - '0') * 1000;
  int place = 100;
  for (char digit : text.substr(std::min<size_t>(2, text.size()))) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(digit))) return 0;
    thousandths += (digit - '0') * place;
    place /= 10;
  }
  return thousandths <= 1000 ? thousandths : 0;
}

struct Choice {
  std::string_view name;
  int quality = 1000;
};

// Takes the next of a list such as `text/csv;header=absent;q=0.5, */*`.
Choice TakeChoice(std::string_view& list) {
  std::string_view element = Take(list, ',');
  Choice choice{.name = Take(element, ';')};
  while (!element.empty()) {
    const std::string_view parameter = Take(element, ';');
    if (parameter.size() >= 2 && Is(parameter.substr(0, 2), "q=")) {
      choice.quality = Quality(parameter.substr(2));
    }
  }
  return choice;
}

Format ByAccept(std::string_view accept) {
  // Of JSON the most specific that names it; of equals the first.
  int json_quality = 0;
  int json_precision = 0;
  int json_place = 0;
  Format other = Format::kJson;
  int other_quality = 0;
  int other_place = 0;
  for (int place = 1; !accept.empty(); ++place) {
    const Choice choice = TakeChoice(accept);
    const bool is_csv = Is(choice.name, "text/csv");
    if (is_csv || Is(choice.name, "application/x-ndjson") ||
        Is(choice.name, "application/ndjson")) {
      if (choice.quality > other_quality) {
        other = is_csv ? Format::kCsv : Format::kNdjson;
        other_quality = choice.quality;
        other_place = place;
      }
      continue;
    }
    const int precision = Is(choice.name, "application/json") ? 3
                          : Is(choice.name, "application/*")  ? 2
                          : choice.name == "*/*"              ? 1
                                                              : 0;
    if (precision > json_precision) {
      json_quality = choice.quality;
      json_precision = precision;
      json_place = place;
    }
  }
  if (other_quality == 0) return Format::kJson;
  // Who names a format means it more than who takes anything.
  const bool json_is_first = json_precision == 3 && json_place < other_place;
  return other_quality > json_quality || (other_quality == json_quality && !json_is_first)
             ? other
             : Format::kJson;
}

uint64_t StoreHash(std::string_view store_id) {
  return XXH3_64bits(store_id.data(), store_id.size());
}

uint64_t StatementHash(std::string_view sql, Format format) {
  return XXH3_64bits_withSeed(sql.data(), sql.size(), static_cast<uint64_t>(format) + 1);
}

// Takes a number in front of `text`, written as MakeEtag does, and what must follow it.
template <typename Number>
bool TakeNumber(std::string_view& text, int base, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool TakeDash(std::string_view& text) {
  if (text.empty() || text[0] != '-') return false;
  text.remove_prefix(1);
  return true;
}

// What is between an ETag's quotes.
std::optional<SeenAnswer> ParseEtag(std::string_view tag, uint64_t statement_hash) {
  constexpr size_t kHashDigits = 16;
  SeenAnswer seen;
  uint64_t statement = 0;
  if (!TakeNumber(tag, 10, &seen.generation) || !TakeDash(tag) ||
      !TakeNumber(tag, 10, &seen.revision) || !TakeDash(tag) || tag.size() != 2 * kHashDigits) {
    return std::nullopt;
  }
  std::string_view store_part = tag.substr(0, kHashDigits);
  std::string_view statement_part = tag.substr(kHashDigits);
  if (!TakeNumber(store_part, 16, &seen.store_hash) || !store_part.empty() ||
      !TakeNumber(statement_part, 16, &statement) || !statement_part.empty() ||
      statement != statement_hash || seen.generation < 0 || seen.revision < 0) {
    return std::nullopt;
  }
  return seen;
}

}  // namespace

absl::StatusOr<Format> ChooseFormat(std::optional<std::string_view> format,
                                    std::string_view accept) {
  constexpr std::array<std::pair<std::string_view, Format>, 5> kNames = {{
      {"json", Format::kJson},
      {"text", Format::kText},
      {"html", Format::kHtml},
      {"csv", Format::kCsv},
      {"ndjson", Format::kNdjson},
  }};
  if (!format || format->empty()) return ByAccept(accept);
  for (const auto& [name, value] : kNames) {
    if (Is(*format, name)) return value;
  }
  // A part of a long name might end within a character.
  return absl::InvalidArgumentError(
      fmt::format("format '{}' is none of json, text, html, csv, ndjson",
                  format->size() <= kShownBytes ? *format : "(too long)"));
}

bool AcceptsGzip(std::string_view accept_encoding) {
  std::optional<int> gzip, identity, any;
  while (!accept_encoding.empty()) {
    const Choice choice = TakeChoice(accept_encoding);
    if (Is(choice.name, "gzip") || Is(choice.name, "x-gzip")) {
      gzip = std::max(gzip.value_or(0), choice.quality);
    } else if (Is(choice.name, "identity")) {
      identity = choice.quality;
    } else if (choice.name == "*") {
      any = choice.quality;
    }
  }
  const int quality = gzip.value_or(any.value_or(0));
  return quality > 0 && quality >= identity.value_or(0);
}

std::string MakeEtag(std::string_view store_id, int64_t generation, int64_t revision,
                     std::string_view sql, Format format) {
  return fmt::format("W/\"{}-{}-{:016x}{:016x}\"", generation, revision, StoreHash(store_id),
                     StatementHash(sql, format));
}

bool SeenAnswer::IsOf(std::string_view store_id) const { return store_hash == StoreHash(store_id); }

std::optional<SeenAnswer> Seen(std::string_view if_none_match, std::string_view sql,
                               Format format) {
  if (if_none_match.empty()) return std::nullopt;
  const uint64_t statement_hash = StatementHash(sql, format);
  std::optional<SeenAnswer> newest;
  for (int count = 0; !if_none_match.empty() && count < kMostEtags; ++count) {
    std::string_view tag = Take(if_none_match, ',');
    if (tag.substr(0, 2) == "W/") tag.remove_prefix(2);
    if (tag.size() < 2 || tag.front() != '"' || tag.back() != '"') continue;
    const std::optional<SeenAnswer> seen = ParseEtag(tag.substr(1, tag.size() - 2), statement_hash);
    if (seen && (!newest || std::tie(newest->generation, newest->revision) <
                                std::tie(seen->generation, seen->revision))) {
      newest = seen;
    }
  }
  return newest;
}

}  // namespace qasino::http
