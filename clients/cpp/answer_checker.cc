#include "clients/cpp/answer_checker.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "clients/cpp/absl_text.h"

namespace qasino::client {

absl::Status AnswerChecker::Check(const v1::QueryResponse& part) {
  if (whole_) return absl::InternalError("the answer goes on after its summary");
  if (absl::Status status = CheckHeader(part); !status.ok()) return status;
  if (part.has_batch()) {
    if (absl::Status status = CheckBatch(part.batch()); !status.ok()) return status;
  }
  if (part.has_summary()) {
    if (part.summary().rows() != rows_) {
      return absl::InternalError(absl::StrCat(
          "the answer has ", rows_, " rows, but its summary says ", part.summary().rows()));
    }
    if (part.summary().unchanged() && columns_ > 0) {
      return absl::InternalError("the answer has columns, but its summary says unchanged");
    }
    whole_ = true;
  }
  return absl::OkStatus();
}

absl::Status AnswerChecker::CheckHeader(const v1::QueryResponse& part) {
  if (has_header_) {
    return part.has_header() ? absl::InternalError("the answer has a second header")
                             : absl::OkStatus();
  }
  if (!part.has_header()) {
    return absl::InternalError("the answer does not begin with its header");
  }
  has_header_ = true;
  columns_ = part.header().columns_size();
  const bool unchanged = conditional_ && part.summary().unchanged();
  return columns_ > 0 || unchanged ? absl::OkStatus()
                                   : absl::InternalError("the answer has no columns");
}

absl::Status AnswerChecker::CheckBatch(const v1::RowBatch& batch) {
  if (batch.columns_size() != columns_) {
    return absl::InternalError(
        absl::StrCat("a batch has ", batch.columns_size(), " columns, the answer ", columns_));
  }
  // Without columns nothing but the server's word says how many rows there are.
  if (columns_ == 0) return absl::InternalError("an answer without columns has a batch");
  readers_.clear();
  for (int i = 0; i < batch.columns_size(); ++i) {
    absl::StatusOr<ColumnReader> column = ColumnReader::Create(batch.columns(i), batch.rows());
    if (!column.ok()) {
      return absl::InternalError(
          absl::StrCat("column ", i + 1, " of a batch: ", column.status().message()));
    }
    readers_.push_back(*column);
  }
  rows_ += batch.rows();
  return absl::OkStatus();
}

absl::Status AnswerChecker::End() const {
  if (!has_header_) return absl::InternalError("the answer ended before its header");
  if (!whole_) return absl::InternalError("the answer ended without its summary");
  return absl::OkStatus();
}

absl::Status WrongAnswer(std::string_view peer, const absl::Status& fault) {
  return absl::InternalError(
      absl::StrCat("a wrong answer from ", Absl(peer), ": ", fault.message()));
}

}  // namespace qasino::client
