// The shard against a plain model, with publishes at random.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/ingest/paged_shard.h"
#include "services/ingest/shard_fixture.h"
#include "services/ingest/validate.h"

namespace qasino::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What a shard is to be, as plainly as it can be said.
class Model {
 public:
  struct TableModel {
    std::string name;
    std::vector<v1::ColumnInfo> columns;
    std::vector<std::vector<std::string>> rows;  // cells as SQLite's quote() writes them
    std::vector<std::string> owners;             // of each row
    std::map<std::string, int> publishes;        // by identity
    bool updated = false;
  };

  // False: a duplicate.
  bool Apply(const v1::PublishRequest& publish) {
    const v1::Table& published = publish.table();
    TableModel& table = tables[absl::AsciiStrToLower(published.name())];
    if (!publish.update() && table.publishes.contains(publish.identity())) return false;
    if (table.name.empty()) table.name = published.name();
    std::vector<size_t> places;
    for (const v1::Column& column : published.columns()) {
      size_t place = 0;
      while (place < table.columns.size() &&
             !absl::EqualsIgnoreCase(table.columns[place].name(), column.name())) {
        ++place;
      }
      if (place == table.columns.size()) {
        v1::ColumnInfo& info = table.columns.emplace_back();
        info.set_name(column.name());
        info.set_type(column.type());
        for (auto& row : table.rows) row.push_back("NULL");
      }
      places.push_back(place);
    }
    for (int64_t i = 0; i < RowCount(published); ++i) {
      std::vector<std::string> row(table.columns.size(), "NULL");
      std::vector<bool> is_key(table.columns.size());
      for (size_t c = 0; c < places.size(); ++c) {
        const v1::Column& column = published.columns(static_cast<int>(c));
        row[places[c]] = Cell(column, i, table.columns[places[c]].type());
        bool key = publish.keycols().empty();
        for (const std::string& name : publish.keycols()) {
          key = key || absl::EqualsIgnoreCase(name, column.name());
        }
        is_key[places[c]] = key;
      }
      bool found = false;
      for (auto& old : table.rows) {
        if (!publish.update()) break;
        bool same = true;
        for (size_t c = 0; c < row.size(); ++c) same = same && (!is_key[c] || row[c] == old[c]);
        if (!same) continue;
        found = true;
        for (const size_t place : places) old[place] = row[place];
      }
      if (found) continue;
      table.rows.push_back(row);
      table.owners.push_back(publish.identity());
    }
    ++table.publishes[publish.identity()];
    table.updated = table.updated || publish.update();
    return true;
  }

  std::map<std::string, TableModel> tables;

 private:
  // The columns here have one array; texts of digits alone are integers to a column of these.
  static std::string Cell(const v1::Column& column, int64_t row, v1::ColumnType stored_as) {
    if (!column.kinds().empty()) {
      // Only NULLs beside the column's own type.
      if (column.kinds()[row] == 0) return "NULL";
      const std::string before = column.kinds().substr(0, row);
      row -= std::count(before.begin(), before.end(), '\0');
    }
    if (column.type() == v1::INTEGER) {
      const std::string digits = absl::StrCat(column.integers(static_cast<int>(row)));
      if (stored_as == v1::TEXT) return absl::StrCat("'", digits, "'");
      return stored_as == v1::REAL ? digits + ".0" : digits;
    }
    const std::string& text = column.texts(static_cast<int>(row));
    int64_t number = 0;
    if (stored_as != v1::TEXT && stored_as != v1::BLOB && absl::SimpleAtoi(text, &number)) {
      return stored_as == v1::REAL ? text + ".0" : text;
    }
    return absl::StrCat("'", text, "'");
  }
};

