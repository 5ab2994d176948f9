#ifndef QASINO_SERVICES_PAGES_RECORD_H_
#define QASINO_SERVICES_PAGES_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "services/pages/page_space.h"
#include "services/pages/table_pages.h"

namespace qasino::pages {

// One row that is put together cell by cell, as it is to be stored. For rows that come one by
// one; RowWriter is for many.
//
//   Record record;
//   record.AddText("cpu");
//   record.AddInteger(7);
//   record.AppendTo(space, table);  // and it is empty again
//
// At least one cell; columns behind the last are NULL.
class Record {
 public:
  void AddInteger(int64_t value);
  // In a column of type REAL, which has its own way to store some. NaN is NULL.
  void AddRealColumn(double value);
  void AddText(std::string_view text);

  // Its size as it is stored.
  size_t size() const;

  // The space must have room for TablePages::PagesOf(size()).
  void AppendTo(PageSpace& space, TablePages& table);

 private:
  // Makes room for a cell of so many bytes, or for a number, and puts it there.
  template <typename PutCell>
  void Add(size_t bytes, PutCell put);

  std::vector<uint8_t> header_;
  std::vector<uint8_t> body_;
  size_t header_size_ = 0;
  size_t body_size_ = 0;
  std::vector<uint8_t> bytes_;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_RECORD_H_
