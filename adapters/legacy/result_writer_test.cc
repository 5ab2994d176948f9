#include "adapters/legacy/result_writer.h"

#include <csv.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <initializer_list>
#include <limits>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "clients/cpp/cells.h"
#include "clients/cpp/real_text.h"
#include "clients/cpp/utf8.h"

namespace qasino::legacy {
namespace {

using client::Cell;
using client::CellKind;
using std::string_view_literals::operator""sv;

using Row = std::vector<Cell>;

v1::QueryResponse Header(const std::vector<std::string>& columns) {
  v1::QueryResponse part;
  part.mutable_header();
  for (const std::string& column : columns) part.mutable_header()->add_columns()->set_name(column);
  return part;
}

v1::QueryResponse Summary(uint64_t rows) {
  v1::QueryResponse part;
  part.mutable_summary()->set_rows(rows);
  return part;
}

void Add(const Cell& cell, v1::Column* column) {
  switch (cell.kind()) {
    case CellKind::kNull:
      return;
    case CellKind::kInteger:
      return column->add_integers(cell.integer());
    case CellKind::kReal:
      return column->add_reals(cell.real());
    case CellKind::kText:
      return column->add_texts(std::string(cell.text()));
    case CellKind::kBlob:
      return column->add_blobs(std::string(cell.blob()));
  }
}

// With kinds only where they are needed.
v1::QueryResponse Batch(const std::vector<Row>& rows) {
  v1::QueryResponse part;
  part.mutable_batch()->set_rows(rows.size());
  for (size_t i = 0; i < rows[0].size(); ++i) {
    v1::Column* column = part.mutable_batch()->add_columns();
    bool mixed = rows[0][i].is_null();
    for (const Row& row : rows) mixed = mixed || row[i].kind() != rows[0][i].kind();
    if (!mixed) column->set_type(static_cast<v1::ColumnType>(rows[0][i].kind()));
    for (const Row& row : rows) {
      Add(row[i], column);
      if (mixed) column->mutable_kinds()->push_back(static_cast<char>(row[i].kind()));
    }
  }
  return part;
}

// An answer in one part, or in parts of `rows_a_part`.
std::string Write(Format format, const std::vector<std::string>& columns,
                  const std::vector<Row>& rows, size_t rows_a_part = 0,
                  std::string_view sql = "select 1;") {
  const std::unique_ptr<ResultWriter> writer = MakeResultWriter(format, "host1", sql);
  std::string out;
  if (rows_a_part == 0) {
    v1::QueryResponse part = Header(columns);
    if (!rows.empty()) part.MergeFrom(Batch(rows));
    part.MergeFrom(Summary(rows.size()));
    writer->Part(part, &out);
    return out;
  }
  writer->Part(Header(columns), &out);
  for (size_t i = 0; i < rows.size(); i += rows_a_part) {
    const size_t end = std::min(rows.size(), i + rows_a_part);
    writer->Part(Batch({rows.begin() + i, rows.begin() + end}), &out);
  }
  writer->Part(Summary(rows.size()), &out);
  return out;
}

TEST(ResultWriterTest, JsonIsTheOriginals) {
  EXPECT_EQ(Write(Format::kJson, {"name", "n"}, {{"x", 12}, {nullptr, 0.5}}),
            R"({"response_op":"result_table","identity":"host1","table":{"column_names":)"
            R"(["name","n"],"rows":[["x","12"],["","0.5"]]},"max_widths":{"0":4,"1":3}})");
}

TEST(ResultWriterTest, TextIsTheOriginals) {
  EXPECT_EQ(Write(Format::kText, {"name", "n"}, {{"x", 12}}),
            "name   n\n"
            "====  ==\n"
            "   x  12\n"
            "1 rows returned\n");
}

TEST(ResultWriterTest, TypedFormats) {
  const std::vector<Row> rows = {{"x", 12}, {nullptr, 0.1 + 0.2}, {"", 1.0}};
  EXPECT_EQ(Write(Format::kCsv, {"name", "n"}, rows), "name,n\r\nx,12\r\n,0.3\r\n\"\",1.0\r\n");
  EXPECT_EQ(Write(Format::kNdjson, {"name", "n"}, rows), R"({"name":"x","n":12})"
                                                         "\n"
                                                         R"({"name":null,"n":0.30000000000000004})"
                                                         "\n"
                                                         R"({"name":"","n":1.0})"
                                                         "\n");
}

TEST(ResultWriterTest, HtmlIsAPage) {
  const std::string page = Write(Format::kHtml, {"<n>"}, {{"a & 'b' <script>"}, {7}, {"\x01\n"}});
  EXPECT_EQ(page.find("<!DOCTYPE html>"), 0u);
  EXPECT_NE(page.find("<th>&lt;n&gt;</th>"), page.npos);
  EXPECT_NE(page.find("<td>a &amp; &#39;b&#39; &lt;script&gt;</td>"), page.npos);
  EXPECT_NE(page.find("<td class=\"n\">7</td>"), page.npos);
  EXPECT_NE(page.find("<td>\xef\xbf\xbd\n</td>"), page.npos);
  EXPECT_NE(page.find("<p>3 rows returned</p>"), page.npos);
  EXPECT_TRUE(page.ends_with("</html>\n"));
}

TEST(ResultWriterTest, TableListIsTheOriginals) {
  EXPECT_EQ(TableListHead("host1"), R"({"response_op":"tables_list","identity":"host1"})");
  const std::vector<std::string> columns = {"tablename", "nr_updates", "nr_rows",
                                            "last_update_epoch"};
  EXPECT_EQ(Write(Format::kTableList, columns,
                  {{"cpu", 2, 10, 1700000000.123456}, {"disk", 1, 0, 1700000000.0}}),
            R"({"cpu":{"updates":2,"nr_rows":10,"last_update_epoch":1700000000.123456},)"
            R"("disk":{"updates":1,"nr_rows":0,"last_update_epoch":1700000000.0}})");
  EXPECT_EQ(Write(Format::kTableList, columns, {}), "{}");
}

TEST(ResultWriterTest, Goodbye) { EXPECT_EQ(GoodbyeBody("host1"), R"({"identity":"host1"})"); }

TEST(ResultWriterTest, ContentTypes) {
  EXPECT_EQ(ContentType(Format::kJson), "application/json");
  EXPECT_EQ(ContentType(Format::kTableList), "application/json");
  EXPECT_EQ(ContentType(Format::kText), "text/plain; charset=utf-8");
  EXPECT_EQ(ContentType(Format::kHtml), "text/html; charset=utf-8");
  EXPECT_EQ(ContentType(Format::kCsv), "text/csv; charset=utf-8");
  EXPECT_EQ(ContentType(Format::kNdjson), "application/x-ndjson");
}

TEST(ResultWriterTest, WithoutRowsTheColumnsHaveTheirNames) {
  EXPECT_EQ(Write(Format::kJson, {"name", "n"}, {}),
            R"({"response_op":"result_table","identity":"host1","table":{"column_names":)"
            R"(["name","n"],"rows":[]},"max_widths":{"0":4,"1":1}})");
  EXPECT_EQ(Write(Format::kText, {"name", "n"}, {}), "name  n\n====  =\n0 rows returned\n");
  EXPECT_EQ(Write(Format::kCsv, {"name", "n"}, {}), "name,n\r\n");
  EXPECT_EQ(Write(Format::kNdjson, {"name", "n"}, {}), "");
}

TEST(ResultWriterTest, DescHasNoWidths) {
  for (const char* sql : {"desc t;", " DESCRIBE t", "Desc\tview v;"}) {
    EXPECT_TRUE(
        Write(Format::kJson, {"column_name"}, {{"a"}}, 0, sql).ends_with(R"("rows":[["a"]]}})"))
        << sql;
  }
  EXPECT_TRUE(Write(Format::kJson, {"a"}, {{"a"}}, 0, "select 1 as describe").ends_with("1}}"));
}

TEST(ResultWriterTest, EveryControlCharacterIsEscaped) {
  for (int c = 0; c < 0x80; ++c) {
    // At each place among the eight bytes that are looked at together.
    for (size_t at = 0; at < 17; ++at) {
      std::string text(17, 'a');
      text[at] = static_cast<char>(c);
      const boost::json::value json = boost::json::parse(Write(Format::kJson, {text}, {{text}}));
      EXPECT_EQ(json.at_pointer("/table/rows/0/0").as_string(), text);
      EXPECT_EQ(json.at_pointer("/table/column_names/0").as_string(), text);
      const boost::json::value line = boost::json::parse(Write(Format::kNdjson, {text}, {{text}}));
      EXPECT_EQ(line.at(text).as_string(), text);
    }
    const std::string shown = Write(Format::kText, {"n"}, {{std::string(1, static_cast<char>(c))}});
    EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 4) << c;
    for (const char one : shown) EXPECT_TRUE(one == '\n' || (one >= ' ' && one < 0x7f)) << c;
  }
  EXPECT_NE(Write(Format::kJson, {"a"}, {{"\"\\\n\r\t\x01\x7f"}})
                .find("[[\"\\\"\\\\\\n\\r\\t\\u0001\x7f\"]]"),
            std::string::npos);
}

TEST(ResultWriterTest, WidthsAreThoseOfATerminal) {
  EXPECT_TRUE(Write(Format::kJson, {"é", "日本", "e\u0301x"}, {{1, 2, 3}})
                  .ends_with(R"("max_widths":{"0":1,"1":4,"2":2}})"));
  EXPECT_TRUE(Write(Format::kJson, {"a", "b"}, {{"naïve", "日本語 text"}})
                  .ends_with(R"("max_widths":{"0":5,"1":11}})"));
  EXPECT_EQ(Write(Format::kText, {"a", "b"}, {{"日本", "é"}, {"e\u0301", "xyz"}}),
            "   a    b\n"
            "====  ===\n"
            "日本    é\n"
            "   e\u0301  xyz\n"
            "2 rows returned\n");
  EXPECT_EQ(DisplayWidth("日本"), 4u);
}

TEST(ResultWriterTest, TextShowsNeitherNewlinesNorEscapesBackslashes) {
  EXPECT_EQ(Write(Format::kText, {"a"}, {{"x\ny"}, {"C:\\n"}, {nullptr}}),
            "   a\n====\nx\\ny\nC:\\n\n    \n3 rows returned\n");
}

TEST(ResultWriterTest, BlobsAreTextWhereTheyCanBe) {
  const std::vector<Row> rows = {{Cell::Blob("abc")}, {Cell::Blob("\x00\xff"sv)}, {Cell::Blob("")}};
  EXPECT_NE(Write(Format::kJson, {"b"}, rows).find(R"([["abc"],["X'00ff'"],[""]])"),
            std::string::npos);
  EXPECT_TRUE(Write(Format::kJson, {"b"}, rows).ends_with(R"({"0":7}})"));
  EXPECT_EQ(Write(Format::kText, {"b"}, rows),
            "      b\n=======\n    abc\nX'00ff'\n       \n3 rows returned\n");
  EXPECT_EQ(Write(Format::kCsv, {"b"}, rows), "b\r\nX'616263'\r\nX'00ff'\r\nX''\r\n");
  EXPECT_EQ(Write(Format::kNdjson, {"b"}, rows),
            "{\"b\":\"X'616263'\"}\n{\"b\":\"X'00ff'\"}\n{\"b\":\"X''\"}\n");
}

TEST(ResultWriterTest, WhatIsNotUtf8StaysOutOfJson) {
  const std::string bad = "a\xff\xc3";
  const std::string out = Write(Format::kJson, {bad}, {{bad}, {Cell::Blob(bad)}});
  EXPECT_TRUE(client::IsUtf8(out));
  const boost::json::value json = boost::json::parse(out);
  EXPECT_EQ(json.at_pointer("/table/rows/0/0").as_string(), "a\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(json.at_pointer("/table/rows/1/0").as_string(), "X'61ffc3'");
  EXPECT_TRUE(client::IsUtf8(Write(Format::kNdjson, {bad}, {{bad}})));
  EXPECT_TRUE(client::IsUtf8(Write(Format::kText, {bad}, {{bad}})));
}

TEST(ResultWriterTest, Numbers) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<Row> rows = {{kLeast, 1e20}, {0, 1e-5}, {-1, kInfinity}, {1, -kInfinity}};
  EXPECT_NE(Write(Format::kJson, {"i", "r"}, rows)
                .find(R"([["-9223372036854775808","1.0e+20"],["0","1.0e-05"],["-1","Inf"],)"
                      R"(["1","-Inf"]])"),
            std::string::npos);
  EXPECT_EQ(Write(Format::kNdjson, {"i", "r"}, rows),
            "{\"i\":-9223372036854775808,\"r\":1e+20}\n{\"i\":0,\"r\":1e-05}\n"
            "{\"i\":-1,\"r\":9.0e+999}\n{\"i\":1,\"r\":-9.0e+999}\n");
}

TEST(ResultWriterTest, ColumnsOfOneNameStayApart) {
  EXPECT_NE(Write(Format::kJson, {"a", "a"}, {{1, 2}}).find(R"("column_names":["a","a"])"),
            std::string::npos);
  EXPECT_EQ(Write(Format::kNdjson, {"a", "a", "a:1", "a"}, {{1, 2, 3, 4}}),
            "{\"a\":1,\"a:2\":2,\"a:1\":3,\"a:3\":4}\n");
}

TEST(ResultWriterTest, AnUnchangedAnswerHasNoColumns) {
  v1::QueryResponse part;
  part.mutable_header();
  part.mutable_summary()->set_unchanged(true);
  std::string out;
  MakeResultWriter(Format::kJson, "host1", "select 1;")->Part(part, &out);
  EXPECT_TRUE(boost::json::parse(out).at_pointer("/table/rows").as_array().empty());
  for (const Format format : {Format::kText, Format::kHtml, Format::kCsv, Format::kNdjson}) {
    MakeResultWriter(format, "host1", "select 1;")->Part(part, &out);
  }
}

TEST(ResultWriterTest, PartsMakeTheSameAnswer) {
  std::vector<Row> rows;
  const std::string long_text(40'000, '"');
  const std::string wide_text = [] {
    std::string text;
    for (int i = 0; i < 9000; ++i) text += i % 2 == 0 ? "日" : "a";
    return text;
  }();
  for (int i = 0; i < 300; ++i) {
    rows.push_back({i, i % 3 == 0 ? Cell() : Cell("text"), i % 2 == 0 ? Cell(0.5 * i) : Cell(i)});
  }
  rows.push_back({Cell(long_text), Cell(wide_text), Cell::Blob(long_text)});
  for (const Format format :
       {Format::kJson, Format::kText, Format::kHtml, Format::kCsv, Format::kNdjson}) {
    const std::string whole = Write(format, {"a", "b", "c"}, rows);
    for (const size_t rows_a_part : {1, 7, 300}) {
      EXPECT_EQ(Write(format, {"a", "b", "c"}, rows, rows_a_part), whole);
    }
  }
  const boost::json::value json = boost::json::parse(Write(Format::kJson, {"a", "b", "c"}, rows));
  EXPECT_EQ(json.at_pointer("/table/rows/300/0").as_string(), long_text);
  EXPECT_EQ(json.at_pointer("/table/rows/300/1").as_string(), wide_text);
  EXPECT_EQ(json.at_pointer("/max_widths/0").as_int64(), 40'000);
  EXPECT_EQ(json.at_pointer("/max_widths/1").as_int64(), 4500 * 3);
}

TEST(ResultWriterTest, ALongTextStreams) {
  const std::unique_ptr<ResultWriter> writer = MakeResultWriter(Format::kText, "", "select 1;");
  const std::string cell(1 << 20, 'x');
  std::string out;
  writer->Part(Header({"a", "b"}), &out);
  for (int i = 0; i < 3; ++i) writer->Part(Batch({{cell, 1}}), &out);
  EXPECT_EQ(out, "") << "the widths are not known yet";
  writer->Part(Batch({{cell, 1}}), &out);
  EXPECT_GT(out.size(), ResultWriter::kTextBytes);
  out.clear();
  writer->Part(Batch({{"y", 12345}}), &out);
  EXPECT_EQ(out, std::string(cell.size() - 1, ' ') + "y  12345\n") << "a wider one sticks out";
  out.clear();
  writer->Part(Summary(5), &out);
  EXPECT_EQ(out, "5 rows returned\n");
}

TEST(ResultWriterTest, BlanksDoNotFillTheMemory) {
  constexpr size_t kMost = 64 << 20;
  const std::vector<Row> short_ones(100'000, Row{"x", 1});
  for (const size_t long_bytes : {size_t{1} << 20, ResultWriter::kTextBytes}) {
    const std::unique_ptr<ResultWriter> writer = MakeResultWriter(Format::kText, "", "select 1;");
    const std::string cell(long_bytes, 'y');
    std::string out;
    writer->Part(Header({"a", "b"}), &out);
    writer->Part(Batch({{cell, 1}}), &out);
    writer->Part(Batch(short_ones), &out);
    writer->Part(Batch(short_ones), &out);
    writer->Part(Summary(200'001), &out);
    EXPECT_LT(out.size(), kMost);
    EXPECT_NE(out.find("\n" + cell + "  1\n"), std::string::npos) << "nothing is cut";
    EXPECT_NE(out.find("x  1\n200001 rows returned\n"), std::string::npos);
  }
  // A usual table has all its blanks, however long it is.
  std::vector<Row> usual(20'000, Row{"short", 1});
  usual[0][0] = Cell(std::string_view("twenty characters or"));
  const std::string out = Write(Format::kText, {"a", "b"}, usual);
  EXPECT_EQ(out.size(), 20'002 * 24 + std::string("20000 rows returned\n").size());
}

TEST(ResultWriterTest, LongNamesAreNotRepeatedInEveryRow) {
  const std::string name(1000, 'n');
  const std::string shown = std::string(256, 'n') + "…";
  EXPECT_EQ(Write(Format::kNdjson, {name, name}, {{1, 2}}),
            "{\"" + shown + "\":1,\"" + shown + ":1\":2}\n");
}

TEST(ResultWriterTest, AnErrorAfterTheFirstPartIsSeen) {
  const auto written = [](Format format) {
    const std::unique_ptr<ResultWriter> writer = MakeResultWriter(format, "host1", "select 1;");
    std::string out;
    v1::QueryResponse part = Header({"a", "b", "c", "d"});
    part.MergeFrom(Batch({{"x", 1, 2, 3.5}}));
    writer->Part(part, &out);
    writer->Fail(absl::ResourceExhaustedError("more than \"2\" rows,\nno more"), &out);
    return out;
  };
  boost::json::error_code error;
  boost::json::parse(written(Format::kJson), error);
  EXPECT_EQ(error, boost::json::error::incomplete);
  boost::json::parse(written(Format::kTableList), error);
  EXPECT_EQ(error, boost::json::error::incomplete);
  EXPECT_EQ(written(Format::kText),
            "a  b  c    d\n=  =  =  ===\nx  1  2  3.5\n"
            "SQL error: more than \"2\" rows,\\nno more\n");
  EXPECT_NE(written(Format::kHtml).find("class=\"error\">SQL error: more than &quot;2&quot; rows"),
            std::string::npos);
  EXPECT_EQ(written(Format::kCsv),
            "a,b,c,d\r\nx,1,2,3.5\r\n#error,RESOURCE_EXHAUSTED,\"more than \"\"2\"\" rows,\nno "
            "more\"\r\n");
  EXPECT_TRUE(written(Format::kNdjson)
                  .ends_with(R"({"error":{"code":"RESOURCE_EXHAUSTED","message":)"
                             R"("more than \"2\" rows,\nno more"}})"
                             "\n"));
}

TEST(ResultWriterTest, NoRowLooksLikeTheRecordOfAnError) {
  EXPECT_EQ(Write(Format::kCsv, {"#error"}, {{"#error"}}), "\"#error\"\r\n\"#error\"\r\n");
}

// The cells as kJson and kCsv tell them.
std::string Told(const Cell& cell, Format format) {
  switch (cell.kind()) {
    case CellKind::kNull:
      return "";
    case CellKind::kInteger:
      return std::to_string(cell.integer());
    case CellKind::kReal:
      return client::RealText(cell.real());
    case CellKind::kText:
      return std::string(cell.text());
    case CellKind::kBlob:
      break;
  }
  if (format == Format::kJson && client::IsUtf8(cell.blob())) return std::string(cell.blob());
  std::string hex = "X'";
  for (const unsigned char c : cell.blob()) {
    constexpr char kHex[] = "0123456789abcdef";
    hex += {kHex[c >> 4], kHex[c & 15]};
  }
  return hex + "'";
}

using Records = std::vector<std::vector<std::optional<std::string>>>;

Records ParseCsv(const std::string& text) {
  struct Reader {
    Records records;
    std::vector<std::optional<std::string>> record;
  } reader;
  csv_parser parser;
  csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_EMPTY_IS_NULL);
  const size_t read = csv_parse(
      &parser, text.data(), text.size(),
      [](void* cell, size_t size, void* to) {
        auto& record = static_cast<Reader*>(to)->record;
        if (cell == nullptr) {
          record.emplace_back();
        } else {
          record.emplace_back(std::string(static_cast<const char*>(cell), size));
        }
      },
      [](int, void* to) {
        auto* reader = static_cast<Reader*>(to);
        reader->records.push_back(std::move(reader->record));
        reader->record.clear();
      },
      &reader);
  EXPECT_EQ(read, text.size()) << csv_strerror(csv_error(&parser));
  csv_free(&parser);
  return reader.records;
}

TEST(ResultWriterTest, AnyRowsAreReadBackFromEveryFormat) {
  std::mt19937 random(7);
  const std::vector<std::string> pieces = {
      "a",    "Z9",   " ",       ",",          "\"",
      "\\",   "\n",   "\r\n",    "\t",         "#",
      "é",    "日本", "e\u0301", "\U0001f600", std::string(1, '\0'),
      "\x01", "\x7f", "'",       "<",          "plain text of some length",
      "{}[]:"};
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> texts;
    const size_t width = 1 + random() % 5;
    const size_t height = 1 + random() % 20;
    for (size_t i = 0; i < width * height; ++i) {
      std::string& text = texts.emplace_back();
      for (size_t n = random() % 6; n > 0; --n) text += pieces[random() % pieces.size()];
    }
    std::vector<Row> rows(height);
    for (size_t i = 0; i < width * height; ++i) {
      Cell cell;
      switch (random() % 6) {
        case 0:
          cell = Cell(static_cast<int64_t>(random()) - (int64_t{1} << 31));
          break;
        case 1:
          cell = Cell(static_cast<double>(random()) / (1 + random() % 1000));
          break;
        case 2:
          break;
        case 3:
          texts[i] += '\xfe';
          cell = Cell::Blob(texts[i]);
          break;
        default:
          cell = Cell(texts[i]);
      }
      rows[i / width].push_back(cell);
    }
    std::vector<std::string> columns;
    for (size_t i = 0; i < width; ++i) columns.push_back("c" + std::to_string(i));

    const size_t rows_a_part = random() % 4;
    const boost::json::value json =
        boost::json::parse(Write(Format::kJson, columns, rows, rows_a_part));
    std::istringstream lines(Write(Format::kNdjson, columns, rows, rows_a_part));
    const Records records = ParseCsv(Write(Format::kCsv, columns, rows, rows_a_part));
    const bool blank_lines = width == 1;  // a row of one NULL, which libcsv passes over
    if (!blank_lines) {
      ASSERT_EQ(records.size(), height + 1);
    }
    for (size_t y = 0; y < height; ++y) {
      std::string line;
      ASSERT_TRUE(std::getline(lines, line));
      const boost::json::value object = boost::json::parse(line);
      for (size_t x = 0; x < width; ++x) {
        const Cell& cell = rows[y][x];
        EXPECT_EQ(json.at_pointer("/table/rows").at(y).at(x).as_string(),
                  Told(cell, Format::kJson));
        const boost::json::value& typed = object.at(columns[x]);
        switch (cell.kind()) {
          case CellKind::kNull:
            EXPECT_TRUE(typed.is_null());
            break;
          case CellKind::kInteger:
            EXPECT_EQ(typed.as_int64(), cell.integer());
            break;
          case CellKind::kReal:
            EXPECT_TRUE(typed.is_double());
            break;
          default:
            EXPECT_EQ(typed.as_string(), Told(cell, Format::kNdjson));
        }
        if (blank_lines) continue;
        ASSERT_EQ(records[y + 1].size(), width);
        EXPECT_EQ(records[y + 1][x].has_value(), !cell.is_null());
        EXPECT_EQ(records[y + 1][x].value_or(""), Told(cell, Format::kCsv));
      }
    }
  }
}

}  // namespace
}  // namespace qasino::legacy
