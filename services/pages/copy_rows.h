#ifndef QASINO_SERVICES_PAGES_COPY_ROWS_H_
#define QASINO_SERVICES_PAGES_COPY_ROWS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "services/pages/page_space.h"
#include "services/pages/table_pages.h"

namespace qasino::pages {

// Appends the rows of a table of another database, by their rowids, to a table's pages: as
// records, without looking into them, so that it takes time by their bytes and not by their
// columns. `file` is a whole database that SQLite wrote, with pages of kPageSize bytes, and
// `root` the table's first page in it. RESOURCE_EXHAUSTED when the space has no room,
// DATA_LOSS when the database is damaged where its pages follow one another; other damage is
// not looked for. Some rows may have been appended then.
absl::Status CopyRows(std::string_view file, uint32_t root, PageSpace& space, TablePages& table);

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_COPY_ROWS_H_
