// qasinosql: runs SQL on Qasino and shows the answers.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/connect_flags.h"
#include "clients/cpp/query_client.h"
#include "clients/sql/prompt.h"
#include "clients/sql/session.h"
#include "clients/sql/statement_splitter.h"

namespace qasino::sql {
namespace {

constexpr int kDefaultPort = 15602;
// What a file or standard input may hold without a `;`.
constexpr size_t kMaxStatementBytes = 1 << 20;

constexpr char kExamples[] = R"(Examples:
  What is there:
    qasinosql -q 'SHOW TABLES'
    qasinosql -q 'DESC disks'
  A question across all publishers, on another host:
    qasinosql -H stats.example.com -q 'select identity, max(load) from cpu group by 1'
  Some statements, for a program to read:
    qasinosql --format json -q 'select 1 as one; select 2 as two'
    qasinosql --format csv -f report.sql > report.csv
  How it was some generations ago, and what is collected so far of this one:
    qasinosql -q 'SHOW GENERATIONS'
    qasinosql --generation 1795334400 -q 'select * from cpu'
    qasinosql --running -q 'select * from cpu'
  A prompt, for statements of several lines that end in ';':
    qasinosql

The prompt ends with quit, exit, \q or Ctrl-D; Ctrl-C stops the statement that runs.
Below each answer stand the snapshot that gave it, a generation of tables, and whether
it is cut short.

Exit codes: 0 fine, 1 wrong flags or files, 2 no connection, 3 a statement failed.)";

struct Flags {
  std::vector<std::string> queries;
  std::string file;
  std::optional<int64_t> generation;
  bool running = false;
  SessionOptions session;
};

int Complain(std::string_view message) {
  std::cerr << "qasinosql: " << message << "\n";
  return kOwnFault;
}

// Runs the statements of a text up to the first that fails.
ExitCode RunText(std::string_view text, Session* session) {
  StatementSplitter splitter;
  splitter.Append(text);
  while (const std::optional<std::string> statement = splitter.Next()) {
    if (const ExitCode code = session->Run(*statement); code != kFine) return code;
  }
  if (const std::optional<std::string> rest = splitter.Rest()) return session->Run(*rest);
  return kFine;
}

// The same for a file, each statement as soon as it is read.
int RunFile(std::FILE* file, const std::string& name, Session* session) {
  StatementSplitter splitter;
  std::string piece;
  while (true) {
    piece.resize(64 << 10);
    // Not fread, which would wait for a whole piece from a pipe.
    const ssize_t count = read(fileno(file), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Complain(absl::StrCat("cannot read ", name, ": ", std::strerror(errno)));
    if (count == 0) break;
    splitter.Append(std::string_view(piece).substr(0, count));
    while (const std::optional<std::string> statement = splitter.Next()) {
      if (const ExitCode code = session->Run(*statement); code != kFine) return code;
    }
    if (splitter.size() > kMaxStatementBytes) {
      return Complain(
          absl::StrCat(name, ": a statement is longer than ", kMaxStatementBytes, " bytes"));
    }
  }
  if (const std::optional<std::string> rest = splitter.Rest()) return session->Run(*rest);
  return kFine;
}

int RunNamedFile(const std::string& path, Session* session) {
  if (path == "-") return RunFile(stdin, "standard input", session);
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) {
    return Complain(absl::StrCat("cannot read '", path, "': ", std::strerror(errno)));
  }
  const int code = RunFile(file, absl::StrCat("'", path, "'"), session);
  std::fclose(file);
  return code;
}

int Run(const Flags& flags, const client::ConnectOptions& connect) {
  const bool prompt = flags.queries.empty() && flags.file.empty() && isatty(STDIN_FILENO);
  if (prompt) BlockInterrupts();
  const auto client = client::QueryClient::Create(connect);
  if (!client.ok()) return Complain(std::string(client.status().message()));
  Session session(client->get(), flags.session, &std::cout, &std::cerr);
  if (prompt) return RunPrompt(client->get(), &session);

  for (const std::string& query : flags.queries) {
    if (const ExitCode code = RunText(query, &session); code != kFine) return code;
  }
  if (!flags.file.empty()) return RunNamedFile(flags.file, &session);
  if (flags.queries.empty()) return RunFile(stdin, "standard input", &session);
  return kFine;
}

int Main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  CLI::App app("Runs SQL on a snapshot of Qasino's tables, the newest, and shows the answers.",
               "qasinosql");
  app.set_version_flag("--version", std::string("qasinosql ") + client::kVersion);
  app.footer(kExamples);
  Flags flags;
  app.add_option("-q,--query", flags.queries,
                 "Run these statements; may be repeated, and the first that fails ends it")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("-f,--file", flags.file,
                 "Run the statements of this file, after those of -q; - is standard input");
  app.add_option("--row-limit", flags.session.row_limit,
                 "Cut each answer off after so many rows, and say so; 0: no limit but the server's")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--format", flags.session.format, "table, csv, or json: an object a row and line")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Format>{
              {"table", Format::kTable}, {"csv", Format::kCsv}, {"json", Format::kJson}},
          CLI::ignore_case))
      ->default_str("table");
  CLI::Option* generation =
      app.add_option("--generation", flags.generation,
                     "Ask the snapshot of this generation, one of SHOW GENERATIONS, instead of "
                     "the newest");
  app.add_flag("--running", flags.running,
               "Ask the generation that is being collected, as it is now")
      ->excludes(generation);
  client::ConnectFlags connect_flags(&app, kDefaultPort, absl::Minutes(1), "QASINO_SQL",
                                     "qasino-query");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kFine : kOwnFault;
  }
  if (flags.generation.has_value()) {
    flags.session.snapshot = client::SnapshotChoice::Generation(*flags.generation);
  } else if (flags.running) {
    flags.session.snapshot = client::SnapshotChoice::Running();
  }
  flags.session.to_terminal = isatty(STDOUT_FILENO) != 0;
  absl::StatusOr<client::ConnectOptions> connect = connect_flags.options();
  if (!connect.ok()) return Complain(std::string(connect.status().message()));
  // A person who waits wants to know soon that no server is there.
  connect->retry.attempts = 3;
  return Run(flags, *connect);
}

}  // namespace
}  // namespace qasino::sql

int main(int argc, char** argv) { return qasino::sql::Main(argc, argv); }
