#include "services/query/linear_functions.h"

#include <bitset>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "services/sqlite/database.h"

namespace qasino::query {
namespace {

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
  while (!blobs && at != text.npos && at != 0 && IsContinuation(text[at])) {
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
  if (!Text(context, values[2], &with)) return;

  int64_t matches = 0;
  for (size_t at = Find(text, what, 0); at != text.npos; at = Find(text, what, at + what.size())) {
    ++matches;
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
  for (size_t at = Find(text, what, 0); at != text.npos; at = Find(text, what, from)) {
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

enum Sides : intptr_t { kLeft = 1, kRight = 2 };

void Trim(sqlite3_context* context, int count, sqlite3_value** values) {
  const auto sides = reinterpret_cast<intptr_t>(sqlite3_user_data(context));
  std::string_view text;
  std::string_view characters = " ";
  if (!Text(context, values[0], &text)) return;
  if (count == 2 && !Text(context, values[1], &characters)) return;
  // Characters of one byte, and the others.
  std::bitset<256> bytes;
  absl::flat_hash_set<std::string_view> longer;
  while (!characters.empty()) {
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
    const size_t size = CharacterSize(text);
    if (!goes(text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  while ((sides & kRight) != 0 && !text.empty()) {
    size_t size = 1;
    while (size < text.size() && IsContinuation(text[text.size() - size])) ++size;
    if (!goes(text.substr(text.size() - size))) break;
    text.remove_suffix(size);
  }
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

}  // namespace

absl::Status UseLinearFunctions(sqlite3* database) {
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
  };
  for (const Function& function : kFunctions) {
    const int code = sqlite3_create_function_v2(
        database, function.name, function.arguments,
        SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
        reinterpret_cast<void*>(function.data), function.call, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return sqlite::ToStatus(code, database, function.name);
  }
  return absl::OkStatus();
}

}  // namespace qasino::query
