#ifndef QASINO_SERVICES_PAGES_PAGE_SPACE_H_
#define QASINO_SERVICES_PAGES_PAGE_SPACE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace qasino::pages {

// The pages of a database file of SQLite, one behind the other as they stand in the file: what
// is written here is the file, and nothing is copied to make it one. Pages have 4,096 bytes and
// are numbered from 1, of which the first is taken from the start: it is the file's header and
// the root of its schema. The page at 1 GiB, where SQLite has its locks, belongs to nobody.
//
// The addresses of all pages are reserved at once, and memory is taken by the pages that are
// written. Owns them; movable. Used by one thread at a time.
class PageSpace {
 public:
  // Has room for so many pages, at least one. RESOURCE_EXHAUSTED when the system has not.
  static absl::StatusOr<PageSpace> Reserve(int64_t pages);

  // The page that SQLite never uses, and takes for damage in a file that does.
  static constexpr uint32_t kLockPage = (uint32_t{1} << 30) / 4096 + 1;

  PageSpace() = default;
  ~PageSpace();
  PageSpace(PageSpace&& other) noexcept;
  PageSpace& operator=(PageSpace&& other) noexcept;

  // A page that is nobody's; freed ones come first. What it holds is unknown. There must be one:
  // HasRoom says so, and the process ends where there is none.
  uint32_t Allocate();
  void Free(uint32_t page) { free_.push_back(page); }
  bool HasRoom(int64_t pages) const { return UsedPages() + pages <= WithoutLock(reserved_); }

  uint8_t* page(uint32_t number) { return bytes_ + (size_t{number} - 1) * 4096; }

  // Pages in the file, free ones included, and without these and the lock page.
  uint32_t pages() const { return pages_; }
  int64_t UsedPages() const { return WithoutLock(pages_) - static_cast<int64_t>(free_.size()); }

  // What is taken and freed after the one is forgotten by the other; bytes of pages that were
  // somebody's before are not brought back.
  struct Mark {
    uint32_t pages = 0;
    std::vector<uint32_t> free;
  };
  Mark TakeMark() const { return {pages_, free_}; }
  void ReturnTo(Mark mark);

  // A space with the same pages, and room for no others. RESOURCE_EXHAUSTED as above.
  absl::StatusOr<PageSpace> Copy() const;

  // Writes the list of free pages. The first page of the list, or 0, and how many are free; the
  // last page of the file is none of them.
  struct FreeList {
    uint32_t first = 0;
    uint32_t count = 0;
  };
  FreeList WriteFreeList();

  // Gives back the addresses behind the last page. There is no room then.
  void Trim();

  // The file. They live as long as the space, and stay where they are when it moves.
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_), size_t{pages_} * 4096};
  }

 private:
  // How many of the first pages can be somebody's.
  static int64_t WithoutLock(int64_t pages) { return pages < kLockPage ? pages : pages - 1; }

  uint8_t* bytes_ = nullptr;
  int64_t reserved_ = 0;  // pages
  uint32_t pages_ = 0;
  std::vector<uint32_t> free_;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_PAGE_SPACE_H_
