// Random tables, written as pages and by SQLite's INSERT: they must not differ.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "services/pages/page_space.h"
#include "services/pages/row_writer.h"
#include "services/pages/schema_writer.h"
#include "services/pages/table_pages.h"
#include "services/sqlite/database.h"
#include "services/tables/write_rows.h"

namespace qasino::pages {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int kCases = 3'000;  // it is several times slower
#else
constexpr int kCases = 10'000;
#endif

// Makes cells of all sorts, with a liking for the ends of ranges.
class Cells {
 public:
  explicit Cells(uint32_t seed) : random_(seed) {}

  int Below(int limit) { return static_cast<int>(random_() % static_cast<uint32_t>(limit)); }
  bool OneIn(int count) { return Below(count) == 0; }

  int64_t Integer() {
    switch (Below(4)) {
      case 0:
        return Below(5) - 2;
      case 1:
        // About a power of two.
        return static_cast<int64_t>((uint64_t{1} << Below(64)) * (OneIn(2) ? 1 : ~uint64_t{0}) +
                                    static_cast<uint64_t>(Below(3)) - 1);
      case 2:
        return OneIn(2) ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
      default:
        return static_cast<int64_t>(Bits() >> Below(64));
    }
  }

  double Real() {
    switch (Below(4)) {
      case 0:
        return static_cast<double>(Integer());
      case 1:
        return static_cast<double>(Integer()) / 8;
      case 2:
        return std::bit_cast<double>(Bits());  // NaN, infinities and all
      default: {
        constexpr double kSome[] = {0.0,
                                    -0.0,
                                    0.1,
                                    1e300,
                                    -9223372036854775808.0,
                                    9223372036854775808.0,
                                    140737488355327.0,
                                    140737488355328.0,
                                    -140737488355328.0,
                                    -140737488355329.0,
                                    4503599627370497.5};
        return kSome[Below(std::size(kSome))];
      }
    }
  }

  std::string Text() {
    std::string text;
    switch (Below(4)) {
      case 0:
        return OneIn(4) ? std::to_string(Bits()) : std::to_string(Integer());
      case 1:
        return fmt::format("{}", Real());
      case 2: {
        // Near to numbers.
        static const std::string kLetters("00112359+-.eEx \t\n\0a", 19);
        const int size = Below(12);
        for (int i = 0; i < size; ++i) text += kLetters[Below(static_cast<int>(kLetters.size()))];
        return text;
      }
      default:
        text.assign(Size(), static_cast<char>('a' + Below(26)));
        if (OneIn(3)) text += "\xc3\xa9";
        return text;
    }
  }

  std::string Blob() {
    std::string blob(Size(), static_cast<char>(Below(256)));
    return blob;
  }

