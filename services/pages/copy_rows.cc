#include "services/pages/copy_rows.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/pages/encoding.h"

namespace qasino::pages {
namespace {

constexpr uint8_t kLeafPage = 0x0d;
constexpr uint8_t kInteriorPage = 0x05;
// More levels than any database has.
constexpr int kMostLevels = 20;

class Copier {
 public:
  Copier(std::string_view file, PageSpace& space, TablePages& table)
      : file_(file), space_(space), table_(table) {}

  absl::Status CopyFrom(uint32_t number, int level) {
    const uint8_t* const page = Page(number);
    if (page == nullptr || level > kMostLevels) return Damaged(number);
    const uint32_t cells = Get16(page + 3);
    if (page[0] == kLeafPage) {
      for (uint32_t i = 0; i < cells; ++i) {
        absl::Status status = CopyRow(page + Get16(page + 8 + 2 * i));
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    }
    if (page[0] != kInteriorPage) return Damaged(number);
    for (uint32_t i = 0; i < cells; ++i) {
      absl::Status status = CopyFrom(Get32(page + Get16(page + 12 + 2 * i)), level + 1);
      if (!status.ok()) return status;
    }
    return CopyFrom(Get32(page + 8), level + 1);
  }

 private:
  // Null when there is none.
  const uint8_t* Page(uint32_t number) const {
    if (number == 0 || number > file_.size() / kPageSize) return nullptr;
    return reinterpret_cast<const uint8_t*>(file_.data()) + size_t{number - 1} * kPageSize;
  }

  static absl::Status Damaged(uint32_t number) {
    return absl::DataLossError(absl::StrCat("page ", number, " is none of a table's"));
  }

  absl::Status CopyRow(const uint8_t* cell) {
    uint64_t size, rowid;
    cell = GetVarint(GetVarint(cell, &size), &rowid);
    if (!space_.HasRoom(TablePages::PagesOf(size))) {
      return absl::ResourceExhaustedError("no room for a table's rows");
    }
    if (row_.size() < TablePages::kRoomInFront + size) row_.resize(TablePages::kRoomInFront + size);
    uint8_t* to = row_.data() + TablePages::kRoomInFront;
    uint8_t* const end = to + size;
    const size_t local = TablePages::LocalBytes(size);
    std::memcpy(to, cell, local);
    to += local;
    uint32_t overflow = to == end ? 0 : Get32(cell + local);
    while (to != end) {
      const uint8_t* const page = Page(overflow);
      if (page == nullptr) return Damaged(overflow);
      const size_t here = std::min(static_cast<size_t>(end - to), kPageSize - 4);
      std::memcpy(to, page + 4, here);
      to += here;
      overflow = Get32(page);
    }
    table_.Append(space_, row_.data() + TablePages::kRoomInFront, size);
    return absl::OkStatus();
  }

  const std::string_view file_;
  PageSpace& space_;
  TablePages& table_;
  std::vector<uint8_t> row_;
};

}  // namespace

absl::Status CopyRows(std::string_view file, uint32_t root, PageSpace& space, TablePages& table) {
  return Copier(file, space, table).CopyFrom(root, 1);
}

}  // namespace qasino::pages
