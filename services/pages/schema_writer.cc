#include "services/pages/schema_writer.h"

#include <sqlite3.h>

#include <cstring>

#include "services/pages/encoding.h"

namespace qasino::pages {
namespace {

constexpr size_t kFileHeader = 100;

// https://www.sqlite.org/fileformat2.html#the_database_header
void WriteFileHeader(PageSpace& space, const PageSpace::FreeList& free) {
  constexpr uint32_t kChanges = 1;
  uint8_t* const header = space.page(1);
  std::memset(header, 0, kFileHeader);
  std::memcpy(header, "SQLite format 3", 16);
  Put16(header + 16, kPageSize);
  header[18] = 1;  // written and read without a write-ahead log
  header[19] = 1;
  header[21] = 64;  // fixed
  header[22] = 32;
  header[23] = 32;
  Put32(header + 24, kChanges);
  Put32(header + 28, space.pages());
  Put32(header + 32, free.first);
  Put32(header + 36, free.count);
  Put32(header + 40, 1);  // schema's version
  Put32(header + 44, 4);  // schema's format
  Put32(header + 56, 1);  // UTF-8
  // The number of pages above is that after so many changes, which makes it valid.
  Put32(header + 92, kChanges);
  Put32(header + 96, SQLITE_VERSION_NUMBER);
}

}  // namespace

void SchemaWriter::Add(PageSpace& space, std::string_view name, std::string_view sql,
                       uint32_t root) {
  record_.AddText("table");
  record_.AddText(name);
  record_.AddText(name);
  record_.AddInteger(root);
  record_.AddText(sql);
  record_.AppendTo(space, table_);
}

int64_t SchemaWriter::PagesOf(std::string_view name, std::string_view sql) {
  constexpr size_t kOther = 64;
  // The first page's cells may have to move to another.
  return 1 + TablePages::PagesOf(2 * name.size() + sql.size() + kOther);
}

void SchemaWriter::Finish(PageSpace& space) {
  table_.Finish(space);
  const PageSpace::FreeList free = space.WriteFreeList();
  WriteFileHeader(space, free);
}

void SchemaWriter::FinishForReading(PageSpace& space) {
  table_.Finish(space);
  WriteFileHeader(space, {});
}

}  // namespace qasino::pages
