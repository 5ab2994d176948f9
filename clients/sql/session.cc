#include "clients/sql/session.h"

#include <cstdio>
#include <memory>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "clients/cpp/display_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::sql {
namespace {

std::string Elapsed(const v1::QuerySummary& summary) {
  const absl::Duration elapsed =
      absl::Seconds(summary.elapsed().seconds()) + absl::Nanoseconds(summary.elapsed().nanos());
  char text[64];
  std::snprintf(text, sizeof(text), "%.3f ms", absl::ToDoubleMilliseconds(elapsed));
  return text;
}

std::string SnapshotLine(const v1::SnapshotInfo& snapshot, const v1::QuerySummary& summary,
                         bool is_running) {
  if (snapshot.generation() == 0) {
    return absl::StrCat("snapshot: empty, no generation has ended yet; ", Elapsed(summary), "\n");
  }
  return absl::StrCat(
      is_running ? "running: generation " : "snapshot: generation ", snapshot.generation(), " (",
      absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixSeconds(snapshot.generation()),
                       absl::UTCTimeZone()),
      ")", is_running ? std::string() : absl::StrCat(", revision ", snapshot.revision()), ", ",
      snapshot.publishers(), snapshot.publishers() == 1 ? " publisher; " : " publishers; ",
      Elapsed(summary), "\n");
}

}  // namespace

Session::Session(client::QueryClient* client, const SessionOptions& options, std::ostream* out,
                 std::ostream* err)
    : client_(client), options_(options), out_(*out), err_(*err) {}

ExitCode Session::Fail(const absl::Status& status) {
  out_.flush();
  const std::string message = client::Displayed(std::string(status.message())).text;
  if (client::IsUnreachable(status)) {
    err_ << "qasinosql: " << message << "; is it running?\n" << std::flush;
    return kNoConnection;
  }
  err_ << "ERROR: " << message << "\n" << std::flush;
  return kStatementFailed;
}

ExitCode Session::Run(const std::string& sql) {
  if (!client::IsUtf8(sql)) {
    err_ << "ERROR: the statement is not UTF-8\n" << std::flush;
    return kStatementFailed;
  }
  v1::QueryRequest request;
  request.set_sql(sql);
  request.set_row_limit(options_.row_limit);
  options_.snapshot.ApplyTo(&request);
  absl::StatusOr<client::QueryResult> result = client_->Query(request);
  if (!result.ok()) return Fail(result.status());

  std::vector<std::string> columns;
  for (const v1::ColumnInfo& column : result->columns()) columns.push_back(column.name());
  const std::unique_ptr<ResultPrinter> printer =
      MakeResultPrinter(options_.format, options_.to_terminal, &out_);
  printer->Begin(columns);
  std::vector<client::Cell> cells;
  for (const client::Row& row : *result) {
    cells.assign(row.begin(), row.end());
    printer->Row(cells);
    if (!out_) break;
  }
  if (!result->status().ok()) {
    printer->End();
    return Fail(result->status());
  }
  printer->End();

  // Programs that read the rows want nothing else there.
  std::ostream& notes = options_.format == Format::kTable ? out_ : err_;
  if (&notes == &err_) out_.flush();
  const bool is_running = options_.snapshot.is_running();
  notes << SnapshotLine(result->snapshot(), result->summary(), is_running);
  if (result->summary().truncated()) {
    notes << "WARNING: there are more rows; --row-limit " << options_.row_limit
          << " cut the answer short\n";
  }
  if (!result->snapshot().complete() && result->snapshot().generation() != 0 && !is_running) {
    notes
        << "WARNING: the snapshot is incomplete: an ingest process has not handed in its tables\n";
  }
  out_.flush();
  err_.flush();
  if (!out_) {
    err_ << "qasinosql: cannot write to standard output\n" << std::flush;
    return kOwnFault;
  }
  return kFine;
}

}  // namespace qasino::sql
