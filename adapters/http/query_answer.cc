#include "adapters/http/query_answer.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "adapters/http/errors.h"
#include "adapters/http/gzip.h"
#include "adapters/http/negotiation.h"
#include "adapters/legacy/errors.h"
#include "qasino/v1/query.pb.h"
#include "services/server/log.h"

namespace qasino::http {
namespace {

using Query = std::shared_ptr<client::AsyncQuery>;
using Part = const v1::QueryResponse*;

// Shorter answers are not worth it.
constexpr size_t kLeastGzipBytes = 1 << 10;

Task<Part> ReadPart(Exchange& exchange, client::AsyncQuery& query) {
  const auto read = [&query](auto done) { query.Read(std::move(done)); };
  return Await<Part>(exchange.executor(), read);
}

// A query that somebody stopped, being asked to finish, did not fail.
absl::Status Told(absl::Status status) {
  if (!absl::IsCancelled(status)) return status;
  return absl::UnavailableError("the query was stopped");
}

std::string SnapshotHeaders(const v1::SnapshotInfo& snapshot) {
  return fmt::format(
      "Qasino-Generation: {}\r\nQasino-Revision: {}\r\nCache-Control: no-cache\r\n"
      "Vary: Accept, Accept-Encoding\r\n",
      snapshot.generation(), snapshot.revision());
}

// What an answer depends on besides the snapshot's numbers, which is the store, and the views,
// that may be loaded anew meanwhile.
std::string Source(const v1::SnapshotInfo& snapshot) {
  return snapshot.views() == 0 ? snapshot.store_id()
                               : fmt::format("{}:{:x}", snapshot.store_id(), snapshot.views());
}

std::string EtagHeader(const v1::SnapshotInfo& snapshot, const Question& question) {
  return fmt::format("ETag: {}\r\n", MakeEtag(Source(snapshot), snapshot.generation(),
                                              snapshot.revision(), question.sql, question.format));
}

// The rest of an answer of which `part` is the first part.
Task<void> Stream(Exchange& exchange, client::AsyncQuery& query, legacy::ResultWriter& writer,
                  GzipWriter* gzip) {
  std::string text;
  while (true) {
    const Part part = co_await ReadPart(exchange, query);
    const bool failed = part == nullptr && !query.status().ok();
    std::string& out = gzip != nullptr ? text : exchange.body();
    if (part != nullptr) writer.Part(*part, &out);
    if (failed) writer.Fail(Told(query.status()), &out);
    const bool last = part == nullptr || part->has_summary();
    if (gzip != nullptr) {
      gzip->Write(text, &exchange.body());
      text.clear();
      if (last && !failed) gzip->Finish(&exchange.body());
    }
    if (failed) {
      // Not every format has room for the reason. Cancelled is what nobody waits for.
      if (!absl::IsCancelled(query.status())) {
        log::Info("http", "answer broken off", {{"error", query.status()}});
      }
      co_await exchange.Abandon();
      co_return;
    }
    if (last) {
      co_await exchange.End();
      co_return;
    }
    if (!co_await exchange.SendPart()) co_return;
  }
}

}  // namespace

Task<void> AnswerQuery(Exchange& exchange, const Service& service, Question question) {
  v1::QueryRequest request;
  request.set_sql(question.sql);
  if (question.running) request.set_running(true);
  const std::string_view known = exchange.request().if_none_match;
  std::optional<SeenAnswer> seen;
  if (question.cacheable && !known.empty()) seen = Seen(known, question.sql, question.format);
  if (seen) {
    request.mutable_unless_snapshot()->set_generation(seen->generation);
    request.mutable_unless_snapshot()->set_revision(seen->revision);
  }

  Query query = service.upstream->Query(request);
  exchange.SetRunning(query);
  Part part = co_await ReadPart(exchange, *query);
  if (part != nullptr && part->summary().unchanged()) {
    const v1::SnapshotInfo& snapshot = part->header().snapshot();
    if (seen && seen->IsOf(Source(snapshot))) {
      Response response;
      response.status = 304;
      response.headers = SnapshotHeaders(snapshot) + EtagHeader(snapshot, question);
      co_await exchange.Send(response);
      co_return;
    }
    // Another store's snapshot of the same number, or with other views.
    request.clear_unless_snapshot();
    query = service.upstream->Query(request);
    exchange.SetRunning(query);
    part = co_await ReadPart(exchange, *query);
  }
  if (part == nullptr) {
    co_await SendTold(exchange, service,
                      legacy::TellQueryError(Told(query->status()), question.sql),
                      question.text_errors);
    co_return;
  }

  Response response;
  response.content_type = legacy::ContentType(question.format);
  response.headers = SnapshotHeaders(part->header().snapshot());
  if (question.cacheable && part->header().repeatable()) {
    response.headers += EtagHeader(part->header().snapshot(), question);
  }
  const std::unique_ptr<legacy::ResultWriter> writer =
      legacy::MakeResultWriter(question.format, service.identity, question.sql);
  const bool whole = part->has_summary();
  std::string& body = exchange.body();
  body = std::move(question.prefix);
  writer->Part(*part, &body);

  std::unique_ptr<GzipWriter> gzip;
  if ((!whole || body.size() >= kLeastGzipBytes) &&
      AcceptsGzip(exchange.request().accept_encoding)) {
    // Without memory for it the answer goes as it is.
    if (auto made = GzipWriter::Create(); made.ok()) gzip = *std::move(made);
  }
  if (gzip != nullptr) {
    response.gzip = true;
    std::string packed;
    gzip->Write(body, &packed);
    if (whole) gzip->Finish(&packed);
    body = std::move(packed);
  }
  if (whole) {
    co_await exchange.Send(response);
    co_return;
  }
  const bool begun = co_await exchange.Begin(response);
  if (begun && exchange.request().method != Method::kHead) {
    co_await Stream(exchange, *query, *writer, gzip.get());
  }
  query->Cancel();
}

}  // namespace qasino::http
