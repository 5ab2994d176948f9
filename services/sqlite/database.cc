#include "services/sqlite/database.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "services/sqlite/memory_budget.h"
#include "services/sqlite/scratch_files.h"

namespace qasino::sqlite {
namespace {

std::string Quote(std::string_view text, char quote) {
  std::string quoted;
  quoted.reserve(text.size() + 2);
  quoted += quote;
  for (char c : text) {
    if (c == quote) quoted += quote;
    quoted += c;
  }
  quoted += quote;
  return quoted;
}

absl::StatusCode CodeOf(int result) {
  switch (result & 0xff) {
    case SQLITE_NOMEM:
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_AUTH:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kCancelled;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::StatusOr<sqlite3*> Open(const char* path, int flags, const char* vfs) {
  ConfigureSqlite();
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(path, &database, flags | SQLITE_OPEN_NOMUTEX, vfs);
  if (code != SQLITE_OK) {
    absl::Status status = ToStatus(code, database, fmt::format("cannot open {}", path));
    sqlite3_close_v2(database);
    return status;
  }
  sqlite3_extended_result_codes(database, 1);
  return database;
}

}  // namespace

std::string QuoteName(std::string_view name) { return Quote(name, '"'); }
std::string QuoteText(std::string_view text) { return Quote(text, '\''); }

absl::Status ToStatus(int code, sqlite3* database, std::string_view doing) {
  if (code == SQLITE_OK) return absl::OkStatus();
  const bool connection_knows =
      database != nullptr && (sqlite3_errcode(database) & 0xff) == (code & 0xff);
  const char* words = connection_knows ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  if (doing.empty()) return absl::Status(CodeOf(code), words);
  return absl::Status(CodeOf(code), fmt::format("{}: {}", doing, words));
}

void Statement::BindNull(int parameter) { sqlite3_bind_null(get(), parameter); }
void Statement::BindInteger(int parameter, int64_t value) {
  sqlite3_bind_int64(get(), parameter, value);
}
void Statement::BindReal(int parameter, double value) {
  sqlite3_bind_double(get(), parameter, value);
}
void Statement::BindText(int parameter, std::string_view value) {
  // A null pointer would bind NULL, and an empty view may have one.
  sqlite3_bind_text64(get(), parameter, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC, SQLITE_UTF8);
}
void Statement::BindBlob(int parameter, std::string_view value) {
  sqlite3_bind_blob64(get(), parameter, value.data() == nullptr ? "" : value.data(), value.size(),
                      SQLITE_STATIC);
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ToStatus(code, sqlite3_db_handle(get()), "");
}

absl::Status Statement::Run() {
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) more = Step();
  Reset();
  return more.status();
}

void Statement::Reset() { sqlite3_reset(get()); }

int Statement::ColumnCount() const { return sqlite3_column_count(get()); }
std::string_view Statement::ColumnName(int column) const {
  const char* name = sqlite3_column_name(get(), column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}
int64_t Statement::Integer(int column) const { return sqlite3_column_int64(get(), column); }
double Statement::Real(int column) const { return sqlite3_column_double(get(), column); }
std::string_view Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(get(), column))};
}

absl::StatusOr<Database> Database::OpenInMemory() {
  absl::StatusOr<sqlite3*> database = Open(
      ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY, ScratchFiles());
  if (!database.ok()) return database.status();
  return Database(*database);
}

absl::StatusOr<Database> Database::OpenFile(const std::string& path) {
  absl::StatusOr<sqlite3*> database = Open(path.c_str(), SQLITE_OPEN_READONLY, nullptr);
  if (!database.ok()) return database.status();
  return Database(*database);
}

absl::Status Database::Execute(const std::string& sql) {
  const int code = sqlite3_exec(get(), sql.c_str(), nullptr, nullptr, nullptr);
  return ToStatus(code, get(), "");
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql) {
  if (const size_t zero = sql.find('\0'); zero != sql.npos) {
    return absl::InvalidArgumentError(fmt::format("the statement has a zero byte at {}", zero));
  }
  if (sql.size() > static_cast<size_t>(sqlite3_limit(get(), SQLITE_LIMIT_SQL_LENGTH, -1))) {
    return absl::ResourceExhaustedError(
        fmt::format("the statement has {} bytes; the limit is {}", sql.size(),
                    sqlite3_limit(get(), SQLITE_LIMIT_SQL_LENGTH, -1)));
  }
  Statement first;
  const char* rest = sql.data();
  const char* const end = sql.data() + sql.size();
  while (rest != end) {
    sqlite3_stmt* prepared = nullptr;
    const int code =
        sqlite3_prepare_v2(get(), rest, static_cast<int>(end - rest), &prepared, &rest);
    // What follows a first statement is looked at only to see whether it is empty.
    if (code != SQLITE_OK && first) {
      return absl::InvalidArgumentError("only one statement at a time, please");
    }
    if (code != SQLITE_OK) return ToStatus(code, get(), "");
    if (prepared == nullptr) continue;
    Statement statement(prepared);
    if (first) return absl::InvalidArgumentError("only one statement at a time, please");
    first = std::move(statement);
  }
  if (!first) return absl::InvalidArgumentError("there is no statement");
  return first;
}

absl::Status Database::ReadFrom(const std::string& schema, std::string_view bytes) {
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  const auto size = static_cast<sqlite3_int64>(bytes.size());
  // READONLY keeps SQLite from writing, so that the bytes may be shared.
  const int code =
      sqlite3_deserialize(get(), schema.c_str(), data, size, size, SQLITE_DESERIALIZE_READONLY);
  if (code != SQLITE_OK) return ToStatus(code, get(), fmt::format("cannot read {}", schema));
  // Pages are then used where they lie instead of being copied into a page cache.
  return Execute(absl::StrCat("PRAGMA ", QuoteName(schema),
                              ".mmap_size = ", std::min<int64_t>(size, 0x7fff0000)));
}

absl::Status Database::AttachEmpty(const std::string& schema) {
  return Execute(fmt::format("ATTACH ':memory:' AS {}", QuoteName(schema)));
}

absl::StatusOr<Image> Database::Serialize(const std::string& schema) {
  sqlite3_int64 size = 0;
  unsigned char* bytes = sqlite3_serialize(get(), schema.c_str(), &size, 0);
  if (bytes == nullptr) {
    return absl::ResourceExhaustedError(
        fmt::format("no memory to serialize {} ({} bytes)", schema, size));
  }
  return Image(bytes, static_cast<size_t>(size));
}

int64_t Database::Changes() const { return sqlite3_changes64(get()); }

void Database::Interrupt() { sqlite3_interrupt(get()); }

}  // namespace qasino::sqlite
