#ifndef QASINO_SERVICES_QUERY_ROW_BATCH_H_
#define QASINO_SERVICES_QUERY_ROW_BATCH_H_

#include <sqlite3.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "qasino/v1/query.pb.h"

namespace qasino::query {

// Whether the bytes are well-formed UTF-8 (no surrogates, nothing overlong).
bool IsUtf8(std::string_view bytes);

// Gathers rows of a statement into a RowBatch, column by column, with `kinds` only where
// they are needed. Used by one thread at a time.
class RowBatchWriter {
 public:
  // Adds to `batch`, which is empty and outlives the writer.
  RowBatchWriter(v1::RowBatch& batch, int columns);

  // Adds the row that the statement stands on.
  void Append(sqlite3_stmt* statement);

  // About what the batch will take on the wire, in bytes.
  int64_t size_bytes() const { return size_bytes_; }
  uint64_t rows() const { return batch_.rows(); }

 private:
  void AppendCell(sqlite3_stmt* statement, int index);

  v1::RowBatch& batch_;
  std::vector<v1::Column*> columns_;
  int64_t size_bytes_ = 0;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_ROW_BATCH_H_
