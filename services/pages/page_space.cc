#include "services/pages/page_space.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/pages/encoding.h"

namespace qasino::pages {
namespace {

// What a page of the free list holds at the most. There is place for more, of which SQLite makes
// no use, lest versions before 3.6 take the list for corrupt.
constexpr size_t kMostListed = kPageSize / 4 - 8;

// Memory is taken by pages of the system's usual size up to here, and then by huge ones.
constexpr size_t kSmallBytes = size_t{2} << 20;

// SQLite's limit is higher.
constexpr int64_t kMostPages = int64_t{1} << 31;

}  // namespace

absl::StatusOr<PageSpace> PageSpace::Reserve(int64_t pages) {
  if (pages < 1 || pages > kMostPages) {
    return absl::InvalidArgumentError(
        absl::StrCat("a database of ", pages, " pages; 1 to ", kMostPages, " are possible"));
  }
  void* const bytes = mmap(nullptr, static_cast<size_t>(pages) * kPageSize, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (bytes == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no address space for a database of ", pages,
                                                     " pages: ", std::strerror(errno)));
  }
  // Filling pages takes less time than the system does to find each of them. A small database
  // stays small; where there are no huge pages, it is well too.
  const size_t size = static_cast<size_t>(pages) * kPageSize;
  if (size > kSmallBytes) {
    madvise(static_cast<char*>(bytes) + kSmallBytes, size - kSmallBytes, MADV_HUGEPAGE);
  }
  PageSpace space;
  space.bytes_ = static_cast<uint8_t*>(bytes);
  space.reserved_ = pages;
  space.pages_ = 1;
  return space;
}

PageSpace::~PageSpace() {
  if (bytes_ != nullptr) munmap(bytes_, static_cast<size_t>(reserved_) * kPageSize);
}

PageSpace::PageSpace(PageSpace&& other) noexcept { *this = std::move(other); }

PageSpace& PageSpace::operator=(PageSpace&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(reserved_, other.reserved_);
  std::swap(pages_, other.pages_);
  std::swap(free_, other.free_);
  return *this;
}

uint32_t PageSpace::Allocate() {
  if (!free_.empty()) {
    const uint32_t page = free_.back();
    free_.pop_back();
    return page;
  }
  // Whoever allocates has asked; there is no going on behind the end.
  if (!HasRoom(1)) std::abort();
  if (++pages_ == kLockPage) ++pages_;
  return pages_;
}

void PageSpace::ReturnTo(Mark mark) {
  pages_ = mark.pages;
  free_ = std::move(mark.free);
}

absl::StatusOr<PageSpace> PageSpace::Copy() const {
  absl::StatusOr<PageSpace> copy = Reserve(pages_);
  if (!copy.ok()) return copy;
  std::memcpy(copy->bytes_, bytes_, size_t{pages_} * kPageSize);
  copy->pages_ = pages_;
  copy->free_ = free_;
  return copy;
}

PageSpace::FreeList PageSpace::WriteFreeList() {
  // Downwards, so that those at the end of the file come first, and are cut off.
  std::sort(free_.begin(), free_.end(), std::greater<>());
  size_t cut = 0;
  while (cut < free_.size() && free_[cut] == pages_) {
    ++cut;
    if (--pages_ == kLockPage) --pages_;
  }
  free_.erase(free_.begin(), free_.begin() + static_cast<std::ptrdiff_t>(cut));
  FreeList list = {.count = static_cast<uint32_t>(free_.size())};
  size_t next = 0;
  while (next < free_.size()) {
    const uint32_t trunk = free_[next++];
    const size_t listed = std::min(free_.size() - next, kMostListed);
    uint8_t* const at = page(trunk);
    Put32(at, list.first);
    Put32(at + 4, static_cast<uint32_t>(listed));
    for (size_t i = 0; i < listed; ++i) Put32(at + 8 + 4 * i, free_[next++]);
    list.first = trunk;
  }
  return list;
}

void PageSpace::Trim() {
  if (pages_ == reserved_) return;
  munmap(bytes_ + size_t{pages_} * kPageSize, static_cast<size_t>(reserved_ - pages_) * kPageSize);
  reserved_ = pages_;
}

}  // namespace qasino::pages
