#ifndef QASINO_SERVICES_QUERY_ROW_BATCH_H_
#define QASINO_SERVICES_QUERY_ROW_BATCH_H_

#include <sqlite3.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "qasino/v1/query.pb.h"

namespace qasino::query {

// Whether the bytes are well-formed UTF-8 (no surrogates, nothing overlong).
bool IsUtf8(std::string_view bytes);

// The most bytes that one row of an answer may have. It is made in memory whole.
inline constexpr int64_t kMaxRowBytes = 64 << 20;

// Gathers rows of a statement into a RowBatch, column by column, with `kinds` only where
// they are needed. Used by one thread at a time.
class RowBatchWriter {
 public:
  // Adds to `batch`, which is empty and outlives the writer.
  RowBatchWriter(v1::RowBatch& batch, int columns);

  // Adds the row that the statement stands on, whole or not at all. RESOURCE_EXHAUSTED when
  // it has more than kMaxRowBytes, or SQLite has no memory for a cell.
  absl::Status Append(sqlite3_stmt* statement);

  // About what the batch will take on the wire, in bytes.
  int64_t size_bytes() const { return size_bytes_; }
  uint64_t rows() const { return batch_.rows(); }

 private:
  absl::Status ReadBytes(sqlite3_stmt* statement);
  void AppendCell(sqlite3_stmt* statement, int index);

  v1::RowBatch& batch_;
  std::vector<v1::Column*> columns_;
  // The row's texts and blobs, by column. They belong to the statement.
  std::vector<std::string_view> bytes_;
  int64_t size_bytes_ = 0;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_ROW_BATCH_H_
