#ifndef QASINO_SERVICES_PAGES_SCHEMA_WRITER_H_
#define QASINO_SERVICES_PAGES_SCHEMA_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "services/pages/page_space.h"
#include "services/pages/record.h"
#include "services/pages/table_pages.h"

namespace qasino::pages {

// Writes what makes pages a database that SQLite opens: the schema and the file's header. Both
// may be written again later, from the start.
//
//   SchemaWriter schema;
//   schema.Add(space, "t", "CREATE TABLE \"t\"(\"a\" INTEGER)", table.Finish(space));
//   schema.Finish(space);   // space.bytes() is the file
class SchemaWriter {
 public:
  // A table. The space must have room for PagesOf it.
  void Add(PageSpace& space, std::string_view name, std::string_view sql, uint32_t root);
  static int64_t PagesOf(std::string_view name, std::string_view sql);

  // Afterwards nothing may be allocated or freed. The space must have room for FinishPages.
  void Finish(PageSpace& space);
  // The same without the list of free pages, which takes time for each: for a file that is read
  // and goes.
  void FinishForReading(PageSpace& space);
  int64_t FinishPages() const { return table_.FinishPages(); }

 private:
  TablePages table_ = TablePages::OnFirstPage();
  Record record_;
};

}  // namespace qasino::pages

#endif  // QASINO_SERVICES_PAGES_SCHEMA_WRITER_H_
