#include "services/pages/table_pages.h"

#include <algorithm>

namespace qasino::pages {
namespace {

constexpr uint8_t kLeafPage = 0x0d;
constexpr uint8_t kInteriorPage = 0x05;
constexpr uint32_t kFirstPage = 1;

}  // namespace

TablePages TablePages::OnFirstPage() {
  TablePages table;
  table.on_first_page_ = true;
  table.leaf_ = kFirstPage;
  table.pointers_ = kFileHeader + kLeafHeader;
  table.content_ = kPageSize;
  return table;
}

void TablePages::AppendSlowly(PageSpace& space, uint8_t* record, size_t size) {
  uint8_t* cell = PrependVarint(record, static_cast<uint64_t>(rows_ + 1));
  cell = PrependVarint(cell, size);
  const auto prefix = static_cast<size_t>(record - cell);
  if (size <= kMostLocal) {
    MakeRoom(space, prefix + size);
    PlaceCell(space, prefix + size, cell, prefix + size);
  } else {
    const size_t local = LocalBytes(size);
    const uint32_t overflow = WriteOverflow(space, record + local, size - local);
    has_overflow_ = true;
    MakeRoom(space, prefix + local + 4);
    Put32(PlaceCell(space, prefix + local + 4, cell, prefix + local), overflow);
  }
  ++rows_;
}

void TablePages::MakeRoom(PageSpace& space, size_t bytes) {
  if (leaf_ != 0 && bytes + kPointer <= content_ - pointers_) return;
  if (leaf_ == kFirstPage) {
    // The first page becomes the root of what is on others.
    leaf_ = space.Allocate();
    const uint8_t* const from = space.page(kFirstPage);
    uint8_t* const to = space.page(leaf_);
    const size_t begin = kFileHeader + kLeafHeader;
    std::memcpy(to + kLeafHeader, from + begin, pointers_ - begin);
    std::memcpy(to + content_, from + content_, kPageSize - content_);
    pointers_ -= kFileHeader;
    return MakeRoom(space, bytes);
  }
  if (leaf_ != 0) {
    WriteLeafHeader(space);
    full_.push_back({leaf_, rows_});
  }
  leaf_ = space.Allocate();
  pointers_ = kLeafHeader;
  content_ = kPageSize;
}

uint32_t TablePages::WriteOverflow(PageSpace& space, const uint8_t* bytes, size_t size) {
  const uint32_t first = space.Allocate();
  uint32_t page = first;
  while (true) {
    uint8_t* const at = space.page(page);
    const size_t here = std::min(size, kInOverflow);
    std::memcpy(at + 4, bytes, here);
    bytes += here;
    size -= here;
    page = size == 0 ? 0 : space.Allocate();
    Put32(at, page);
    if (page == 0) return first;
  }
}

void TablePages::WriteLeafHeader(PageSpace& space) const {
  const size_t offset = leaf_ == kFirstPage ? kFileHeader : 0;
  uint8_t* const at = space.page(leaf_) + offset;
  at[0] = kLeafPage;
  Put16(at + 1, 0);
  Put16(at + 3, static_cast<uint32_t>((pointers_ - offset - kLeafHeader) / kPointer));
  Put16(at + 5, content_);
  at[7] = 0;
}

// Each child but the last has a cell.
const TablePages::Child* TablePages::Fit(const Child* begin, const Child* end, size_t bytes) {
  for (const Child* child = begin; child != end; ++child) {
    const size_t cell = kPointer + 4 + VarintSize(static_cast<uint64_t>(child->last));
    if (cell > bytes) return child + 1;
    bytes -= cell;
  }
  return end;
}

void TablePages::WriteInterior(PageSpace& space, uint32_t page, const Child* begin,
                               const Child* end) {
  uint8_t* const start = space.page(page);
  uint8_t* const header = start + (page == kFirstPage ? kFileHeader : 0);
  uint8_t* pointer = header + kInteriorHeader;
  uint8_t* content = start + kPageSize;
  for (const Child* child = begin; child != end - 1; ++child) {
    content = PrependVarint(content, static_cast<uint64_t>(child->last)) - 4;
    Put32(content, child->page);
    Put16(pointer, static_cast<uint32_t>(content - start));
    pointer += kPointer;
  }
  header[0] = kInteriorPage;
  Put16(header + 1, 0);
  Put16(header + 3, static_cast<uint32_t>(end - begin - 1));
  Put16(header + 5, static_cast<uint32_t>(content - start));
  header[7] = 0;
  Put32(header + 8, (end - 1)->page);
}

uint32_t TablePages::Finish(PageSpace& space) const {
  if (leaf_ == 0) {
    TablePages empty;
    empty.MakeRoom(space, 0);
    empty.WriteLeafHeader(space);
    return empty.leaf_;
  }
  WriteLeafHeader(space);
  if (leaf_ == kFirstPage || (full_.empty() && !on_first_page_)) return leaf_;
  std::vector<Child> level = full_;
  level.push_back({leaf_, rows_});
  const size_t room = kPageSize - kInteriorHeader;
  const size_t room_in_root = room - (on_first_page_ ? kFileHeader : 0);
  while (true) {
    const Child* const end = level.data() + level.size();
    if (Fit(level.data(), end, room_in_root) == end) break;
    std::vector<Child> parents;
    for (const Child* begin = level.data(); begin != end;) {
      const Child* next = Fit(begin, end, room);
      // Only the first page may have a single child, where less fits than on another page.
      if (end - next == 1) --next;
      const uint32_t page = space.Allocate();
      WriteInterior(space, page, begin, next);
      parents.push_back({page, (next - 1)->last});
      begin = next;
    }
    level = std::move(parents);
  }
  const uint32_t root = on_first_page_ ? kFirstPage : space.Allocate();
  WriteInterior(space, root, level.data(), level.data() + level.size());
  return root;
}

int64_t TablePages::FinishPages(int64_t more_leaves) const {
  constexpr int64_t kLeastChildren =
      (kPageSize - kInteriorHeader - kFileHeader) / (kPointer + 4 + kMostVarint);
  int64_t pages = 0;
  int64_t level = static_cast<int64_t>(full_.size()) + (leaf_ == 0 ? 0 : 1) + more_leaves;
  if (level == 0) return 1;
  while (level > 1) {
    level = (level + kLeastChildren - 1) / kLeastChildren;
    pages += level;
  }
  return pages;
}

void TablePages::FreeOverflow(PageSpace& space, const uint8_t* cell) {
  uint64_t size, rowid;
  cell = GetVarint(GetVarint(cell, &size), &rowid);
  if (size <= kMostLocal) return;
  uint32_t page = Get32(cell + LocalBytes(size));
  while (page != 0) {
    const uint32_t next = Get32(space.page(page));
    space.Free(page);
    page = next;
  }
}

void TablePages::Release(PageSpace& space) {
  if (leaf_ != 0) {
    WriteLeafHeader(space);
    full_.push_back({leaf_, rows_});
  }
  for (const Child& leaf : full_) {
    uint8_t* const page = space.page(leaf.page);
    const uint32_t cells = has_overflow_ ? Get16(page + 3) : 0;
    for (uint32_t i = 0; i < cells; ++i) {
      FreeOverflow(space, page + Get16(page + kLeafHeader + kPointer * i));
    }
    space.Free(leaf.page);
  }
  *this = TablePages();
}

void TablePages::Counter::Append(size_t size) {
  size_t cell = VarintSize(size) + VarintSize(static_cast<uint64_t>(++rows_));
  if (size <= kMostLocal) {
    cell += size;
  } else {
    const size_t local = LocalBytes(size);
    cell += local + 4;
    pages_ += static_cast<int64_t>((size - local + kInOverflow - 1) / kInOverflow);
  }
  if (cell + kPointer > room_) {
    ++pages_;
    room_ = kPageSize - kLeafHeader;
  }
  room_ -= cell + kPointer;
}

}  // namespace qasino::pages
