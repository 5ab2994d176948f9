#ifndef QASINO_SERVICES_QUERY_ROW_BATCH_H_
#define QASINO_SERVICES_QUERY_ROW_BATCH_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace qasino::query {

// Whether the bytes are well-formed UTF-8 (no surrogates, nothing overlong).
bool IsUtf8(std::string_view bytes);

// The most bytes that one row of an answer may have. It is made in memory whole.
inline constexpr int64_t kMaxRowBytes = 64 << 20;

// Gathers rows of a statement into a RowBatch, column by column, with `kinds` only where
// they are needed; as the bytes that are sent, without a message in between. Used by one thread at
// a time.
class RowBatchWriter {
 public:
  explicit RowBatchWriter(int columns);

  // Adds the row that the statement stands on, whole or not at all. RESOURCE_EXHAUSTED when
  // it has more than kMaxRowBytes, or SQLite has no memory for a cell.
  absl::Status Append(sqlite3_stmt* statement);

  // About what the batch will take on the wire, in bytes.
  int64_t size_bytes() const { return size_bytes_; }
  uint64_t rows() const { return rows_; }

  // The size of the RowBatch, and its bytes, which are added to `to`.
  size_t EncodedSize() const;
  void Encode(std::string& to) const;

  // Begins the next batch. Memory is kept for it, about as much as a batch of usual rows needs.
  void Clear();

  // The memory that columns hold, without their kinds.
  size_t held_bytes() const;

 private:
  // Grows like a string, but is not made zero first.
  class Bytes {
   public:
    // Room for so many more, and how many of them were used.
    char* Room(size_t more) {
      if (size_ + more > capacity_) Grow(more);
      return bytes_.get() + size_;
    }
    void Use(size_t used) { size_ += used; }
    std::string_view view() const { return {bytes_.get(), size_}; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    size_t capacity() const { return capacity_; }
    // Empties it, and keeps its memory where that is at most so much.
    void Clear(size_t most_kept);

   private:
    void Grow(size_t more);

    std::unique_ptr<char[]> bytes_;
    size_t size_ = 0;
    size_t capacity_ = 0;
  };

  // A v1::Column. Texts and blobs are whole fields, the others the contents of one.
  struct Column {
    int type = 0;  // a v1::ColumnType
    Bytes integers;
    Bytes reals;
    Bytes texts;
    Bytes blobs;
    std::string kinds;

    size_t held_bytes() const {
      return integers.capacity() + reals.capacity() + texts.capacity() + blobs.capacity();
    }
  };

  // Of the row that is being added. It belongs to the statement.
  struct Cell {
    sqlite3_value* value;
    int type;  // SQLite's
    std::string_view bytes;
  };

  absl::Status Read(sqlite3_stmt* statement);
  void AppendCell(const Cell& cell, Column& column);
  void AppendBytes(int field, std::string_view bytes, Bytes& to);
  static size_t EncodedSize(const Column& column);

  std::vector<Column> columns_;
  std::vector<Cell> cells_;
  uint64_t rows_ = 0;
  int64_t size_bytes_ = 0;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_ROW_BATCH_H_