 private:
  size_t Size() {
    if (OneIn(40)) return static_cast<size_t>(3'900 + Below(400));  // what fits on a page
    if (OneIn(80)) return static_cast<size_t>(Below(30'000));
    if (OneIn(8)) return static_cast<size_t>(50 + Below(100));  // longer serial types
    if (OneIn(40)) return static_cast<size_t>(8'150 + Below(60));
    return static_cast<size_t>(Below(20));
  }

  uint64_t Bits() { return (uint64_t{random_()} << 32) | random_(); }

  std::mt19937 random_;
};

constexpr v1::ColumnType kTypes[] = {v1::INTEGER, v1::REAL, v1::TEXT, v1::BLOB};

void AddCell(int kind, Cells& cells, v1::Column& column) {
  if (kind == v1::INTEGER) column.add_integers(cells.Integer());
  if (kind == v1::REAL) column.add_reals(cells.Real());
  if (kind == v1::TEXT) column.add_texts(cells.Text());
  if (kind == v1::BLOB) column.add_blobs(cells.Blob());
}

v1::Column MakeColumn(const std::string& name, int rows, Cells& cells) {
  v1::Column column;
  column.set_name(name);
  column.set_type(kTypes[cells.Below(4)]);
  const bool mixed = cells.OneIn(3);
  const bool only_nulls = mixed && cells.OneIn(2);
  for (int row = 0; row < rows; ++row) {
    int kind = column.type();
    if (mixed && cells.OneIn(2)) kind = only_nulls ? 0 : cells.Below(5);
    if (mixed) column.mutable_kinds()->push_back(static_cast<char>(kind));
    AddCell(kind, cells, column);
  }
  return column;
}

// A cell in words that differ when cells do.
std::string Words(sqlite3_stmt* row, int column) {
  const auto bytes = [&](const void* data) {
    const auto size = static_cast<size_t>(sqlite3_column_bytes(row, column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  };
  switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
      return fmt::format("integer {}", sqlite3_column_int64(row, column));
    case SQLITE_FLOAT:
      return fmt::format("real {:a}", sqlite3_column_double(row, column));
    case SQLITE_TEXT:
      return "text " + bytes(sqlite3_column_text(row, column));
    case SQLITE_BLOB:
      return "blob " + bytes(sqlite3_column_blob(row, column));
    default:
      return "null";
  }
}

// Both ways of writing a database, side by side.
class PropertyTest : public ::testing::Test {
 protected:
  struct Written {
    std::string name;
    std::vector<v1::ColumnInfo> columns;
    TablePages pages;
    v1::Table last;  // what was published last
  };

  void Open() {
    auto space = PageSpace::Reserve(1 << 16);
    ASSERT_TRUE(space.ok()) << space.status();
    space_ = std::move(*space);
    auto database = sqlite::Database::OpenInMemory();
    ASSERT_TRUE(database.ok()) << database.status();
    expected_ = std::move(*database);
    tables_.clear();
  }

  static std::string Schema(const Written& table, bool as_stored) {
    std::string sql = fmt::format("CREATE TABLE {}(", table.name);
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const v1::ColumnInfo& column = table.columns[i];
      sql += fmt::format("{}{} {}", i == 0 ? "" : ", ", column.name(),
                         tables::DeclaredType(as_stored ? v1::BLOB : column.type()));
    }
    return sql + ")";
  }

  void Publish(const v1::Table& published, Written& table) {
    std::vector<RowWriter::Target> targets;
    const bool is_new = table.columns.empty();
    for (const v1::Column& column : published.columns()) {
      size_t place = 0;
      while (place < table.columns.size() && table.columns[place].name() != column.name()) ++place;
      if (place == table.columns.size()) {
        v1::ColumnInfo& info = table.columns.emplace_back();
        info.set_name(column.name());
        info.set_type(column.type());
        if (!is_new) {
          ASSERT_TRUE(expected_
                          .Execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table.name,
                                               column.name(), tables::DeclaredType(column.type())))
                          .ok());
        }
      }
      targets.push_back({.place = static_cast<int>(place), .type = table.columns[place].type()});
    }
    if (is_new) {
      ASSERT_TRUE(expected_.Execute(Schema(table, false)).ok());
    }
    ASSERT_TRUE(tables::InsertRows(expected_, table.name, published).ok());
    table.last = published;

    ASSERT_TRUE(writer_.Begin(published, targets).ok());
    EXPECT_EQ(writer_.rows(), tables::RowCount(published));
    const RowWriter::Measured measured =
        writer_.Measure(table.pages, std::numeric_limits<size_t>::max());
    EXPECT_EQ(measured.row, writer_.rows());
    // No row is larger than the bound.
    EXPECT_EQ(writer_.Measure(table.pages, writer_.MostRecordBytes()).row, writer_.rows());
    EXPECT_LE(measured.pages, writer_.MostPages());
    const int64_t before = space_.UsedPages();
    writer_.AppendTo(space_, table.pages);
    EXPECT_EQ(space_.UsedPages() - before, measured.pages);
  }

  // Makes both databases readable; as_stored: what columns make of cells that are read, they
  // don't.
  void Finish(bool as_stored) {
    SchemaWriter schema;
    for (const Written& table : tables_) {
      const int64_t before = space_.UsedPages();
      const uint32_t root = table.pages.Finish(space_);
      EXPECT_LE(space_.UsedPages() - before, table.pages.FinishPages());
      schema.Add(space_, table.name, Schema(table, as_stored), root);
      if (!as_stored) continue;
      ASSERT_TRUE(expected_
                      .Execute(fmt::format("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET "
                                           "sql = '{}' WHERE name = '{}'; PRAGMA writable_schema = "
                                           "RESET",
                                           Schema(table, as_stored), table.name))
                      .ok());
    }
    schema.Finish(space_);
    auto reader = sqlite::Database::OpenInMemory();
    ASSERT_TRUE(reader.ok());
    found_ = std::move(*reader);
    ASSERT_TRUE(found_.ReadFrom("main", space_.bytes()).ok());
  }

  static sqlite::Statement Prepare(sqlite::Database& database, const std::string& sql) {
    auto statement = database.Prepare(sql);
    EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
    return statement.ok() ? std::move(*statement) : sqlite::Statement();
  }

  // That two statements answer the same rows.
  static void ExpectSame(sqlite::Statement& expected, sqlite::Statement& found) {
    ASSERT_EQ(expected.ColumnCount(), found.ColumnCount());
    for (int row = 1;; ++row) {
      const auto one = expected.Step();
      const auto other = found.Step();
      ASSERT_TRUE(one.ok() && other.ok()) << one.status() << other.status();
      ASSERT_EQ(*one, *other) << "row " << row;
      if (!*one) break;
      for (int i = 0; i < expected.ColumnCount(); ++i) {
        ASSERT_EQ(Words(expected.get(), i), Words(found.get(), i))
            << "row " << row << ", column " << i;
      }
    }
    expected.Reset();
    found.Reset();
  }

  void ExpectSameTable(const Written& table, Cells& cells) {
    const std::string all = fmt::format("SELECT _rowid_, * FROM {}", table.name);
    sqlite::Statement expected = Prepare(expected_, all);
    sqlite::Statement found = Prepare(found_, all);
    ExpectSame(expected, found);

    expected = Prepare(expected_, all + " WHERE _rowid_ = ?");
    found = Prepare(found_, all + " WHERE _rowid_ = ?");
    for (int i = 0; i < 3; ++i) {
      const int64_t rowid = cells.Below(static_cast<int>(table.pages.rows()) + 2);
      expected.BindInteger(1, rowid);
      found.BindInteger(1, rowid);
      ExpectSame(expected, found);
    }

    const v1::Column& column = table.last.columns(cells.Below(table.last.columns_size()));
    const std::string where =
        fmt::format("SELECT group_concat(_rowid_) FROM {} WHERE {} = ?", table.name, column.name());
    expected = Prepare(expected_, where);
    found = Prepare(found_, where);
    const int64_t rows = std::min<int64_t>(tables::RowCount(table.last), 2);
    tables::CellReader one(column, 1);
    tables::CellReader other(column, 1);
    for (int64_t i = 0; i < rows; ++i) {
      ASSERT_EQ(one.BindNext(expected.get()), SQLITE_OK);
      ASSERT_EQ(other.BindNext(found.get()), SQLITE_OK);
      ExpectSame(expected, found);
    }
  }

  void ExpectSame(Cells& cells) {
    sqlite::Statement check = Prepare(found_, "PRAGMA integrity_check");
    ASSERT_TRUE(check.Step().ok());
    ASSERT_EQ(check.Text(0), "ok");
    for (const Written& table : tables_) {
      SCOPED_TRACE(table.name);
      ExpectSameTable(table, cells);
    }
  }

  void RunCase(uint32_t seed);

  PageSpace space_;
  RowWriter writer_;
  std::vector<Written> tables_;
  sqlite::Database expected_;
  sqlite::Database found_;
};

void PropertyTest::RunCase(uint32_t seed) {
  Cells cells(seed);
  Open();
  const bool many_rows = seed % 500 == 0;
  const bool deep = seed % 2'000 == 0;
  tables_.resize(many_rows ? 1 : 1 + cells.Below(3));
  for (size_t i = 0; i < tables_.size(); ++i) tables_[i].name = fmt::format("t{}", i);
  Written other;
  other.name = "other";
  const int publishes = static_cast<int>(tables_.size()) + cells.Below(4);
  for (int publish = 0; publish < publishes; ++publish) {
    v1::Table published;
    int rows = cells.Below(12);
    if (cells.OneIn(100)) rows = cells.Below(300);
    if (many_rows) rows = 3'000;
    int columns = 1 + cells.Below(5);
    if (cells.OneIn(250) && !many_rows) columns = 100 + cells.Below(80);
    // Names come again, in any order.
    std::vector<int> names(static_cast<size_t>(columns) + 4);
    for (size_t i = 0; i < names.size(); ++i) names[i] = static_cast<int>(i);
    for (int i = 0; i < columns; ++i) {
      std::swap(names[i], names[i + cells.Below(static_cast<int>(names.size()) - i)]);
      *published.add_columns() = MakeColumn(fmt::format("c{}", names[i]), rows, cells);
    }
    if (deep) {
      v1::Column& column = *published.add_columns();
      column.set_name("wide");
      column.set_type(v1::TEXT);
      for (int row = 0; row < rows; ++row) column.add_texts(std::string(1'500, 'w'));
    }
    Publish(published, tables_[static_cast<size_t>(publish) % tables_.size()]);
    if (HasFatalFailure()) return;
    if (!cells.OneIn(5)) continue;
    // Pages of another table between these, some of which are free in the end.
    Publish(published, other);
    if (HasFatalFailure()) return;
    ASSERT_TRUE(expected_.Execute("DROP TABLE other").ok());
    other.columns.clear();
    other.pages.Release(space_);
  }
  Finish(/*as_stored=*/seed % 2 == 0);
  if (!HasFatalFailure()) ExpectSame(cells);
}

TEST_F(PropertyTest, PagesAreWhatInsertMakes) {
  for (uint32_t seed = 0; seed < kCases && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RunCase(seed);
  }
}

TEST_F(PropertyTest, RowsOverALimitAreFound) {
  Open();
  Written& table = tables_.emplace_back();
  table.name = "t";
  v1::Table published;
  v1::Column& column = *published.add_columns();
  column.set_name("c");
  column.set_type(v1::TEXT);
  for (const int size : {3, 998, 5, 999, 1'000}) column.add_texts(std::string(size, 'x'));
  const RowWriter::Target target = {.place = 0, .type = v1::TEXT};
  ASSERT_TRUE(writer_.Begin(published, {&target, 1}).ok());
  // The text, its type in two bytes, and the header's length.
  EXPECT_EQ(writer_.Measure(table.pages, 1'000).row, 1);
  EXPECT_EQ(writer_.Measure(table.pages, 1'001).row, 3);
  EXPECT_EQ(writer_.Measure(table.pages, 1'002).row, 4);
  EXPECT_EQ(writer_.Measure(table.pages, 1'003).row, 5);
  EXPECT_GE(writer_.MostRecordBytes(), 1'003u);
  EXPECT_LE(writer_.MostRecordBytes(), 1'010u);
}

}  // namespace
}  // namespace qasino::pages
