#ifndef QASINO_ADAPTERS_LINE_LINE_READER_H_
#define QASINO_ADAPTERS_LINE_LINE_READER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "adapters/line/statement_scanner.h"

namespace qasino::line {

// What a client of the line protocol has asked for.
struct LineEvent {
  enum class Kind {
    // A whole statement with its `;`, in valid UTF-8, without zero bytes.
    kStatement,
    // A statement was no UTF-8.
    kNotUtf8,
    // A statement is over the limit; what is left of its line is passed over.
    kTooLong,
    // `quit;` and the like, or Ctrl-C or Ctrl-D on a line without anything else.
    kGoodbye,
    // Telnet shows nothing of what comes until this is answered by kTimingMarkAnswer.
    kTimingMark,
  };

  Kind kind = Kind::kStatement;
  std::string statement;  // with kStatement
};

// IAC WILL TIMING-MARK (RFC 860).
inline constexpr std::string_view kTimingMarkAnswer = "\xff\xfb\x06";

// Reads the line protocol: bytes of a client, in whatever pieces they come, into statements.
//
//   for (std::string_view rest = piece;;) {
//     std::optional<LineEvent> event = reader.Next(&rest);
//     if (!event) break;
//     …
//   }
//
// Lines end in CRLF, LF, CR or CR NUL, and are joined by LF until they are a statement, as
// sqlite3_complete() has it; one line may have several. Blanks and comments before a
// statement are not part of it. A `;` behind a statement on its line is passed over, one
// that stands alone is a statement, so that it is answered. Ctrl-C and Ctrl-D are heeded
// when they come, where the line has but blanks since it began or since its last statement;
// elsewhere they are bytes like others. Other zero bytes are passed over, as a terminal does.
//
// Of telnet (RFC 854), Interrupt Process and Abort are Ctrl-C, End of File is Ctrl-D, a
// doubled IAC is one byte 255, and the rest is passed over but for a request for a timing
// mark. An IAC before what is no command is a byte too.
//
// Memory: twice the longest statement at most, and nothing between statements. Time: fixed
// per byte. Not thread-safe.
class LineReader {
 public:
  // A statement may have so many bytes, its `;` included.
  explicit LineReader(size_t max_statement_bytes);

  // Takes bytes from the front of *input until something has happened, or none when all are
  // taken. After kGoodbye only timing marks happen.
  std::optional<LineEvent> Next(std::string_view* input);

  // Bytes of memory that the unfinished statement takes.
  size_t held() const { return has_pending() ? pending_.capacity() : 0; }

 private:
  enum class Telnet { kData, kCommand, kOption, kSubnegotiation, kSubnegotiationCommand };

  bool has_pending() const { return !pending_.empty(); }
  std::optional<LineEvent> TakeTelnet(std::string_view* input);
  std::optional<LineEvent> TakeData(char byte);
  std::optional<LineEvent> EndStatement();
  LineEvent Goodbye();

  const size_t max_statement_bytes_;
  Telnet telnet_ = Telnet::kData;
  bool asked_to_do_ = false;  // DO in kOption
  bool after_cr_ = false;
  bool line_is_blank_ = true;  // since its begin, or its last statement
  bool statement_on_line_ = false;
  bool dropping_ = false;  // until the line ends
  bool said_goodbye_ = false;
  StatementScanner scanner_;
  std::string pending_;  // the unfinished statement
};

}  // namespace qasino::line

#endif  // QASINO_ADAPTERS_LINE_LINE_READER_H_
