#include "clients/sql/statement_splitter.h"

namespace qasino::sql {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

}  // namespace

bool StatementSplitter::FindEnd() {
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    const bool has_next = at_ + 1 < text_.size();
    const char next = has_next ? text_[at_ + 1] : '\0';
    switch (in_) {
      case In::kSql:
        if (c == ';') {
          ++at_;
          return true;
        }
        // Whether this begins a comment is known with the next byte only.
        if ((c == '-' || c == '/') && !has_next) return false;
        if (c == '-' && next == '-') {
          in_ = In::kLineComment;
        } else if (c == '/' && next == '*') {
          in_ = In::kBlockComment;
          ++at_;
        } else if (!IsBlank(c)) {
          has_content_ = true;
          if (c == '\'') in_ = In::kString;
          if (c == '"') in_ = In::kName;
          if (c == '`') in_ = In::kBacktick;
          if (c == '[') in_ = In::kBracket;
        }
        break;
      // A doubled quote closes and opens again.
      case In::kString:
        if (c == '\'') in_ = In::kSql;
        break;
      case In::kName:
        if (c == '"') in_ = In::kSql;
        break;
      case In::kBacktick:
        if (c == '`') in_ = In::kSql;
        break;
      case In::kBracket:
        if (c == ']') in_ = In::kSql;
        break;
      case In::kLineComment:
        if (c == '\n') in_ = In::kSql;
        break;
      case In::kBlockComment:
        if (c == '*' && !has_next) return false;
        if (c == '*' && next == '/') {
          in_ = In::kSql;
          ++at_;
        }
        break;
    }
  }
  return false;
}

std::string StatementSplitter::Take(size_t end) {
  while (begin_ < end && IsBlank(text_[begin_])) ++begin_;
  std::string statement = text_.substr(begin_, end - begin_);
  begin_ = end;
  has_content_ = false;
  return statement;
}

std::optional<std::string> StatementSplitter::Next() {
  while (FindEnd()) {
    if (!has_content_) {
      begin_ = at_;
      continue;
    }
    return Take(at_);
  }
  // Drop what was taken, now and then.
  if (begin_ > text_.size() / 2) {
    text_.erase(0, begin_);
    at_ -= begin_;
    begin_ = 0;
  }
  return std::nullopt;
}

std::optional<std::string> StatementSplitter::Rest() {
  // A last '-' or '/' that waited for another.
  has_content_ = has_content_ || at_ < text_.size();
  const bool content = has_content_;
  std::string rest = Take(text_.size());
  Clear();
  if (!content) return std::nullopt;
  return rest;
}

void StatementSplitter::Clear() {
  text_.clear();
  begin_ = at_ = 0;
  in_ = In::kSql;
  has_content_ = false;
}

}  // namespace qasino::sql
