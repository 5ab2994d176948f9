#include "services/query/linear_functions.h"

#include <bitset>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "services/query/pattern_match.h"
#include "services/sqlite/database.h"

namespace qasino::query {
namespace {

// Characters or matches between two looks at the stop sign in a loop.
constexpr int64_t kStepsBetweenLooks = 1 << 12;
// What a character of Trim's set takes at the most.
constexpr int64_t kBytesOfCharacter = 48;

// What a function is registered with.
struct Registration {
  const StopSign* stop;
  intptr_t data;
  // A connection with SQLite's own functions, from their first use on.
  std::shared_ptr<sqlite::Database> scratch;
};

const Registration& RegistrationOf(sqlite3_context* context) {
  return *static_cast<const Registration*>(sqlite3_user_data(context));
}

// True when the query is to be given up, which is then the result.
bool Stopped(sqlite3_context* context) {
  if (!(*RegistrationOf(context).stop)()) return false;
  sqlite3_result_error_code(context, SQLITE_INTERRUPT);
  return true;
}

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// memmem is linear; std::string_view::find is not.
size_t Find(std::string_view text, std::string_view what, size_t from) {
  if (text.size() - from < what.size()) return std::string_view::npos;
  const void* at = memmem(text.data() + from, text.size() - from, what.data(), what.size());
  return at == nullptr ? std::string_view::npos : static_cast<const char*>(at) - text.data();
}

// The argument as text, as SQLite converts it. False when it is NULL or there is no memory,
// which is then the result.
bool Text(sqlite3_context* context, sqlite3_value* value, std::string_view* text) {
  if (sqlite3_value_type(value) == SQLITE_NULL) return false;
  const auto* data = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (data == nullptr) {
    sqlite3_result_error_nomem(context);
    return false;
  }
  *text = {data, static_cast<size_t>(sqlite3_value_bytes(value))};
  return true;
}

// Bytes for two blobs, else characters; from 1, and 0 when it is not there.
void Instr(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (Stopped(context)) return;
  const bool blobs =
      sqlite3_value_type(values[0]) == SQLITE_BLOB && sqlite3_value_type(values[1]) == SQLITE_BLOB;
  std::string_view text, what;
  if (blobs) {
    for (auto [value, view] : {std::pair(values[0], &text), std::pair(values[1], &what)}) {
      const void* data = sqlite3_value_blob(value);
      const int size = sqlite3_value_bytes(value);
      if (data == nullptr && size > 0) return sqlite3_result_error_nomem(context);
      if (data != nullptr) *view = {static_cast<const char*>(data), static_cast<size_t>(size)};
    }
  } else if (!Text(context, values[0], &text) || !Text(context, values[1], &what)) {
    return;
  }
  if (what.empty()) return sqlite3_result_int(context, 1);
  size_t at = Find(text, what, 0);
  // Only where a character begins.
  for (int64_t tries = 1; !blobs && at != text.npos && at != 0 && IsContinuation(text[at]);
       ++tries) {
    if (tries % kStepsBetweenLooks == 0 && Stopped(context)) return;
    at = Find(text, what, at + 1);
  }
  if (at == text.npos) return sqlite3_result_int(context, 0);
  int64_t position = 1;
  if (blobs) {
    position += static_cast<int64_t>(at);
  } else {
    for (size_t i = 1; i <= at; ++i) position += IsContinuation(text[i]) ? 0 : 1;
  }
  sqlite3_result_int64(context, position);
}

void Replace(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  std::string_view text, what, with;
  if (!Text(context, values[0], &text) || !Text(context, values[1], &what)) return;
  // SQLite takes a pattern as ended by its first zero byte when that is its first.
  if (what.empty() || what[0] == '\0') return sqlite3_result_value(context, values[0]);
  if (!Text(context, values[2], &with) || Stopped(context)) return;

  int64_t matches = 0;
  for (size_t at = Find(text, what, 0); at != text.npos; at = Find(text, what, at + what.size())) {
    if (++matches % kStepsBetweenLooks == 0 && Stopped(context)) return;
  }
  const int64_t size =
      static_cast<int64_t>(text.size()) +
      matches * (static_cast<int64_t>(with.size()) - static_cast<int64_t>(what.size()));
  if (size > sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1)) {
    return sqlite3_result_error_toobig(context);
  }
  char* const made = static_cast<char*>(sqlite3_malloc64(static_cast<sqlite3_uint64>(size) + 1));
  if (made == nullptr) return sqlite3_result_error_nomem(context);
  char* end = made;
  const auto append = [&end](std::string_view part) {
    if (!part.empty()) std::memcpy(end, part.data(), part.size());
    end += part.size();
  };
  size_t from = 0;
  int64_t replaced = 0;
  for (size_t at = Find(text, what, 0); at != text.npos; at = Find(text, what, from)) {
    if (++replaced % kStepsBetweenLooks == 0 && Stopped(context)) return sqlite3_free(made);
    append(text.substr(from, at - from));
    append(with);
    from = at + what.size();
  }
  append(text.substr(from));
  sqlite3_result_text64(context, made, static_cast<sqlite3_uint64>(size), sqlite3_free,
                        SQLITE_UTF8);
}

// Bytes of the character that `text`, not empty, begins with, as SQLite steps over it.
size_t CharacterSize(std::string_view text) {
  size_t size = 1;
  if (static_cast<unsigned char>(text[0]) < 0xc0) return size;
  while (size < text.size() && IsContinuation(text[size])) ++size;
  return size;
}

// Memory that SQLite does not know of, counted as if it were SQLite's while this lives.
class Claim {
 public:
  explicit Claim(int64_t bytes)
      : memory_(bytes == 0 ? nullptr : sqlite3_malloc64(static_cast<sqlite3_uint64>(bytes))),
        granted_(bytes == 0 || memory_ != nullptr) {}
  ~Claim() { sqlite3_free(memory_); }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  bool granted() const { return granted_; }

