#ifndef QASINO_CLIENTS_SQL_STATEMENT_SPLITTER_H_
#define QASINO_CLIENTS_SQL_STATEMENT_SPLITTER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace qasino::sql {

// Finds where SQL statements end in text that comes piece by piece: at a `;` outside of
// strings, quoted names and comments. It is sqlite3_complete() that need not begin anew at
// every `;`, and without the bodies of triggers. Not thread-safe.
//
//   splitter.Append(line);
//   while (std::optional<std::string> statement = splitter.Next()) Run(*statement);
class StatementSplitter {
 public:
  void Append(std::string_view text) { text_ += text; }

  // The next whole statement with its `;`. Statements without content are skipped.
  std::optional<std::string> Next();

  // What is left without a `;`, if it has content; the splitter is then empty.
  std::optional<std::string> Rest();

  // A statement has begun: there is more than blanks and comments.
  bool has_content() const { return has_content_; }

  // Bytes that wait for their `;`.
  size_t size() const { return text_.size() - begin_; }

  void Clear();

 private:
  enum class In { kSql, kString, kName, kBacktick, kBracket, kLineComment, kBlockComment };

  // Reads on to the next `;` of the statement; false when there is none yet.
  bool FindEnd();
  std::string Take(size_t end);

  std::string text_;
  size_t begin_ = 0;  // of the statement
  size_t at_ = 0;     // read so far
  In in_ = In::kSql;
  bool has_content_ = false;  // from begin_ to at_
};

}  // namespace qasino::sql

#endif  // QASINO_CLIENTS_SQL_STATEMENT_SPLITTER_H_
