#include "services/query/cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "services/query/show.h"
#include "services/query/wire.h"
#include "services/sqlite/scratch_files.h"

namespace qasino::query {
namespace {

v1::ColumnType DeclaredType(const char* declared) {
  if (declared == nullptr) return v1::COLUMN_TYPE_UNSPECIFIED;
  for (v1::ColumnType type : {v1::INTEGER, v1::REAL, v1::TEXT, v1::BLOB}) {
    if (absl::EqualsIgnoreCase(declared, merge::TypeName(type))) return type;
  }
  return v1::COLUMN_TYPE_UNSPECIFIED;
}

// Whether SQLite takes it. It would bind NULL in the place of a longer one.
absl::Status CheckLength(const v1::Value& value) {
  const size_t size = std::max(value.text().size(), value.blob().size());
  if (size <= static_cast<size_t>(kMaxValueBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      fmt::format("a parameter has {} bytes; the limit is {} MiB", size, kMaxValueBytes >> 20));
}

// The bytes that are bound belong to `value`.
void BindValue(sqlite::Statement& statement, int parameter, const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kInteger:
      statement.BindInteger(parameter, value.integer());
      break;
    case v1::Value::kReal:
      statement.BindReal(parameter, value.real());
      break;
    case v1::Value::kText:
      statement.BindText(parameter, value.text());
      break;
    case v1::Value::kBlob:
      statement.BindBlob(parameter, value.blob());
      break;
    default:
      statement.BindNull(parameter);
  }
}

}  // namespace

Cursor::Cursor(Snapshot::Connection connection, CursorOptions options, Cancellation* cancellation)
    : options_(std::move(options)),
      connection_(std::move(connection)),
      guard_(connection_.sandbox(), options_.deadline, options_.deadline_words,
             options_.memory_bytes, options_.memory_pool, cancellation) {}

Cursor::~Cursor() {
  QueryGuard::Scope running(guard_);
  // One that failed is not worth keeping.
  if (done_) connection_.sandbox().Keep(sql_, std::move(statement_));
  statement_ = sqlite::Statement();
}

absl::StatusOr<std::unique_ptr<Cursor>> Cursor::Open(Snapshot::Connection connection,
                                                     const v1::QueryRequest& request,
                                                     CursorOptions options,
                                                     Cancellation* cancellation) {
  std::unique_ptr<Cursor> cursor(
      new Cursor(std::move(connection), std::move(options), cancellation));
  QueryGuard::Scope running(cursor->guard_);
  const uint64_t clock_reads = sqlite::ClockReads();
  absl::Status status = cursor->guard_.Check();
  if (status.ok()) status = cursor->Prepare(request);
  if (status.ok()) status = cursor->Bind(request);
  if (!status.ok()) return cursor->guard_.Explain(status);
  cursor->clock_read_ = sqlite::ClockReads() != clock_reads;
  return cursor;
}

absl::Status Cursor::Prepare(const v1::QueryRequest& request) {
  std::string_view sql = request.sql();
  absl::StatusOr<std::optional<ShowStatement>> show = std::nullopt;
  // A longer one is refused below, before anything is made of it.
  if (sql.size() <= static_cast<size_t>(kMaxSqlBytes)) show = ParseShow(sql);
  if (!show.ok()) return show.status();
  if (show->has_value()) {
    sql = (*show)->sql;
    show_parameter_ = (*show)->parameter;
    error_when_empty_ = (*show)->error_when_empty;
  }
  absl::StatusOr<sqlite::Statement> statement = connection_.sandbox().Prepare(sql);
  if (!statement.ok()) return statement.status();
  statement_ = *std::move(statement);
  sql_ = sql;
  row_limit_ = request.row_limit();
  running_ = request.running();
  if (show_parameter_.has_value()) statement_.BindText(1, *show_parameter_);
  return absl::OkStatus();
}

absl::Status Cursor::Bind(const v1::QueryRequest& request) {
  if (request.parameters().empty() && request.named_parameters().empty()) return absl::OkStatus();
  if (show_parameter_.has_value() || sqlite3_bind_parameter_count(statement_.get()) == 0) {
    return absl::InvalidArgumentError("the statement has no parameters to bind values to");
  }
  const int parameters = sqlite3_bind_parameter_count(statement_.get());
  if (request.parameters_size() > parameters) {
    return absl::InvalidArgumentError(fmt::format("{} values for a statement with {} parameters",
                                                  request.parameters_size(), parameters));
  }
  *request_.mutable_parameters() = request.parameters();
  *request_.mutable_named_parameters() = request.named_parameters();
  for (int i = 0; i < request_.parameters_size(); ++i) {
    if (absl::Status status = CheckLength(request_.parameters(i)); !status.ok()) return status;
    BindValue(statement_, i + 1, request_.parameters(i));
  }
  for (const auto& [name, value] : request_.named_parameters()) {
    const int parameter = sqlite3_bind_parameter_index(statement_.get(), name.c_str());
    if (parameter == 0) {
      return absl::InvalidArgumentError(
          fmt::format("the statement has no parameter '{}' (names begin with ':', '@' or '$')",
                      name.substr(0, 128)));
    }
    if (absl::Status status = CheckLength(value); !status.ok()) return status;
    BindValue(statement_, parameter, value);
  }
  return absl::OkStatus();
}

void Cursor::FillHeader(v1::QueryHeader& header) const {
  *header.mutable_snapshot() = connection_.snapshot().info();
  header.set_repeatable(repeatable() && !running_);
  const int columns = statement_.ColumnCount();
  for (int i = 0; i < columns; ++i) {
    v1::ColumnInfo& column = *header.add_columns();
    const std::string_view name = statement_.ColumnName(i);
    if (IsUtf8(name)) column.set_name(name.data(), name.size());
    column.set_type(DeclaredType(sqlite3_column_decltype(statement_.get(), i)));
  }
}

absl::Status Cursor::Next(std::string& message) {
  QueryGuard::Scope running(guard_);
  const uint64_t clock_reads = sqlite::ClockReads();
  absl::Status status = guard_.Check();
  const uint64_t rows = rows_;
  if (status.ok()) status = FillRows(message);
  clock_read_ = clock_read_ || sqlite::ClockReads() != clock_reads;
  if (!status.ok() && rows_ == rows) {
    message.clear();
    return guard_.Explain(status);
  }
  if (!header_given_) {
    // Only now, because what the rows needed to know is told in it.
    v1::QueryResponse response;
    FillHeader(*response.mutable_header());
    message.insert(0, response.SerializeAsString());
    header_given_ = true;
  }
  return status.ok() ? status : guard_.Explain(status);
}

absl::Status Cursor::Next(v1::QueryResponse& response) {
  std::string message;
  absl::Status status = Next(message);
  if (status.ok() && done_) {
    char summary[wire::kMostSummary];
    message.append(
        summary,
        wire::PutSummary(rows_, truncated_, absl::Now() - options_.arrived, summary) - summary);
  }
  if (!response.ParseFromString(message)) {
    return absl::InternalError("the answer's message does not parse");
  }
  return status;
}

absl::Status Cursor::FillRows(std::string& message) {
  if (!batch_.has_value()) batch_.emplace(statement_.ColumnCount());
  batch_->Clear();
  absl::Status status;
  while (batch_->size_bytes() < options_.batch_bytes) {
    absl::StatusOr<bool> row = statement_.Step();
    if (!row.ok()) {
      status = row.status();
      break;
    }
    if (!*row) {
      done_ = true;
      break;
    }
    if (row_limit_ != 0 && rows_ == row_limit_) {
      truncated_ = true;
      done_ = true;
      break;
    }
    if (options_.max_rows != 0 && rows_ == options_.max_rows) {
      status = absl::ResourceExhaustedError(
          fmt::format("the result has more than {} rows (--max-rows); add a LIMIT, or aggregate",
                      options_.max_rows));
      break;
    }
    status = batch_->Append(statement_.get());
    if (!status.ok()) break;
    ++rows_;
  }
  if (batch_->rows() > 0) {
    const size_t size = batch_->EncodedSize();
    char head[1 + wire::kMostVarint];
    head[0] = wire::BytesTag(v1::QueryResponse::kBatchFieldNumber);
    message.reserve(message.size() + sizeof(head) + size);
    message.append(head, wire::PutVarint(size, head + 1) - head);
    batch_->Encode(message);
  }
  if (status.ok() && done_ && rows_ == 0 && !error_when_empty_.empty()) {
    return absl::InvalidArgumentError(error_when_empty_);
  }
  return status;
}

}  // namespace qasino::query
