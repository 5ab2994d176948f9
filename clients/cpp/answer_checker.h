#ifndef QASINO_CLIENTS_CPP_ANSWER_CHECKER_H_
#define QASINO_CLIENTS_CPP_ANSWER_CHECKER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "clients/cpp/cells.h"
#include "qasino/v1/query.pb.h"

namespace qasino::client {

// Checks that the parts of a query's answer, given in the order in which they come, are
// one that the Query service may send. Not thread-safe.
class AnswerChecker {
 public:
  // `conditional`: the request has unless_snapshot, so the answer may be `unchanged`.
  explicit AnswerChecker(bool conditional) : conditional_(conditional) {}

  // INTERNAL, and nothing more may be asked, when `part` makes no sense.
  absl::Status Check(const v1::QueryResponse& part);

  // INTERNAL when the answer, which ended without an error, is not whole.
  absl::Status End() const;

  // The summary has come.
  bool whole() const { return whole_; }

  // Of the part checked last, when that has a batch; the part outlives them.
  std::vector<ColumnReader>& readers() { return readers_; }

 private:
  absl::Status CheckHeader(const v1::QueryResponse& part);
  absl::Status CheckBatch(const v1::RowBatch& batch);

  const bool conditional_;
  bool has_header_ = false;
  bool whole_ = false;
  int columns_ = 0;
  uint64_t rows_ = 0;  // of all batches
  std::vector<ColumnReader> readers_;
};

// INTERNAL: what AnswerChecker found, and who sent it.
absl::Status WrongAnswer(std::string_view peer, const absl::Status& fault);

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_ANSWER_CHECKER_H_
