#include "services/query/row_batch.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

namespace qasino::query {

bool IsUtf8(std::string_view bytes) {
  // What protobuf itself will ask when the message is parsed.
  return google::protobuf::internal::IsStructurallyValidUTF8(bytes.data(),
                                                             static_cast<int>(bytes.size()));
}

RowBatchWriter::RowBatchWriter(v1::RowBatch& batch, int columns) : batch_(batch), bytes_(columns) {
  columns_.reserve(columns);
  for (int i = 0; i < columns; ++i) columns_.push_back(batch_.add_columns());
}

absl::Status RowBatchWriter::Append(sqlite3_stmt* statement) {
  if (absl::Status status = ReadBytes(statement); !status.ok()) return status;
  for (int i = 0; i < static_cast<int>(columns_.size()); ++i) AppendCell(statement, i);
  batch_.set_rows(batch_.rows() + 1);
  return absl::OkStatus();
}

// What can fail comes first, so that no part of a row is added.
absl::Status RowBatchWriter::ReadBytes(sqlite3_stmt* statement) {
  int64_t row_bytes = 0;
  for (int i = 0; i < static_cast<int>(columns_.size()); ++i) {
    const int type = sqlite3_column_type(statement, i);
    if (type != SQLITE_TEXT && type != SQLITE_BLOB) continue;
    const void* data = type == SQLITE_TEXT
                           ? static_cast<const void*>(sqlite3_column_text(statement, i))
                           : sqlite3_column_blob(statement, i);
    const int size = sqlite3_column_bytes(statement, i);
    // An empty blob has no address either.
    if (data == nullptr && (type == SQLITE_TEXT || size > 0)) {
      return absl::ResourceExhaustedError("no memory for a value of the result");
    }
    bytes_[i] = {static_cast<const char*>(data), static_cast<size_t>(data == nullptr ? 0 : size)};
    row_bytes += size;
  }
  if (row_bytes > kMaxRowBytes) {
    return absl::ResourceExhaustedError(fmt::format(
        "a row of the result has {} bytes; the limit is {} MiB", row_bytes, kMaxRowBytes >> 20));
  }
  return absl::OkStatus();
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
    case SQLITE_TEXT:
      if (IsUtf8(bytes_[index])) {
        column.add_texts(bytes_[index].data(), bytes_[index].size());
        kind = v1::TEXT;
      } else {
        column.add_blobs(bytes_[index].data(), bytes_[index].size());
        kind = v1::BLOB;
      }
      size_bytes_ += static_cast<int64_t>(bytes_[index].size()) + 2;
      break;
    case SQLITE_BLOB:
      column.add_blobs(bytes_[index].data() == nullptr ? "" : bytes_[index].data(),
                       bytes_[index].size());
      kind = v1::BLOB;
      size_bytes_ += static_cast<int64_t>(bytes_[index].size()) + 2;
      break;
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
