#include "services/query/show.h"

#include <fmt/format.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace qasino::query {
namespace {

constexpr char kForms[] =
    "SHOW TABLES [LIKE 'pattern'], SHOW CONNECTIONS, SHOW INFO, SHOW VIEWS, "
    "SHOW GENERATIONS, DESC table, DESC VIEW view";

// A word, or a text between quotes with the quotes taken off.
struct Token {
  std::string text;
  char quote = 0;

  bool Is(const char* word) const { return quote == 0 && absl::EqualsIgnoreCase(text, word); }
};

// The tokens before an optional ';' and blanks. Nothing when there is more behind it, or
// a quote does not end.
std::optional<std::vector<Token>> Tokenize(std::string_view sql) {
  std::vector<Token> tokens;
  size_t at = 0;
  while (at < sql.size()) {
    const char c = sql[at];
    if (absl::ascii_isspace(static_cast<unsigned char>(c))) {
      ++at;
    } else if (c == ';') {
      const std::string_view rest = sql.substr(at + 1);
      if (rest.find_first_not_of(" \t\r\n;") != rest.npos) return std::nullopt;
      return tokens;
    } else if (c == '\'' || c == '"') {
      Token token{.quote = c};
      for (++at;; ++at) {
        if (at >= sql.size()) return std::nullopt;
        if (sql[at] == c) {
          if (at + 1 >= sql.size() || sql[at + 1] != c) break;
          ++at;
        }
        token.text += sql[at];
      }
      ++at;
      tokens.push_back(std::move(token));
    } else {
      size_t end = sql.find_first_of(" \t\r\n;'\"", at);
      if (end == sql.npos) end = sql.size();
      tokens.push_back({.text = std::string(sql.substr(at, end - at))});
      at = end;
    }
  }
  return tokens;
}

std::string WithDatetime(const char* table, const char* epoch, const char* datetime,
                         const char* rest) {
  return fmt::format(
      "SELECT *, strftime('%Y-%m-%d %H:%M:%f UTC', {1}, 'unixepoch') AS {2} FROM {0}{3}", table,
      epoch, datetime, rest);
}

std::optional<ShowStatement> Show(const std::vector<Token>& tokens) {
  const Token& what = tokens[1];
  if (what.Is("tables") && tokens.size() == 2) {
    return ShowStatement{.sql = WithDatetime("qasino_server_tables", "last_update_epoch",
                                             "last_update_datetime", " ORDER BY tablename")};
  }
  if (what.Is("tables") && tokens.size() == 4 && tokens[2].Is("like") && tokens[3].quote != 0) {
    return ShowStatement{
        .sql = WithDatetime("qasino_server_tables", "last_update_epoch", "last_update_datetime",
                            " WHERE tablename LIKE ?1 ORDER BY tablename"),
        .parameter = tokens[3].text};
  }
  if (tokens.size() != 2) return std::nullopt;
  if (what.Is("connections")) {
    return ShowStatement{.sql = WithDatetime("qasino_server_connections", "last_update_epoch",
                                             "last_update_datetime", " ORDER BY identity")};
  }
  if (what.Is("info")) {
    return ShowStatement{.sql = WithDatetime("qasino_server_info", "generation_start_epoch",
                                             "generation_start_datetime", "")};
  }
  if (what.Is("generations")) {
    return ShowStatement{.sql = WithDatetime("qasino_server_generations", "committed_epoch",
                                             "committed_datetime", " ORDER BY generation DESC")};
  }
  if (what.Is("views")) {
    return ShowStatement{
        .sql = "SELECT viewname, loaded, errormsg FROM qasino_server_views ORDER BY viewname"};
  }
  return std::nullopt;
}

std::optional<ShowStatement> Describe(const std::vector<Token>& tokens) {
  const auto is_name = [](const Token& token) { return token.quote != '\''; };
  if (tokens.size() == 2 && is_name(tokens[1])) {
    return ShowStatement{.sql =
                             "SELECT column_name, column_type FROM qasino_server_columns "
                             "WHERE tablename = ?1 COLLATE NOCASE ORDER BY position",
                         .parameter = tokens[1].text,
                         .error_when_empty = fmt::format("Table {} not found", tokens[1].text)};
  }
  if (tokens.size() == 3 && tokens[1].Is("view") && is_name(tokens[2])) {
    return ShowStatement{
        .sql = "SELECT view FROM qasino_server_views WHERE viewname = ?1 COLLATE NOCASE",
        .parameter = tokens[2].text,
        .error_when_empty = fmt::format("View {} not found", tokens[2].text)};
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::optional<ShowStatement>> ParseShow(std::string_view sql) {
  const size_t first = sql.find_first_not_of(" \t\r\n");
  if (first == sql.npos) return std::nullopt;
  std::string_view word = sql.substr(first);
  word = word.substr(0, word.find_first_of(" \t\r\n;'\""));
  const std::string lower = absl::AsciiStrToLower(std::string(word.substr(0, 16)));
  const bool show = lower == "show";
  if (!show && lower != "desc" && lower != "describe") return std::nullopt;

  const std::optional<std::vector<Token>> tokens = Tokenize(sql);
  std::optional<ShowStatement> statement;
  if (tokens.has_value() && tokens->size() >= 2) {
    statement = show ? Show(*tokens) : Describe(*tokens);
  }
  if (!statement.has_value()) {
    return absl::InvalidArgumentError(fmt::format("{} does not go like this; there is: {}",
                                                  absl::AsciiStrToUpper(lower), kForms));
  }
  return statement;
}

}  // namespace qasino::query