 private:
  void* const memory_;
  const bool granted_;
};

enum Sides : intptr_t { kLeft = 1, kRight = 2 };

void Trim(sqlite3_context* context, int count, sqlite3_value** values) {
  const intptr_t sides = RegistrationOf(context).data;
  int64_t steps = 0;
  const auto stopped = [&] { return steps++ % kStepsBetweenLooks == 0 && Stopped(context); };
  std::string_view text;
  std::string_view characters = " ";
  if (!Text(context, values[0], &text)) return;
  if (count == 2 && !Text(context, values[1], &characters)) return;
  // Characters of one byte, and the others.
  std::bitset<256> bytes;
  int64_t most_longer = 0;
  for (const char byte : characters) most_longer += static_cast<unsigned char>(byte) >= 0xc0;
  const Claim claim(most_longer * kBytesOfCharacter);
  if (!claim.granted()) return sqlite3_result_error_nomem(context);
  absl::flat_hash_set<std::string_view> longer;
  longer.reserve(static_cast<size_t>(most_longer));
  while (!characters.empty()) {
    if (stopped()) return;
    const size_t size = CharacterSize(characters);
    if (size == 1) {
      bytes.set(static_cast<unsigned char>(characters[0]));
    } else {
      longer.insert(characters.substr(0, size));
    }
    characters.remove_prefix(size);
  }
  const auto goes = [&](std::string_view character) {
    return character.size() == 1 ? bytes.test(static_cast<unsigned char>(character[0]))
                                 : longer.contains(character);
  };
  while ((sides & kLeft) != 0 && !text.empty()) {
    if (stopped()) return;
    const size_t size = CharacterSize(text);
    if (!goes(text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  while ((sides & kRight) != 0 && !text.empty()) {
    if (stopped()) return;
    size_t size = 1;
    while (size < text.size() && IsContinuation(text[text.size() - size])) ++size;
    if (!goes(text.substr(text.size() - size))) break;
    text.remove_suffix(size);
  }
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

// Characters of a text up to a zero byte, bytes of a blob.
void Length(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (Stopped(context)) return;
  switch (sqlite3_value_type(values[0])) {
    case SQLITE_NULL:
      return;
    case SQLITE_TEXT: {
      std::string_view text;
      if (!Text(context, values[0], &text)) return;
      int64_t characters = 0;
      for (size_t at = 0; at < text.size() && text[at] != '\0'; ++characters) {
        at += CharacterSize(text.substr(at));
      }
      return sqlite3_result_int64(context, characters);
    }
    default:
      return sqlite3_result_int(context, sqlite3_value_bytes(values[0]));
  }
}

enum Operator : intptr_t { kLike, kGlob };

void Like(sqlite3_context* context, int count, sqlite3_value** values) {
  static const bool no_blobs = sqlite3_compileoption_used("LIKE_DOESNT_MATCH_BLOBS") != 0;
  if (no_blobs && (sqlite3_value_type(values[0]) == SQLITE_BLOB ||
                   sqlite3_value_type(values[1]) == SQLITE_BLOB)) {
    return sqlite3_result_int(context, 0);
  }
  if (sqlite3_value_bytes(values[0]) >
      sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LIKE_PATTERN_LENGTH, -1)) {
    return sqlite3_result_error(context, "LIKE or GLOB pattern too complex", -1);
  }
  PatternRules rules = RegistrationOf(context).data == kLike ? kLikeRules : kGlobRules;
  if (count == 3) {
    const unsigned char* escape = sqlite3_value_text(values[2]);
    if (escape == nullptr) return;
    rules.escape = *escape == 0 ? 0 : ReadCharacter(&escape);
    if (rules.escape == 0 || *escape != 0) {
      return sqlite3_result_error(context, "ESCAPE expression must be a single character", -1);
    }
    if (rules.escape == rules.any_run) rules.any_run = 0;
    if (rules.escape == rules.any_one) rules.any_one = 0;
  }
  const auto* pattern = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[1]));
  if (pattern == nullptr || text == nullptr) return;
  switch (MatchPattern(rules, pattern, text, *RegistrationOf(context).stop)) {
    case Match::kStopped:
      return sqlite3_result_error_code(context, SQLITE_INTERRUPT);
    case Match::kYes:
      return sqlite3_result_int(context, 1);
    case Match::kNo:
      return sqlite3_result_int(context, 0);
  }
}

// SQLite's own, which a function in its place reaches only through another connection.
void JsonPatch(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  if (Stopped(context)) return;
  const int64_t product =
      int64_t{sqlite3_value_bytes(values[0])} * int64_t{sqlite3_value_bytes(values[1])};
  if (product > kMaxPatchProduct) {
    return sqlite3_result_error(context,
                                "json_patch: the lengths of the two values are too large "
                                "together; their product is at most 2^28",
                                -1);
  }
  sqlite::Database& own = *RegistrationOf(context).scratch;
  if (!own) {
    absl::StatusOr<sqlite::Database> opened = sqlite::Database::OpenInMemory();
    if (!opened.ok()) return sqlite3_result_error_nomem(context);
    own = *std::move(opened);
    sqlite3_limit(own.get(), SQLITE_LIMIT_LENGTH,
                  sqlite3_limit(sqlite3_context_db_handle(context), SQLITE_LIMIT_LENGTH, -1));
  }
  sqlite3* const scratch = own.get();
  sqlite3_stmt* made = nullptr;
  int code = sqlite3_prepare_v2(scratch, "SELECT json_patch(?1, ?2)", -1, &made, nullptr);
  sqlite::Statement statement(made);
  if (code == SQLITE_OK) code = sqlite3_bind_value(made, 1, values[0]);
  if (code == SQLITE_OK) code = sqlite3_bind_value(made, 2, values[1]);
  if (code == SQLITE_OK) code = sqlite3_step(made);
  if (code == SQLITE_ROW) {
    sqlite3_result_value(context, sqlite3_column_value(made, 0));
    // What SQLite knows JSON by.
    return sqlite3_result_subtype(context, 'J');
  }
  sqlite3_result_error(context, sqlite3_errmsg(scratch), -1);
  sqlite3_result_error_code(context, code);
}

}  // namespace

absl::Status UseLinearFunctions(sqlite3* database, const StopSign* stop) {
  struct Function {
    const char* name;
    int arguments;
    intptr_t data;
    void (*call)(sqlite3_context*, int, sqlite3_value**);
  };
  constexpr Function kFunctions[] = {
      {"instr", 2, 0, Instr},
      {"replace", 3, 0, Replace},
      {"trim", 1, kLeft | kRight, Trim},
      {"trim", 2, kLeft | kRight, Trim},
      {"ltrim", 1, kLeft, Trim},
      {"ltrim", 2, kLeft, Trim},
      {"rtrim", 1, kRight, Trim},
      {"rtrim", 2, kRight, Trim},
      {"like", 2, kLike, Like},
      {"like", 3, kLike, Like},
      {"glob", 2, kGlob, Like},
      {"length", 1, 0, Length},
      {"json_patch", 2, 0, JsonPatch},
  };
  const auto own = std::make_shared<sqlite::Database>();
  for (const Function& function : kFunctions) {
    const int code = sqlite3_create_function_v2(
        database, function.name, function.arguments,
        SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
        new Registration{stop, function.data, own}, function.call, nullptr, nullptr,
        [](void* registration) { delete static_cast<Registration*>(registration); });
    if (code != SQLITE_OK) return sqlite::ToStatus(code, database, function.name);
  }
  return absl::OkStatus();
}

}  // namespace qasino::query
