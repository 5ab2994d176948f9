#include "services/query/row_batch.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "qasino/v1/query.pb.h"
#include "qasino/v1/table.pb.h"
#include "services/query/wire.h"

namespace qasino::query {
namespace {

using wire::BytesTag;
using wire::PutVarint;
using wire::VarintSize;
using wire::VarintTag;

// What all columns together keep for the next batch: nothing else bounds what thousands of them
// hold when each has had a long value once.
constexpr size_t kMostKept = 1 << 20;

bool IsAscii(std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t all = 0;
  for (; left >= sizeof(all); at += sizeof(all), left -= sizeof(all)) {
    uint64_t eight;
    std::memcpy(&eight, at, sizeof(eight));
    all |= eight;
  }
  for (; left > 0; ++at, --left) all |= static_cast<unsigned char>(*at);
  return (all & 0x8080808080808080) == 0;
}

// A field of bytes.
size_t FieldSize(size_t size) { return 1 + VarintSize(size) + size; }
size_t OptionalFieldSize(size_t size) { return size == 0 ? 0 : FieldSize(size); }

void AppendHead(int field, size_t size, std::string& to) {
  char head[1 + wire::kMostVarint];
  head[0] = BytesTag(field);
  to.append(head, PutVarint(size, head + 1) - head);
}

void AppendOptionalField(int field, std::string_view bytes, std::string& to) {
  if (bytes.empty()) return;
  AppendHead(field, bytes.size(), to);
  to.append(bytes);
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  // What protobuf itself will ask when the message is parsed.
  return IsAscii(bytes) || google::protobuf::internal::IsStructurallyValidUTF8(
                               bytes.data(), static_cast<int>(bytes.size()));
}

void RowBatchWriter::Bytes::Grow(size_t more) {
  const size_t capacity = std::max<size_t>({64, 2 * capacity_, size_ + more});
  std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(capacity);
  if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
  bytes_ = std::move(bytes);
  capacity_ = capacity;
}

void RowBatchWriter::Bytes::Clear(size_t most_kept) {
  size_ = 0;
  if (capacity_ <= most_kept) return;
  bytes_.reset();
  capacity_ = 0;
}

RowBatchWriter::RowBatchWriter(int columns) : columns_(columns), cells_(columns) {}

absl::Status RowBatchWriter::Append(sqlite3_stmt* statement) {
  if (absl::Status status = Read(statement); !status.ok()) return status;
  for (size_t i = 0; i < columns_.size(); ++i) AppendCell(cells_[i], columns_[i]);
  ++rows_;
  return absl::OkStatus();
}

// What can fail comes first, so that no part of a row is added.
absl::Status RowBatchWriter::Read(sqlite3_stmt* statement) {
  int64_t row_bytes = 0;
  for (size_t i = 0; i < cells_.size(); ++i) {
    Cell& cell = cells_[i];
    cell.value = sqlite3_column_value(statement, static_cast<int>(i));
    cell.type = sqlite3_value_type(cell.value);
    if (cell.type != SQLITE_TEXT && cell.type != SQLITE_BLOB) continue;
    const void* data = cell.type == SQLITE_TEXT
                           ? static_cast<const void*>(sqlite3_value_text(cell.value))
                           : sqlite3_value_blob(cell.value);
    const int size = sqlite3_value_bytes(cell.value);
    // An empty blob has no address either.
    if (data == nullptr && (cell.type == SQLITE_TEXT || size > 0)) {
      return absl::ResourceExhaustedError("no memory for a value of the result");
    }
    cell.bytes = {static_cast<const char*>(data), static_cast<size_t>(data == nullptr ? 0 : size)};
    row_bytes += size;
  }
  if (row_bytes > kMaxRowBytes) {
    return absl::ResourceExhaustedError(fmt::format(
        "a row of the result has {} bytes; the limit is {} MiB", row_bytes, kMaxRowBytes >> 20));
  }
  return absl::OkStatus();
}

void RowBatchWriter::AppendBytes(int field, std::string_view bytes, Bytes& to) {
  char* const begin = to.Room(1 + wire::kMostVarint + bytes.size());
  char* end = begin;
  *end++ = BytesTag(field);
  end = PutVarint(bytes.size(), end);
  if (!bytes.empty()) std::memcpy(end, bytes.data(), bytes.size());
  end += bytes.size();
  to.Use(end - begin);
  size_bytes_ += end - begin;
}

void RowBatchWriter::AppendCell(const Cell& cell, Column& column) {
  int kind = 0;
  switch (cell.type) {
    case SQLITE_INTEGER: {
      char* const begin = column.integers.Room(wire::kMostVarint);
      const size_t size = PutVarint(wire::ZigZag(sqlite3_value_int64(cell.value)), begin) - begin;
      column.integers.Use(size);
      size_bytes_ += static_cast<int64_t>(size);
      kind = v1::INTEGER;
      break;
    }
    case SQLITE_FLOAT: {
      static_assert(std::endian::native == std::endian::little);
      const double real = sqlite3_value_double(cell.value);
      std::memcpy(column.reals.Room(sizeof(real)), &real, sizeof(real));
      column.reals.Use(sizeof(real));
      size_bytes_ += sizeof(real);
      kind = v1::REAL;
      break;
    }
    case SQLITE_TEXT:
      if (IsUtf8(cell.bytes)) {
        AppendBytes(v1::Column::kTextsFieldNumber, cell.bytes, column.texts);
        kind = v1::TEXT;
        break;
      }
      [[fallthrough]];
    case SQLITE_BLOB:
      AppendBytes(v1::Column::kBlobsFieldNumber, cell.bytes, column.blobs);
      kind = v1::BLOB;
      break;
    default:
      break;
  }

  if (!column.kinds.empty()) {
    column.kinds.push_back(static_cast<char>(kind));
    ++size_bytes_;
    // Only NULLs so far: the first value names the type.
    if (column.type == 0) column.type = kind;
    return;
  }
  if (rows_ == 0) column.type = kind;
  if (kind == column.type && kind != 0) return;
  // The first cell that is NULL or of another type: from here on kinds are needed, also
  // for the rows before.
  column.kinds.assign(rows_, static_cast<char>(column.type));
  column.kinds.push_back(static_cast<char>(kind));
  size_bytes_ += static_cast<int64_t>(column.kinds.size());
}

size_t RowBatchWriter::EncodedSize(const Column& column) {
  return (column.type == 0 ? 0 : 2) + OptionalFieldSize(column.integers.size()) +
         OptionalFieldSize(column.reals.size()) + column.texts.size() + column.blobs.size() +
         OptionalFieldSize(column.kinds.size());
}

size_t RowBatchWriter::EncodedSize() const {
  size_t size = rows_ == 0 ? 0 : 1 + VarintSize(rows_);
  for (const Column& column : columns_) size += FieldSize(EncodedSize(column));
  return size;
}

void RowBatchWriter::Encode(std::string& to) const {
  for (const Column& column : columns_) {
    AppendHead(v1::RowBatch::kColumnsFieldNumber, EncodedSize(column), to);
    if (column.type != 0) {
      to.push_back(VarintTag(v1::Column::kTypeFieldNumber));
      to.push_back(static_cast<char>(column.type));
    }
    AppendOptionalField(v1::Column::kIntegersFieldNumber, column.integers.view(), to);
    AppendOptionalField(v1::Column::kRealsFieldNumber, column.reals.view(), to);
    to.append(column.texts.view());
    to.append(column.blobs.view());
    AppendOptionalField(v1::Column::kKindsFieldNumber, column.kinds, to);
  }
  if (rows_ == 0) return;
  char rows[1 + wire::kMostVarint];
  rows[0] = VarintTag(v1::RowBatch::kRowsFieldNumber);
  to.append(rows, PutVarint(rows_, rows + 1) - rows);
}

size_t RowBatchWriter::held_bytes() const {
  size_t bytes = 0;
  for (const Column& column : columns_) bytes += column.held_bytes();
  return bytes;
}

void RowBatchWriter::Clear() {
  size_t may_keep = kMostKept;
  for (Column& column : columns_) {
    column.type = 0;
    for (Bytes* bytes : {&column.integers, &column.reals, &column.texts, &column.blobs}) {
      bytes->Clear(may_keep);
      may_keep -= bytes->capacity();
    }
    column.kinds.clear();
  }
  rows_ = 0;
  size_bytes_ = 0;
}

}  // namespace qasino::query
