#include "adapters/legacy/errors.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "adapters/legacy/json_text.h"
#include "clients/cpp/absl_text.h"
#include "clients/cpp/display_text.h"

namespace qasino::legacy {
namespace {

using client::Absl;

constexpr std::string_view kUnrecognizedStatement = "ERROR: Unrecognized statement: ";

// What an answer repeats of a statement.
constexpr size_t kMostSqlBytes = 4 << 10;

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

std::string_view Message(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// Without what SQL passes over: blanks and comments.
std::string_view FromFirstWord(std::string_view sql) {
  while (true) {
    sql.remove_prefix(std::min(sql.find_first_not_of(" \t\n\f\r"), sql.size()));
    std::string_view end;
    if (sql.starts_with("--")) end = "\n";
    if (sql.starts_with("/*")) end = "*/";
    if (end.empty()) return sql;
    const size_t at = sql.find(end, 2);
    if (at == sql.npos) return {};
    sql.remove_prefix(at + end.size());
  }
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [word](std::string_view one) {
    return absl::EqualsIgnoreCase(Absl(word), Absl(one));
  });
}

// Whether a statement found wrong is none that the original knows, rather than one with an
// error in it: query lets SQLite look at it first, for which `insert into nosuch …` has no
// such table, and `hello` a wrong syntax.
bool IsUnrecognized(std::string_view sql, std::string_view message) {
  sql = FromFirstWord(sql);
  const auto is_letter = [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; };
  const std::string_view word =
      sql.substr(0, std::find_if_not(sql.begin(), sql.end(), is_letter) - sql.begin());
  if (IsOneOf(word, {"select", "with", "values", "explain", "pragma"})) return false;
  if (IsOneOf(word, {"desc", "describe"})) {
    // All else that can be wrong with it is its form.
    return !message.ends_with(" not found");
  }
  return true;
}

std::string Unrecognized(std::string_view sql) {
  const bool cut = sql.size() > kMostSqlBytes;
  if (cut) {
    size_t size = kMostSqlBytes;
    // Not within a character.
    while (size > 0 && (static_cast<unsigned char>(sql[size]) & 0xc0) == 0x80) --size;
    sql = sql.substr(0, size);
  }
  std::string message(kUnrecognizedStatement);
  message += sql;
  if (cut) message += "...";
  return message;
}

// Sent again it would be as large; else there is too much of others, and later it may go.
bool IsTooLarge(std::string_view message) {
  if (Contains(message, "try again")) return false;
  return Contains(message, "over the limit of") ||
         // gRPC's words, and those of query for a statement.
         Contains(message, "message larger than max") || message.starts_with("the statement has ");
}

// A limit that the statement itself passes, now and the next time, as query words it: an error
// of SQL like any other. Some of the words are SQLite's.
bool IsOfTheStatement(std::string_view message) {
  constexpr std::string_view kBegins[] = {
      "the query needs more memory than ", "the result has more than ", "a row of the result has ",
      "string or blob too big", "LIKE or GLOB pattern too complex"};
  return std::any_of(std::begin(kBegins), std::end(kBegins),
                     [message](std::string_view begin) { return message.starts_with(begin); });
}

// For what is the same whether something is asked or published.
int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    case absl::StatusCode::kResourceExhausted:
      return IsTooLarge(Message(status)) ? 413 : 429;
    default:
      return 500;
  }
}

std::string Prefixed(std::string_view prefix, std::string_view text) {
  std::string whole(prefix);
  whole += text;
  return whole;
}

}  // namespace

std::string OkBody(std::string_view identity) {
  std::string body = R"({"response_op":"ok","identity":)";
  AppendJsonString(identity, &body);
  body += '}';
  return body;
}

std::string ErrorBody(std::string_view identity, std::string_view message) {
  std::string body = R"({"response_op":"error","identity":)";
  AppendJsonString(identity, &body);
  body += R"(,"error_message":)";
  AppendJsonString(message, &body);
  body += '}';
  return body;
}

Told TellQueryError(const absl::Status& status, std::string_view sql) {
  const std::string_view message = Message(status);
  Told told;
  std::string plain(message);
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      if (IsUnrecognized(sql, message)) {
        plain = told.json_message = Unrecognized(sql);
      } else if (IsOneOf(FromFirstWord(sql).substr(0, 4), {"desc"})) {
        told.json_message = message;
      } else {
        told.json_message = Prefixed("SQLError: ", message);
      }
      break;
    case absl::StatusCode::kPermissionDenied:
      plain = told.json_message = Unrecognized(sql);
      break;
    case absl::StatusCode::kNotFound:
      told.http_status = 404;
      told.json_message = message;
      break;
    default:
      if (absl::IsResourceExhausted(status) && IsOfTheStatement(message)) {
        told.json_message = Prefixed("SQLError: ", message);
        break;
      }
      told.http_status = HttpStatus(status);
      told.json_message = message;
  }
  told.text_message = Prefixed("SQL error: ", client::Displayed(plain).text);
  return told;
}

Told TellPublishError(const absl::Status& status) {
  Told told;
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      told.json_message = Prefixed(kInvalidInputFormat, Message(status));
      break;
    default:
      told.http_status = HttpStatus(status);
      told.json_message = Message(status);
  }
  told.text_message = told.json_message;
  return told;
}

}  // namespace qasino::legacy
