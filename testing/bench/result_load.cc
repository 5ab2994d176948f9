// Reads every cell of a statement's result through the client library.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "clients/cpp/cells.h"
#include "clients/cpp/query_client.h"
#include "testing/bench/sample_table.h"

namespace {

using qasino::bench::Digest;
using qasino::client::Cell;
using qasino::client::CellKind;
using qasino::client::ColumnReader;
using qasino::client::QueryClient;
using qasino::client::QueryResult;
using qasino::client::Row;

void Add(const Cell& cell, Digest* digest) {
  switch (cell.kind()) {
    case CellKind::kInteger:
      digest->AddInteger(cell.integer());
      break;
    case CellKind::kReal:
      digest->AddReal(cell.real());
      break;
    case CellKind::kText:
      digest->AddText(cell.text());
      break;
    default:
      break;
  }
}

void ReadRows(QueryResult* result, Digest* digest) {
  for (const Row& row : *result) {
    ++digest->rows;
    for (const Cell& cell : row) Add(cell, digest);
  }
}

void ReadBatches(QueryResult* result, Digest* digest) {
  while (const qasino::v1::RowBatch* batch = result->NextBatch()) {
    digest->rows += batch->rows();
    for (const qasino::v1::Column& column : batch->columns()) {
      absl::StatusOr<ColumnReader> reader = ColumnReader::Create(column, batch->rows());
      if (!reader.ok()) return;  // Cannot be: NextBatch has checked.
      for (uint64_t i = 0; i < batch->rows(); ++i) Add(reader->Next(), digest);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string target, sql;
  int repeat = 1;
  bool by_row = false;
  CLI::App app("Reads every cell of a statement's result through the client library.");
  app.add_option("--target", target, "host:port of query")->required();
  app.add_option("--sql", sql, "a {} in it becomes the number of the repetition")->required();
  app.add_option("--repeat", repeat)->capture_default_str();
  app.add_flag("--by-row", by_row, "row by row, instead of column by column in each batch");
  CLI11_PARSE(app, argc, argv);

  const auto fail = [](const absl::Status& status) {
    fmt::print(stderr, "{}\n", status.ToString());
    return 1;
  };
  auto client = QueryClient::Create({.target = target});
  if (!client.ok()) return fail(client.status());
  Digest digest;
  std::chrono::steady_clock::time_point begin;
  for (int i = -1; i < repeat; ++i) {
    // The first is before the clock starts: the connection, and pages into caches.
    if (i == 0) begin = std::chrono::steady_clock::now();
    digest = Digest();
    std::string statement = sql;
    if (const size_t at = sql.find("{}"); at != std::string::npos) {
      statement.replace(at, 2, std::to_string(i));
    }
    auto result = (*client)->Query(statement);
    if (!result.ok()) return fail(result.status());
    if (by_row) {
      ReadRows(&*result, &digest);
    } else {
      ReadBatches(&*result, &digest);
    }
    if (!result->status().ok()) return fail(result->status());
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  fmt::print(
      "{{\"runs\": {}, \"rows\": {}, \"integers\": {}, \"reals\": {:.3f}, \"text_bytes\": {}, "
      "\"text\": {}, \"seconds\": {:.6f}}}\n",
      repeat, digest.rows, digest.integers, digest.reals, digest.text_bytes, digest.text,
      took.count());
  return 0;
}
