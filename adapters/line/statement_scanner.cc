#include "adapters/line/statement_scanner.h"

#include <string_view>

namespace qasino::line {
namespace {

// A vertical tab is no blank to sqlite3_complete().
bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

}  // namespace

bool StatementScanner::Take(char byte) {
  switch (in_) {
    case In::kQuoted:
      // A doubled quote closes and opens again.
      if (byte == quote_) {
        in_ = In::kSql;
        TakeToken(Token::kOther);
      }
      return false;
    case In::kLineComment:
      if (byte == '\n') in_ = In::kSql;
      return false;
    case In::kBlockComment:
      if (byte == '/' && after_star_) in_ = In::kSql;
      after_star_ = byte == '*';
      return false;
    case In::kWord:
      if (IsWordByte(byte)) {
        ExtendWord(byte);
        return false;
      }
      TakeToken(WordToken());
      break;
    case In::kDash:
      if (byte == '-') {
        in_ = In::kLineComment;
        return false;
      }
      TakeToken(Token::kOther);
      break;
    case In::kSlash:
      if (byte == '*') {
        in_ = In::kBlockComment;
        after_star_ = false;
        return false;
      }
      TakeToken(Token::kOther);
      break;
    case In::kSql:
      break;
  }
  in_ = In::kSql;
  if (byte == ';') return TakeToken(Token::kSemicolon);
  if (IsBlank(byte)) return false;
  if (byte == '-') {
    in_ = In::kDash;
  } else if (byte == '/') {
    in_ = In::kSlash;
  } else if (byte == '\'' || byte == '"' || byte == '`' || byte == '[') {
    in_ = In::kQuoted;
    quote_ = byte == '[' ? ']' : byte;
  } else if (IsWordByte(byte)) {
    BeginWord(byte);
  } else {
    TakeToken(Token::kOther);
  }
  return false;
}

bool StatementScanner::TakeToken(Token token) {
  const bool semicolon = token == Token::kSemicolon;
  switch (state_) {
    case State::kStart:
    case State::kExplain:
      if (semicolon) {
        state_ = State::kStart;
        return true;
      }
      if (token == Token::kCreate) {
        state_ = State::kCreate;
      } else if (state_ == State::kStart && token == Token::kExplain) {
        state_ = State::kExplain;
      } else if (state_ == State::kStart || token != Token::kOther) {
        // EXPLAIN may have words of its own, QUERY PLAN, before CREATE.
        state_ = State::kNormal;
      }
      return false;
    case State::kCreate:
      if (semicolon) {
        state_ = State::kStart;
        return true;
      }
      if (token == Token::kTrigger) {
        state_ = State::kTrigger;
      } else if (token != Token::kTemp) {
        state_ = State::kNormal;
      }
      return false;
    case State::kNormal:
    case State::kEnd:
      if (semicolon) {
        state_ = State::kStart;
        return true;
      }
      if (state_ == State::kEnd) state_ = State::kTrigger;
      return false;
    case State::kTrigger:
    case State::kSemicolon:
      // A trigger ends with `; END ;`.
      if (semicolon) {
        state_ = State::kSemicolon;
      } else {
        const bool end = state_ == State::kSemicolon && token == Token::kEnd;
        state_ = end ? State::kEnd : State::kTrigger;
      }
      return false;
  }
  return false;
}

StatementScanner::Token StatementScanner::WordToken() const {
  if (word_size_ > word_.size()) return Token::kOther;
  const std::string_view word(word_.data(), word_size_);
  if (word == "create") return Token::kCreate;
  if (word == "trigger") return Token::kTrigger;
  if (word == "temp" || word == "temporary") return Token::kTemp;
  if (word == "end") return Token::kEnd;
  if (word == "explain") return Token::kExplain;
  return Token::kOther;
}

void StatementScanner::BeginWord(char byte) {
  in_ = In::kWord;
  word_size_ = 0;
  ExtendWord(byte);
}

void StatementScanner::ExtendWord(char byte) {
  if (word_size_ > word_.size()) return;
  if (word_size_ < word_.size()) {
    word_[word_size_] = byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte - 'A' + 'a') : byte;
  }
  ++word_size_;
}

}  // namespace qasino::line
