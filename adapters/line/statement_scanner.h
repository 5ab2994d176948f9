#ifndef QASINO_ADAPTERS_LINE_STATEMENT_SCANNER_H_
#define QASINO_ADAPTERS_LINE_STATEMENT_SCANNER_H_

#include <array>
#include <cstddef>

namespace qasino::line {

// Tells where statements end in text that comes byte by byte: sqlite3_complete(), bodies of
// triggers included, that does not begin anew for each byte. It keeps none of the text, so
// text of any length costs a fixed time a byte and no memory. Not thread-safe.
class StatementScanner {
 public:
  // Takes the next byte, which is not zero. True: it completes a statement, and the next
  // byte is the first of another.
  bool Take(char byte);

  // The statement has only blanks and whole comments so far.
  bool at_start() const { return state_ == State::kStart && in_ == In::kSql; }

 private:
  // As in SQLite's complete.c, whose states "invalid" and "start" are one here, because the
  // text ends where it is complete.
  enum class State { kStart, kNormal, kExplain, kCreate, kTrigger, kSemicolon, kEnd };
  enum class Token { kSemicolon, kOther, kExplain, kCreate, kTemp, kTrigger, kEnd };
  enum class In { kSql, kWord, kDash, kSlash, kQuoted, kLineComment, kBlockComment };

  // True when the token completes the statement.
  bool TakeToken(Token token);
  Token WordToken() const;
  void BeginWord(char byte);
  void ExtendWord(char byte);

  State state_ = State::kStart;
  In in_ = In::kSql;
  char quote_ = 0;           // the one that closes, in kQuoted
  bool after_star_ = false;  // in kBlockComment
  // In kWord: its first bytes, lower case, as many as SQLite's longest keyword here has.
  std::array<char, 9> word_ = {};
  size_t word_size_ = 0;  // at most one more than fits
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_STATEMENT_SCANNER_H_
