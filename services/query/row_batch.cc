#include "services/query/row_batch.h"

#include <google/protobuf/stubs/common.h>

namespace qasino::query {

bool IsUtf8(std::string_view bytes) {
  // What protobuf itself will ask when the message is parsed.
  return google::protobuf::internal::IsStructurallyValidUTF8(bytes.data(),
                                                             static_cast<int>(bytes.size()));
}

RowBatchWriter::RowBatchWriter(v1::RowBatch& batch, int columns) : batch_(batch) {
  columns_.reserve(columns);
  for (int i = 0; i < columns; ++i) columns_.push_back(batch_.add_columns());
}

void RowBatchWriter::Append(sqlite3_stmt* statement) {
  for (int i = 0; i < static_cast<int>(columns_.size()); ++i) AppendCell(statement, i);
  batch_.set_rows(batch_.rows() + 1);
}

void RowBatchWriter::AppendCell(sqlite3_stmt* statement, int index) {
  v1::Column& column = *columns_[index];
  int kind = 0;
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER: {
      const int64_t value = sqlite3_column_int64(statement, index);
      column.add_integers(value);
      kind = v1::INTEGER;
      // A zigzag varint of seven bits a byte.
      size_bytes_ += value >= -64 && value < 64 ? 1 : 5;
      break;
    }
    case SQLITE_FLOAT:
      column.add_reals(sqlite3_column_double(statement, index));
      kind = v1::REAL;
      size_bytes_ += 8;
      break;
    case SQLITE_TEXT: {
      const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      const size_t size = sqlite3_column_bytes(statement, index);
      if (data == nullptr) break;  // no memory; the next step says so
      if (IsUtf8({data, size})) {
        column.add_texts(data, size);
        kind = v1::TEXT;
      } else {
        column.add_blobs(data, size);
        kind = v1::BLOB;
      }
      size_bytes_ += static_cast<int64_t>(size) + 2;
      break;
    }
    case SQLITE_BLOB: {
      const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, index));
      const size_t size = sqlite3_column_bytes(statement, index);
      column.add_blobs(data == nullptr ? "" : data, size);
      kind = v1::BLOB;
      size_bytes_ += static_cast<int64_t>(size) + 2;
      break;
    }
    default:
      break;
  }

  if (!column.kinds().empty()) {
    column.mutable_kinds()->push_back(static_cast<char>(kind));
    ++size_bytes_;
    // Only NULLs so far: the first value names the type.
    if (column.type() == v1::COLUMN_TYPE_UNSPECIFIED && kind != 0) {
      column.set_type(static_cast<v1::ColumnType>(kind));
    }
    return;
  }
  if (batch_.rows() == 0 && kind != 0) column.set_type(static_cast<v1::ColumnType>(kind));
  if (kind == column.type() && kind != 0) return;
  // The first cell that is NULL or of another type: from here on kinds are needed, also
  // for the rows before.
  std::string& kinds = *column.mutable_kinds();
  kinds.assign(batch_.rows(), static_cast<char>(column.type()));
  kinds.push_back(static_cast<char>(kind));
  size_bytes_ += static_cast<int64_t>(kinds.size());
}

}  // namespace qasino::query
