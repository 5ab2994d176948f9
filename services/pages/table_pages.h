#ifndef QASINO_SERVICES_PAGES_TABLE_PAGES_H_
#define QASINO_SERVICES_PAGES_TABLE_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "services/pages/encoding.h"
#include "services/pages/page_space.h"

namespace qasino::pages {

// The pages of a table to which rows are appended: its rowids are 1, 2, 3 and so on. Leaf pages
// are finished as they fill up; the pages above them are made in the end, or whenever somebody
// wants to read the table.
//
//   TablePages table;
//   for (...) table.Append(space, record, size);
//   const uint32_t root = table.Finish(space);
//
// It knows its pages and does not own them: all of its functions want the space that they are in.
// Used by one thread at a time.
class TablePages {
 public:
  // Bytes that Append may write in front of a record.
  static constexpr size_t kRoomInFront = 2 * kMostVarint;
  // A record is at most this large.
  static constexpr size_t kMostRecord = size_t{1} << 30;

  TablePages() = default;

  // The schema's table, whose root is the first page, behind the file's header.
  static TablePages OnFirstPage();

  // Appends a row, which is `size` bytes from `record` on. The space must have room for
  // PagesOf(size).
  void Append(PageSpace& space, uint8_t* record, size_t size) {
    uint8_t* cell = PrependVarint(record, static_cast<uint64_t>(rows_ + 1));
    cell = PrependVarint(cell, size);
    const auto bytes = static_cast<size_t>(record + size - cell);
    if (size > kMostLocal || bytes + kPointer > content_ - pointers_) [[unlikely]] {
      return AppendSlowly(space, record, size);
    }
    ++rows_;
    PlaceCell(space, bytes, cell, bytes);
  }

  int64_t rows() const { return rows_; }

  // Writes what makes the pages a table that can be read, and tells its root. It may go on
  // growing, and Finish is then called again: the pages that it took before are somebody else's
  // to free. The space must have room for FinishPages, which tells the most that it takes when
  // there are so many leaves more.
  uint32_t Finish(PageSpace& space) const;
  int64_t FinishPages(int64_t more_leaves = 0) const;

  // Frees all pages. The table is empty then.
  void Release(PageSpace& space);

  // Pages that a row takes at the most.
  static int64_t PagesOf(size_t size) { return 2 + static_cast<int64_t>(size / kInOverflow); }

  // What of a record is in its leaf; the rest is in overflow pages.
  static size_t LocalBytes(size_t size) {
    if (size <= kMostLocal) return size;
    const size_t local = kLeastLocal + (size - kLeastLocal) % kInOverflow;
    return local <= kMostLocal ? local : kLeastLocal;
  }

  // Counts the pages that rows would take, exactly.
  class Counter {
   public:
    explicit Counter(const TablePages& table)
        : room_(table.content_ - table.pointers_), rows_(table.rows_) {}
    void Append(size_t size);
    int64_t pages() const { return pages_; }

   private:
    size_t room_;
    int64_t rows_;
    int64_t pages_ = 0;
  };

 private:
  // A page and its last rowid.
  struct Child {
    uint32_t page;
    int64_t last;
  };

  static constexpr size_t kPointer = 2;
  static constexpr size_t kLeafHeader = 8;
  static constexpr size_t kInteriorHeader = 12;
  static constexpr size_t kFileHeader = 100;
  // The bytes of a record that may be in its leaf, and what an overflow page holds.
  static constexpr size_t kMostLocal = kPageSize - 35;
  static constexpr size_t kLeastLocal = (kPageSize - 12) * 32 / 255 - 23;
  static constexpr size_t kInOverflow = kPageSize - 4;

  // Makes a cell of so many bytes, for which there is room, and writes its first ones.
  uint8_t* PlaceCell(PageSpace& space, size_t bytes, const uint8_t* first, size_t count) {
    uint8_t* const page = space.page(leaf_);
    content_ -= static_cast<uint32_t>(bytes);
    Put16(page + pointers_, content_);
    pointers_ += kPointer;
    std::memcpy(page + content_, first, count);
    return page + content_ + count;
  }

  void AppendSlowly(PageSpace& space, uint8_t* record, size_t size);
  // Makes that the leaf has room for a cell.
  void MakeRoom(PageSpace& space, size_t bytes);
  uint32_t WriteOverflow(PageSpace& space, const uint8_t* bytes, size_t size);
  void WriteLeafHeader(PageSpace& space) const;
  static void WriteInterior(PageSpace& space, uint32_t page, const Child* begin, const Child* end);
  // The end of the children, from `begin` on, whose cells fit into so many bytes.
  static const Child* Fit(const Child* begin, const Child* end, size_t bytes);
  static void FreeOverflow(PageSpace& space, const uint8_t* cell);

  std::vector<Child> full_;  // leaves, in order
  uint32_t leaf_ = 0;        // the one that is filled; none at first
  // In it, the end of the cells' pointers, and the beginning of the cells, which grow downwards.
  uint32_t pointers_ = 0;
  uint32_t content_ = 0;
  bool on_first_page_ = false;
  bool has_overflow_ = false;
  int64_t rows_ = 0;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_TABLE_PAGES_H_
