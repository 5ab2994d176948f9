#ifndef QASINO_CLIENTS_SQL_SESSION_H_
#define QASINO_CLIENTS_SQL_SESSION_H_

#include <cstdint>
#include <iosfwd>
#include <string>

#include "clients/cpp/query_client.h"
#include "clients/sql/result_printer.h"

namespace qasino::sql {

// The exit codes of the program, which are psql's.
enum ExitCode { kFine = 0, kOwnFault = 1, kNoConnection = 2, kStatementFailed = 3 };

struct SessionOptions {
  Format format = Format::kTable;
  // Rows after which an answer is cut off; 0: the server's limit alone.
  uint64_t row_limit = 0;
  client::SnapshotChoice snapshot;
  // Standard output is a terminal.
  bool to_terminal = false;
};

// Runs statements and shows their answers: rows, then which snapshot answered, and a
// warning where the answer is not all that there is. With CSV and JSON, the rows alone are
// on `out`, and the rest on `err`. Not thread-safe.
class Session {
 public:
  // All outlive it.
  Session(client::QueryClient* client, const SessionOptions& options, std::ostream* out,
          std::ostream* err);

  // Runs one statement. Errors are on `err`, `ERROR: ` before what the server says.
  ExitCode Run(const std::string& sql);

 private:
  ExitCode Fail(const absl::Status& status);

  client::QueryClient* const client_;
  const SessionOptions options_;
  std::ostream& out_;
  std::ostream& err_;
};

}  // namespace qasino::sql

#endif  // QASINO_CLIENTS_SQL_SESSION_H_