// Random publishes of both sorts, of which some fail.
TEST_F(ShardTest, IsWhatAPlainModelSays) {
  for (int seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    const auto below = [&](int limit) { return static_cast<int>(random() % limit); };
    Open({.bytes_per_row = 2000});
    Model model;
    const int publishes = 20 + below(60);
    for (int p = 0; p < publishes; ++p) {
      v1::PublishRequest publish;
      publish.set_identity(absl::StrCat("h", below(6)));
      const char* const names[] = {"t", "T", "u", "v"};
      publish.mutable_table()->set_name(names[below(4)]);
      publish.set_update(below(3) > 0);
      const int rows = below(5);
      const bool too_large = rows > 0 && below(8) == 0;
      std::vector<std::string> columns = {"a", "b", "c", "d", "e"};
      std::shuffle(columns.begin(), columns.end(), random);
      columns.resize(1 + below(4));
      for (size_t c = 0; c < columns.size(); ++c) {
        v1::Column& column = *publish.mutable_table()->add_columns();
        column.set_name(below(4) == 0 ? absl::AsciiStrToUpper(columns[c]) : columns[c]);
        const bool text = below(2) == 0;
        column.set_type(text ? v1::TEXT : v1::INTEGER);
        const bool some_null = below(3) == 0;
        for (int row = 0; row < rows; ++row) {
          if (some_null) column.mutable_kinds()->push_back(below(2) == 0 ? '\0' : (text ? 3 : 1));
          if (some_null && column.kinds().back() == 0) continue;
          if (text) {
            column.add_texts(below(2) == 0 ? absl::StrCat(below(3)) : absl::StrCat("x", below(3)));
          } else {
            column.add_integers(below(4));
          }
        }
        if (publish.update() && below(2) == 0) publish.add_keycols(columns[c]);
      }
      if (too_large) {
        v1::Column& column = *publish.mutable_table()->add_columns();
        column.set_name(below(2) == 0 ? "wide" : "f");
        column.set_type(v1::TEXT);
        for (int row = 0; row < rows; ++row)
          column.add_texts(row + 1 == rows ? std::string(3000, 'x') : "");
      }
      ASSERT_EQ(ValidatePublish(publish, 0, {}), absl::OkStatus());
      const bool was_published = shard_->IsPublished(publish);
      const auto effect = shard_->Publish(publish, kNow);
      if (too_large && (publish.update() || !was_published)) {
        ASSERT_EQ(effect.status().code(), absl::StatusCode::kResourceExhausted) << effect.status();
        continue;
      }
      if (publish.update() && effect.status().code() == absl::StatusCode::kResourceExhausted) {
        ASSERT_THAT(std::string(effect.status().message()), HasSubstr("sets of key columns"));
        continue;
      }
      ASSERT_TRUE(effect.ok()) << effect.status();
      ASSERT_EQ(effect->duplicate, !model.Apply(publish));
      if (below(20) == 0) {
        const auto copy = shard_->Copy();
        ASSERT_TRUE(copy.ok()) << copy.status();
      }
    }
    Seal();
    ASSERT_EQ(sealed_.info.tables_size(), static_cast<int>(model.tables.size()));
    for (const v1::TableInfo& info : sealed_.info.tables()) {
      SCOPED_TRACE(info.name());
      const Model::TableModel& table = model.tables[absl::AsciiStrToLower(info.name())];
      EXPECT_EQ(info.name(), table.name);
      EXPECT_EQ(info.updated(), table.updated);
      ASSERT_EQ(info.rows(), static_cast<int64_t>(table.rows.size()));
      ASSERT_EQ(info.columns_size(), static_cast<int>(table.columns.size()));
      std::string quoted;
      for (int c = 0; c < info.columns_size(); ++c) {
        EXPECT_EQ(info.columns(c).name(), table.columns[c].name());
        EXPECT_EQ(info.columns(c).type(), table.columns[c].type());
        absl::StrAppend(&quoted, c == 0 ? "" : ", ", "quote(", info.columns(c).name(), ")");
      }
      std::vector<std::string> expected;
      for (const auto& row : table.rows) expected.push_back(absl::StrJoin(row, "|"));
      EXPECT_EQ(Rows(absl::StrCat("SELECT ", quoted, " FROM ", info.name())), expected);
      // Each row is in the run of who added it; runs are as few as can be.
      int64_t publishes_of_all = 0;
      for (const auto& [identity, count] : table.publishes) publishes_of_all += count;
      EXPECT_EQ(info.updates(), publishes_of_all);
      std::vector<std::string> runs;
      for (size_t begin = 0, end = 0; begin < table.owners.size(); begin = end) {
        while (end < table.owners.size() && table.owners[end] == table.owners[begin]) ++end;
        runs.push_back(absl::StrCat(begin + 1, "|", end - begin, "|", table.owners[begin]));
      }
      EXPECT_EQ(Rows(absl::StrCat("SELECT first_rowid, nr_rows, identity FROM "
                                  "qasino_server_publishes WHERE nr_rows > 0 AND tablename = '",
                                  info.name(), "' ORDER BY first_rowid")),
                runs);
      for (const auto& [identity, count] : table.publishes) {
        EXPECT_THAT(Rows(absl::StrCat("SELECT sum(nr_updates) FROM qasino_server_publishes WHERE "
                                      "tablename = '",
                                      info.name(), "' AND identity = '", identity, "'")),
                    ElementsAre(absl::StrCat(count)));
      }
    }
  }
}

}  // namespace
}  // namespace qasino::ingest
