#include "services/tables/write_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>

namespace qasino::tables {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Column& AddColumn(v1::Table& table, const std::string& name, v1::ColumnType type) {
  v1::Column& column = *table.add_columns();
  column.set_name(name);
  column.set_type(type);
  return column;
}

void Integers(v1::Table& table, const std::string& name, const std::vector<int64_t>& values) {
  v1::Column& column = AddColumn(table, name, v1::INTEGER);
  for (int64_t value : values) column.add_integers(value);
}

void Texts(v1::Table& table, const std::string& name, const std::vector<std::string>& values) {
  v1::Column& column = AddColumn(table, name, v1::TEXT);
  for (const std::string& value : values) column.add_texts(value);
}

google::protobuf::RepeatedPtrField<std::string> Keys(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

class WriteRowsTest : public ::testing::Test {
 protected:
  void Run(const std::string& sql) {
    const absl::Status status = database_.Execute(sql);
    ASSERT_TRUE(status.ok()) << status;
  }

  // The rows as text, with quote() of each cell.
  std::vector<std::string> Rows(const std::string& sql) {
    std::vector<std::string> rows;
    absl::StatusOr<sqlite::Statement> statement = database_.Prepare(sql);
    EXPECT_TRUE(statement.ok()) << statement.status();
    if (!statement.ok()) return rows;
    while (*statement->Step()) {
      std::string row;
      for (int i = 0; i < statement->ColumnCount(); ++i) {
        if (i > 0) row += '|';
        row += std::string(statement->Text(i));
      }
      rows.push_back(row);
    }
    return rows;
  }

  UpdateEffect Update(const v1::Table& table, const std::vector<std::string>& keys,
                      const ExtraColumn& extra = {}) {
    const absl::StatusOr<UpdateEffect> effect =
        UpdateRows(database_, "t", table, Keys(keys), extra);
    EXPECT_TRUE(effect.ok()) << effect.status();
    return effect.value_or(UpdateEffect{-1, -1});
  }

  sqlite::Database database_ = *sqlite::Database::OpenInMemory();
};

TEST_F(WriteRowsTest, EveryKindOfCellIsInsertedAndLackingColumnsAreNull) {
  Run("CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB, e TEXT)");
  v1::Table table;
  Integers(table, "a", {1, std::numeric_limits<int64_t>::min()});
  v1::Column& b = AddColumn(table, "b", v1::REAL);
  b.add_reals(0.5);
  b.set_kinds(std::string("\2\0", 2));
  v1::Column& c = AddColumn(table, "C", v1::TEXT);
  c.add_texts("x");
  c.add_integers(7);
  c.set_kinds("\3\1");
  v1::Column& d = AddColumn(table, "d", v1::BLOB);
  d.add_blobs("");
  d.add_blobs(std::string("\0\1", 2));
  EXPECT_EQ(RowCount(table), 2);
  ASSERT_TRUE(InsertRows(database_, "t", table).ok());
  EXPECT_THAT(Rows("SELECT quote(a), quote(b), quote(c), quote(d), quote(e) FROM t"),
              ElementsAre("1|0.5|'x'|X''|NULL", "-9223372036854775808|NULL|'7'|X'0001'|NULL"));
}

TEST_F(WriteRowsTest, TheExtraColumnIsInserted) {
  Run("CREATE TABLE t (a INTEGER, _owner INTEGER)");
  v1::Table table;
  Integers(table, "a", {1, 2});
  ASSERT_TRUE(InsertRows(database_, "t", table, {"_owner", 9}).ok());
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|9", "2|9"));
}

TEST_F(WriteRowsTest, RowCountOfEveryType) {
  v1::Table table;
  EXPECT_EQ(RowCount(table), 0);
  v1::Column& column = AddColumn(table, "a", v1::REAL);
  EXPECT_EQ(RowCount(table), 0);
  column.add_reals(1);
  EXPECT_EQ(RowCount(table), 1);
  column.set_type(v1::BLOB);
  column.add_blobs("");
  column.add_blobs("");
  EXPECT_EQ(RowCount(table), 2);
  column.set_kinds(std::string(5, '\0'));
  EXPECT_EQ(RowCount(table), 5);
}

TEST_F(WriteRowsTest, UpdateChangesTheNamedColumnsOfRowsWithTheKeyAndAddsTheOthers) {
  Run("CREATE TABLE t (a INTEGER, b TEXT, c TEXT);"
      "INSERT INTO t VALUES (1, 'one', 'keep'), (2, 'two', 'keep'), (1, 'also', 'keep')");
  v1::Table table;
  Integers(table, "a", {1, 3});
  Texts(table, "b", {"new", "three"});
  const UpdateEffect effect = Update(table, {"A"});
  EXPECT_EQ(effect.rows_changed, 2);
  EXPECT_EQ(effect.rows_added, 1);
  EXPECT_THAT(Rows("SELECT a, b, quote(c) FROM t"),
              ElementsAre("1|new|'keep'", "2|two|'keep'", "1|new|'keep'", "3|three|NULL"));
}

TEST_F(WriteRowsTest, LaterRowsOfOnePublishFindTheEarlier) {
  Run("CREATE TABLE t (a INTEGER, b TEXT)");
  v1::Table table;
  Integers(table, "a", {1, 1, 2});
  Texts(table, "b", {"first", "second", "other"});
  const UpdateEffect effect = Update(table, {"a"});
  EXPECT_EQ(effect.rows_added, 2);
  EXPECT_EQ(effect.rows_changed, 1);
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|second", "2|other"));
}

TEST_F(WriteRowsTest, KeysAreComparedAsTheColumnWouldStoreThem) {
  Run("CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BLOB, n INTEGER);"
      "INSERT INTO t VALUES (5, 5, 5, 5, 0), (5, 5, 5, '5', 0)");
  v1::Table table;
  Texts(table, "i", {"5"});
  Integers(table, "r", {5});
  v1::Column& s = AddColumn(table, "s", v1::INTEGER);
  s.add_integers(5);
  // A BLOB column converts nothing: the text is not the integer.
  Texts(table, "b", {"5"});
  Integers(table, "n", {1});
  const UpdateEffect effect = Update(table, {"i", "r", "s", "b"});
  EXPECT_EQ(effect.rows_changed, 1);
  EXPECT_EQ(effect.rows_added, 0);
  EXPECT_THAT(Rows("SELECT typeof(b), n FROM t"), ElementsAre("integer|0", "text|1"));
}

TEST_F(WriteRowsTest, AnIntegerThatNoRealIsEqualToIsFoundInARealColumn) {
  Run("CREATE TABLE t (r REAL, n INTEGER)");
  v1::Table table;
  Integers(table, "r", {9'007'199'254'740'993, std::numeric_limits<int64_t>::max()});
  Integers(table, "n", {1, 2});
  EXPECT_EQ(Update(table, {"r"}).rows_added, 2);
  EXPECT_EQ(Update(table, {"r"}).rows_changed, 2);
  EXPECT_THAT(Rows("SELECT count(*) FROM t"), ElementsAre("2"));
}

TEST_F(WriteRowsTest, ATextThatReadsAsANumberIsFoundInARealColumn) {
  Run("CREATE TABLE t (r REAL, n INTEGER)");
  const std::vector<std::string> texts = {"9223372036854775807",
                                          "9223372036854775297",
                                          "9223372036854775808",
                                          "-9223372036854775808",
                                          "9007199254740993",
                                          "0.1",
                                          " 12 ",
                                          "1e3",
                                          "0x1",
                                          "12abc",
                                          "",
                                          "nan",
                                          "inf",
                                          "9e999",
                                          "-9e999",
                                          "1e-400"};
  v1::Table table;
  v1::Column& r = AddColumn(table, "r", v1::TEXT);
  for (const std::string& text : texts) r.add_texts(text);
  v1::Column& n = AddColumn(table, "n", v1::INTEGER);
  for (size_t i = 0; i < texts.size(); ++i) n.add_integers(static_cast<int64_t>(i));
  // Some are the same number: the first two with the third, and an infinity has one value.
  const UpdateEffect first = Update(table, {"r"});
  EXPECT_EQ(first.rows_added, 14);
  const UpdateEffect second = Update(table, {"r"});
  EXPECT_EQ(second.rows_added, 0);
  EXPECT_EQ(second.rows_changed, 16);
}

TEST_F(WriteRowsTest, NullIsEqualToNullAlone) {
  Run("CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (NULL, 'null'), (0, 'zero')");
  v1::Table table;
  v1::Column& a = AddColumn(table, "a", v1::INTEGER);
  a.set_kinds(std::string(1, '\0'));
  Texts(table, "b", {"changed"});
  EXPECT_EQ(Update(table, {"a"}).rows_changed, 1);
  EXPECT_THAT(Rows("SELECT quote(a), b FROM t"), ElementsAre("NULL|changed", "0|zero"));
}

TEST_F(WriteRowsTest, NotANumberIsANullKey) {
  Run("CREATE TABLE t (a REAL, b TEXT)");
  v1::Table table;
  AddColumn(table, "a", v1::REAL).add_reals(std::numeric_limits<double>::quiet_NaN());
  Texts(table, "b", {"x"});
  EXPECT_EQ(Update(table, {"a"}).rows_added, 1);
  EXPECT_EQ(Update(table, {"a"}).rows_changed, 1);
}

TEST_F(WriteRowsTest, WithoutKeysEveryColumnIsOne) {
  Run("CREATE TABLE t (a INTEGER, b TEXT, c TEXT); INSERT INTO t VALUES (1, 'x', 'keep')");
  v1::Table table;
  Integers(table, "a", {1, 1, 1});
  Texts(table, "b", {"x", "y", "y"});
  const UpdateEffect effect = Update(table, {});
  EXPECT_EQ(effect.rows_added, 1);
  EXPECT_EQ(effect.rows_changed, 0);
  EXPECT_THAT(Rows("SELECT a, b, quote(c) FROM t"), ElementsAre("1|x|'keep'", "1|y|NULL"));
}

TEST_F(WriteRowsTest, UpdatedAndAddedRowsGetTheExtraColumn) {
  Run("CREATE TABLE t (a INTEGER, b TEXT, _owner INTEGER);"
      "INSERT INTO t VALUES (1, 'x', 7), (2, 'y', 7)");
  v1::Table table;
  Integers(table, "a", {2, 3});
  Texts(table, "b", {"y", "z"});
  // Also where nothing but the extra column is set.
  const UpdateEffect effect = Update(table, {}, {"_owner", 8});
  EXPECT_EQ(effect.rows_changed, 1);
  EXPECT_EQ(effect.rows_added, 1);
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|x|7", "2|y|8", "3|z|8"));
}

TEST_F(WriteRowsTest, KeywordsAreNames) {
  Run("CREATE TABLE \"select\" (\"from\" INTEGER, \"where\" TEXT)");
  v1::Table table;
  Integers(table, "FROM", {1});
  Texts(table, "Where", {"x"});
  ASSERT_TRUE(InsertRows(database_, "select", table).ok());
  table.mutable_columns(1)->set_texts(0, "y");
  ASSERT_TRUE(UpdateRows(database_, "SELECT", table, Keys({"from"})).ok());
  EXPECT_THAT(Rows("SELECT * FROM \"select\""), ElementsAre("1|y"));
}

TEST_F(WriteRowsTest, AKeyThatIsNoColumnIsRefused) {
  Run("CREATE TABLE t (a INTEGER)");
  v1::Table table;
  Integers(table, "a", {1});
  const auto effect = UpdateRows(database_, "t", table, Keys({"b"}));
  EXPECT_EQ(effect.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(effect.status().message()), HasSubstr("'b'"));
}

TEST_F(WriteRowsTest, RowsAreFoundByAnIndexThatStays) {
  Run("CREATE TABLE t (a INTEGER, b TEXT, c TEXT)");
  v1::Table table;
  Integers(table, "b", {1});
  Integers(table, "a", {1});
  Texts(table, "c", {"x"});
  // The same columns in another order or case are the same keys.
  Update(table, {"b", "a"});
  Update(table, {"A", "B", "a"});
  EXPECT_THAT(Rows("SELECT name FROM sqlite_schema WHERE type = 'index'"),
              ElementsAre("qasino_server_key_t.a.b"));
  EXPECT_THAT(Rows("EXPLAIN QUERY PLAN UPDATE t SET c = ?3 WHERE (a IS ?1) AND (b IS ?2)"),
              ElementsAre(HasSubstr("USING INDEX qasino_server_key_t.a.b (a=? AND b=?)")));
  EXPECT_THAT(Rows("SELECT * FROM t"), ElementsAre("1|1|x"));
}

TEST_F(WriteRowsTest, ARealKeyIsFoundByItsIndex) {
  Run("CREATE TABLE t (r REAL, c TEXT); CREATE INDEX i ON t (r)");
  EXPECT_THAT(Rows("EXPLAIN QUERY PLAN UPDATE t SET c = ?2 WHERE r IS CASE WHEN ?1 <= "
                   "CAST(9e999 AS REAL) THEN CAST(CAST(?1 AS NUMERIC) AS REAL) ELSE ?1 END"),
              ElementsAre(HasSubstr("USING INDEX i (r=?)")));
}

TEST_F(WriteRowsTest, ATableHasAFewIndexesOnly) {
  Run("CREATE TABLE t (a, b, c, d, e); CREATE INDEX mine ON t (e)");
  v1::Table table;
  for (const char* name : {"a", "b", "c", "d", "e"}) Integers(table, name, {1});
  for (const char* name : {"a", "b", "c", "d"}) Update(table, {name});
  const auto refused = UpdateRows(database_, "t", table, Keys({"e"}));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Update(table, {"d"}).rows_changed, 1);
}

TEST_F(WriteRowsTest, TheWidestTableIsUpdatedByAllItsColumns) {
  constexpr int kColumns = 2000;
  std::string sql = "CREATE TABLE t (";
  v1::Table table;
  for (int i = 0; i < kColumns; ++i) {
    const std::string name = std::string(120, 'n') + std::to_string(i);
    sql += (i == 0 ? "" : ", ") + name + " REAL";
    Integers(table, name, {i});
  }
  Run(sql + ")");
  EXPECT_EQ(Update(table, {}).rows_added, 1);
  EXPECT_EQ(Update(table, {}).rows_added, 0);
  // And by one key, with all the others set.
  EXPECT_EQ(Update(table, {table.columns(0).name()}).rows_changed, 1);
  EXPECT_THAT(Rows("SELECT count(*) FROM t"), ElementsAre("1"));
  ASSERT_TRUE(InsertRows(database_, "t", table).ok());
  EXPECT_THAT(Rows("SELECT count(*) FROM t"), ElementsAre("2"));
}

TEST_F(WriteRowsTest, ATextThatTheRowCannotHoldIsAnErrorThatNamesTheRow) {
  Run("CREATE TABLE t (a INTEGER, b TEXT)");
  sqlite3_limit(database_.get(), SQLITE_LIMIT_LENGTH, 1000);
  v1::Table table;
  Integers(table, "a", {1, 2});
  Texts(table, "b", {"x", std::string(2000, 'x')});
  const absl::Status inserted = InsertRows(database_, "t", table);
  EXPECT_EQ(inserted.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(inserted.message()), HasSubstr("row 2"));
  const auto updated = UpdateRows(database_, "t", table, Keys({"a"}));
  EXPECT_EQ(updated.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(updated.status().message()), HasSubstr("row 2"));
}

TEST_F(WriteRowsTest, AnEmptyTableChangesNothing) {
  Run("CREATE TABLE t (a INTEGER)");
  v1::Table table;
  AddColumn(table, "a", v1::INTEGER);
  ASSERT_TRUE(InsertRows(database_, "t", table).ok());
  EXPECT_EQ(Update(table, {"a"}).rows_added, 0);
  EXPECT_THAT(Rows("SELECT count(*) FROM sqlite_schema"), ElementsAre("1"));
}

}  // namespace
}  // namespace qasino::tables
