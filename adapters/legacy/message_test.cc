#include "adapters/legacy/message.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "clients/cpp/cells.h"

namespace qasino::legacy {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kGood[] =
    R"({"op":"add_table_data","identity":"hôst\n1","persist":1,"table":{"tablename":"t",)"
    R"("column_names":["a","b","c"],"column_types":["int","text","real"],)"
    R"("rows":[[1,"x",0.5],[-2,"\u20ac\ud83d\ude00",1e3],[null,"é\\",true]]}})";

Message Parse(std::string_view text) {
  absl::StatusOr<Message> message = ParseMessage(text);
  EXPECT_TRUE(message.ok()) << message.status() << " " << text;
  return message.ok() ? *std::move(message) : Message();
}

v1::PublishRequest Publish(std::string_view text) {
  const Message message = Parse(text);
  EXPECT_TRUE(message.publish.ok()) << message.publish.status() << " " << text;
  return message.publish.ok() ? *message.publish : v1::PublishRequest();
}

std::string Refused(std::string_view text, const MessageLimits& limits = {}) {
  const absl::StatusOr<Message> message = ParseMessage(text, limits);
  EXPECT_TRUE(message.ok()) << message.status() << " " << text;
  if (!message.ok()) return "";
  EXPECT_FALSE(message->publish.ok()) << text;
  return message->publish.status().ToString();
}

// A message with a table of two columns.
std::string WithRows(std::string_view rows, std::string_view types = R"(["int","text"])") {
  return fmt::format(
      R"({{"table":{{"tablename":"t","column_names":["a","b"],"column_types":{},"rows":{}}}}})",
      types, rows);
}

// A message with such a table of one column.
v1::Column Column(std::string_view rows, std::string_view type) {
  return Publish(
             fmt::format(
                 R"({{"table":{{"tablename":"t","column_names":["a"],"column_types":["{}"],"rows":{}}}}})",
                 type, rows))
      .table()
      .columns(0);
}

// A message with one more member.
std::string With(std::string_view member) {
  return fmt::format(
      R"({{{},"table":{{"tablename":"t","column_names":["a"],"column_types":["int"],"rows":[]}}}})",
      member);
}

// The result in one word, to compare.
std::string Summary(const absl::StatusOr<Message>& message) {
  if (!message.ok()) return fmt::format("{}", static_cast<int>(message.status().code()));
  const std::string publish = message->publish.ok() ? message->publish->SerializeAsString()
                                                    : message->publish.status().ToString();
  return fmt::format("{} {} {} {} {}", message->is_object, message->op.value_or("-"),
                     message->sql.value_or("-"), message->use_write_db, publish);
}

TEST(MessageTest, TellsWhatTheCellsTake) {
  MessageParser parser;
  EXPECT_EQ(parser.held_bytes(), 0u);
  ASSERT_TRUE(parser.Write(R"({"table":{"rows":[["",1])"));
  const size_t one = parser.held_bytes();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(parser.Write(R"(,["",1])"));
  EXPECT_GE(parser.held_bytes(), one + 1000 * (sizeof(std::string) + sizeof(int64_t)));
  EXPECT_LE(parser.held_bytes(), one + 1000 * 64);
}

TEST(MessageTest, ReadsAPublish) {
  const Message message = Parse(kGood);
  EXPECT_TRUE(message.is_object);
  EXPECT_EQ(message.op, "add_table_data");
  EXPECT_FALSE(message.sql.has_value());
  ASSERT_TRUE(message.publish.ok()) << message.publish.status();
  const v1::PublishRequest& request = *message.publish;
  EXPECT_EQ(request.identity(), "hôst\n1");
  EXPECT_TRUE(request.persist());
  EXPECT_FALSE(request.static_() || request.update());
  EXPECT_EQ(request.table().name(), "t");
  ASSERT_EQ(request.table().columns_size(), 3);
  const v1::Column& a = request.table().columns(0);
  EXPECT_EQ(a.name(), "a");
  EXPECT_EQ(a.type(), v1::INTEGER);
  EXPECT_THAT(a.integers(), ElementsAre(1, -2));
  EXPECT_EQ(a.kinds(), std::string("\1\1\0", 3));
  const v1::Column& b = request.table().columns(1);
  EXPECT_THAT(b.texts(), ElementsAre("x", "€😀", "é\\"));
  EXPECT_EQ(b.kinds(), "");
  const v1::Column& c = request.table().columns(2);
  EXPECT_THAT(c.reals(), ElementsAre(0.5, 1000));
  EXPECT_THAT(c.integers(), ElementsAre(1));
  EXPECT_EQ(c.kinds(), "\2\2\1");
}

TEST(MessageTest, ReadsAQuery) {
  const Message message =
      Parse(R"( {"op":"query","sql":"select 'é'","use_write_db":true,"more":{"op":[1,{}]}} )");
  EXPECT_EQ(message.op, "query");
  EXPECT_EQ(message.sql, "select 'é'");
  EXPECT_TRUE(message.use_write_db);
  EXPECT_EQ(message.publish.status().message(), "'table'");
}

TEST(MessageTest, PiecesCutAnywhereGiveTheSame) {
  const std::string good = kGood;
  const std::string want = Summary(ParseMessage(good));
  for (size_t cut = 0; cut <= good.size(); ++cut) {
    MessageParser parser;
    EXPECT_TRUE(parser.Write(good.substr(0, cut)));
    EXPECT_TRUE(parser.Write(""));
    EXPECT_TRUE(parser.Write(good.substr(cut)));
    EXPECT_EQ(Summary(parser.Finish()), want) << "cut at " << cut;
  }
  MessageParser parser;
  for (const char byte : good) EXPECT_TRUE(parser.Write(std::string_view(&byte, 1)));
  EXPECT_EQ(Summary(parser.Finish()), want);
}

TEST(MessageTest, KeysComeInAnyOrder) {
  const std::vector<std::string> members = {R"("tablename":"t")", R"("column_names":["a","b"])",
                                            R"("column_types":["int","blob"])",
                                            R"("rows":[[null,"x"],[1.5,"y"],["z",2],[3,null]])"};
  std::vector<int> order = {0, 1, 2, 3};
  std::string want;
  do {
    const std::string text =
        fmt::format(R"({{"table":{{{},{},{},{}}},"identity":"i"}})", members[order[0]],
                    members[order[1]], members[order[2]], members[order[3]]);
    const std::string got = Publish(text).SerializeAsString();
    if (want.empty()) want = got;
    EXPECT_EQ(got, want) << text;
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(MessageTest, OfAKeyThatComesAgainTheLastCounts) {
  const v1::PublishRequest request = Publish(
      R"({"identity":"x","table":5,"persist":1,"table":{"rows":[["x","y"],[1]],"tablename":5,)"
      R"("column_names":["z"],"column_types":{},"rows":[[1]],"column_names":["a"],)"
      R"("column_types":["int"],"tablename":"t"},"identity":"y","persist":0})");
  EXPECT_EQ(request.identity(), "y");
  EXPECT_FALSE(request.persist());
  EXPECT_EQ(request.table().name(), "t");
  EXPECT_THAT(request.table().columns(0).integers(), ElementsAre(1));
  EXPECT_THAT(Refused(R"({"table":{"tablename":"t"},"table":null})"), HasSubstr("not an object"));
}

TEST(MessageTest, ColumnsWithoutStrayCellsHaveNoKinds) {
  EXPECT_EQ(Column("[[1],[2]]", "int").kinds(), "");
  EXPECT_EQ(Column("[[1],[2]]", "real").kinds(), "\1\1");
  EXPECT_EQ(Column("[[null],[null]]", "text").kinds(), std::string("\0\0", 2));
  EXPECT_EQ(Column("[[null],[1]]", "int").kinds(), std::string("\0\1", 2));
  EXPECT_EQ(Column("[[1],[true],[false]]", "int").kinds(), "");
  EXPECT_EQ(Column("[]", "int").kinds(), "");
  const v1::Column blobs = Column(R"([["a"],["\u0000b"]])", "blob");
  EXPECT_EQ(blobs.kinds(), "");
  EXPECT_THAT(blobs.blobs(), ElementsAre("a", std::string("\0b", 2)));
  const v1::Column mixed = Column(R"([[1],["b"]])", "blob");
  EXPECT_EQ(mixed.kinds(), "\1\4");
  EXPECT_THAT(mixed.texts(), IsEmpty());
}

TEST(MessageTest, EveryTypeWordIsKnownInAnyCase) {
  for (const char* word : {"integer", "int", "LL", "time", "BigInt"}) {
    EXPECT_EQ(Column("[]", word).type(), v1::INTEGER) << word;
  }
  for (const char* word : {"real", "Float", "double"}) {
    EXPECT_EQ(Column("[]", word).type(), v1::REAL) << word;
  }
  for (const char* word : {"text", "STRING", "str", "ip", "varchar"}) {
    EXPECT_EQ(Column("[]", word).type(), v1::TEXT) << word;
  }
  EXPECT_EQ(Column("[]", "Blob").type(), v1::BLOB);
}

TEST(MessageTest, NumbersAreExact) {
  EXPECT_THAT(Column("[[9223372036854775807],[-9223372036854775808],[-0]]", "int").integers(),
              ElementsAre(INT64_MAX, INT64_MIN, 0));
  EXPECT_THAT(Column("[[0.30000000000000004],[1.7976931348623157e308],[5e-324],"
                     "[123456789.12345679],[9007199254740993.0],[1e-400]]",
                     "real")
                  .reals(),
              ElementsAre(0.30000000000000004, 1.7976931348623157e308, 5e-324, 123456789.12345679,
                          9007199254740992, 0));
  // In a column that is not INTEGER what is too large for one is a real.
  EXPECT_THAT(
      Column("[[9223372036854775808],[-9223372036854775809],[18446744073709551616]]", "real")
          .reals(),
      ElementsAre(9223372036854775808., -9223372036854775808., 18446744073709551616.));
  EXPECT_EQ(Column("[[18446744073709551615]]", "text").kinds(), "\2");
  EXPECT_THAT(Column("[[1e300]]", "text").reals(), ElementsAre(1e300));
  const v1::Column large = Column("[[1" + std::string(300, '0') + "]]", "real");
  EXPECT_THAT(large.reals(), ElementsAre(1e300));
}

TEST(MessageTest, AnIntegerColumnRefusesWhat64BitsCannotHold) {
  EXPECT_THAT(Refused(WithRows(R"([[1,"x"],[9223372036854775808,"x"]])")),
              HasSubstr("row 2, column 1: 9223372036854775808 does not fit into 64 bits"));
  EXPECT_THAT(Refused(WithRows(R"([["x",-9223372036854775809]])", R"(["text","int"])")),
              HasSubstr("row 1, column 2: -9223372036854775809 does not fit"));
  EXPECT_THAT(Refused(WithRows("[[1e19,null]]")), HasSubstr("1e19 does not fit"));
  EXPECT_THAT(Refused(WithRows("[[1" + std::string(100000, '0') + ",null]]")),
              AnyOf(HasSubstr("does not fit into 64 bits"), HasSubstr("JSON")));
  // The first row, whatever its column.
  EXPECT_THAT(Refused(WithRows("[[1,1e30],[1e20,1]]", R"(["int","int"])")),
              HasSubstr("row 1, column 2"));
}

TEST(MessageTest, TextsAreUtf8) {
  for (const char* bad : {R"("\ud800")", R"("\udc00")", R"("\ud800x")", R"("\ud800\ud800")",
                          R"("\ud83d\u0041")", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"",
                          "\"\xc0\x80\"", "\"\xf4\x90\x80\x80\"", "\"a\nb\""}) {
    const std::string text = WithRows(fmt::format("[[1,{}]]", bad));
    const absl::StatusOr<Message> message = ParseMessage(text);
    EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    // In pieces as well.
    MessageParser parser;
    for (const char byte : text) {
      if (!parser.Write(std::string_view(&byte, 1))) break;
    }
    EXPECT_EQ(parser.Finish().status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  // The parser's buffer for escapes, which is flushed now and then.
  std::string escapes;
  std::string want;
  for (int i = 0; i < 2000; ++i) {
    escapes += R"(\ud83d\ude00é\t\u00e9)";
    want += "😀é\té";
  }
  const v1::Column column = Column("[[\"" + escapes + "\"],[\"\"],[\"x\"]]", "text");
  EXPECT_THAT(column.texts(), ElementsAre(want, "", "x"));
}

TEST(MessageTest, OptionsAreOnWhenTruthy) {
  for (const char* on : {"1", "true", "-1", "0.1", R"("0")", R"("false")", "[0]", R"({"a":0})",
                         "18446744073709551615"}) {
    const std::string value = on;
    EXPECT_TRUE(Publish(With(R"("persist":)" + value)).persist()) << on;
    EXPECT_TRUE(Publish(With(R"("static":)" + value)).static_()) << on;
    EXPECT_TRUE(Publish(With(R"("update":)" + value)).update()) << on;
    EXPECT_TRUE(Parse(R"({"use_write_db":)" + value + "}").use_write_db) << on;
  }
  for (const char* off : {"0", "false", "null", "0.0", "-0", R"("")", "[]", "{}"}) {
    EXPECT_FALSE(Publish(With(fmt::format(R"("persist":{})", off))).persist()) << off;
    EXPECT_FALSE(Parse(fmt::format(R"({{"use_write_db":{}}})", off)).use_write_db) << off;
  }
}

TEST(MessageTest, KeycolsAreHeededWithUpdateOnly) {
  EXPECT_THAT(Publish(With(R"("keycols":"a;b ;;","update":1)")).keycols(), ElementsAre("a", "b"));
  EXPECT_THAT(Publish(With(R"("keycols":"a")")).keycols(), IsEmpty());
  EXPECT_THAT(Publish(With(R"("keycols":5)")).keycols(), IsEmpty());
  EXPECT_THAT(Publish(With(R"("keycols":null,"update":1)")).keycols(), IsEmpty());
  EXPECT_THAT(Refused(With(R"("keycols":["a"],"update":1)")), HasSubstr("'keycols'"));
}

TEST(MessageTest, WrongTypesInEveryKey) {
  const std::vector<std::string> wrong = {"5",  "0.5",  "null", "true",        R"("x")",
                                          "[]", "[[]]", "{}",   R"({"a":[1]})"};
  for (const std::string& value : wrong) {
    for (const char* key : {"op", "sql", "identity", "persist", "static", "update", "keycols",
                            "use_write_db", "table", "other"}) {
      const absl::StatusOr<Message> message =
          ParseMessage(fmt::format(R"({{"{}":{}}})", key, value));
      EXPECT_TRUE(message.ok()) << key << value;
    }
    for (const char* key : {"tablename", "column_names", "column_types", "rows"}) {
      // In the place of a good one, which it overrides.
      std::string text = kGood;
      text.insert(text.size() - 2, fmt::format(R"(,"{}":{})", key, value));
      const absl::StatusOr<Message> message = ParseMessage(text);
      ASSERT_TRUE(message.ok()) << text;
      const bool fits = (std::string_view(key) == "tablename" && value == R"("x")") ||
                        (std::string_view(key) == "rows" && value == "[]");
      EXPECT_EQ(message->publish.ok(), fits) << text;
    }
  }
  EXPECT_THAT(Refused(WithRows("[5]")), HasSubstr("row 1 is not an array"));
  EXPECT_THAT(Refused(WithRows(R"([["x",1],{"a":1}])")), HasSubstr("row 2 is not an array"));
  EXPECT_THAT(Refused(WithRows("[[1,[2]]]")), HasSubstr("row 1, column 2: an array is not a cell"));
  EXPECT_THAT(Refused(WithRows("[[{},1]]")), HasSubstr("row 1, column 1: an object is not a cell"));
}

TEST(MessageTest, AnOpOfAnotherTypeIsItsJson) {
  EXPECT_EQ(Parse(R"({"op":5})").op, "5");
  EXPECT_EQ(Parse(R"({"op":true})").op, "true");
  EXPECT_EQ(Parse(R"({"op":[ 1, "a\n", {"b" : [], "c":null}, [2.50] ]})").op,
            R"([1,"a\n",{"b":[],"c":null},[2.50]])");
  EXPECT_EQ(Parse(R"({"op":{}})").op, "{}");
  EXPECT_EQ(Parse(R"({"op":null})").op, std::nullopt);
  EXPECT_EQ(Parse(R"({})").op, std::nullopt);
  EXPECT_EQ(Parse(R"({"op":""})").op, "");
  EXPECT_EQ(Parse(R"({"sql":5})").sql, std::nullopt);
}

TEST(MessageTest, AnIdentityIsAStringOrANumber) {
  EXPECT_EQ(Publish(With(R"("identity":42)")).identity(), "42");
  EXPECT_EQ(Publish(With(R"("identity":null)")).identity(), "");
  EXPECT_EQ(Publish(With(R"("x":1)")).identity(), "");
  EXPECT_THAT(Refused(With(R"("identity":["a"])")), HasSubstr("'identity' is not a string"));
}

TEST(MessageTest, WhatIsNoObject) {
  for (const char* text :
       {"null", "5", "-5", "1e5", R"("op")", "true", "[]", R"([{"op":"query"}])"}) {
    const Message message = Parse(text);
    EXPECT_FALSE(message.is_object) << text;
    EXPECT_FALSE(message.op || message.sql || message.use_write_db || message.publish.ok()) << text;
  }
  EXPECT_TRUE(Parse("{}").is_object);
}

TEST(MessageTest, MissingKeysAreNamedAsPythonDoes) {
  EXPECT_EQ(Refused("{}"), "INVALID_ARGUMENT: 'table'");
  EXPECT_EQ(Refused(R"({"table":{}})"), "INVALID_ARGUMENT: 'tablename'");
  EXPECT_EQ(Refused(R"({"table":{"tablename":"t"}})"), "INVALID_ARGUMENT: 'column_names'");
  EXPECT_EQ(Refused(R"({"table":{"tablename":"t","column_names":["a"]}})"),
            "INVALID_ARGUMENT: 'column_types'");
  EXPECT_EQ(Refused(R"({"table":{"tablename":"t","column_names":["a"],"column_types":["int"]}})"),
            "INVALID_ARGUMENT: 'rows'");
}

TEST(MessageTest, NamesAndTypesAreChecked) {
  const auto table = [](std::string_view name, std::string_view column, std::string_view type) {
    return fmt::format(
        R"({{"table":{{"tablename":"{}","column_names":["a","{}"],"column_types":["int","{}"],"rows":[]}}}})",
        name, column, type);
  };
  for (const char* name : {"", "a b", "1a", "_a", "é", "a-b", "a\\n", "a\\u0000"}) {
    EXPECT_THAT(Refused(table("t", name, "x")), HasSubstr("Invalid column name '")) << name;
    EXPECT_THAT(Refused(table(name, "b", "int")), HasSubstr("Invalid table name '")) << name;
  }
  EXPECT_EQ(Refused(table("t", "a b", "int")), "INVALID_ARGUMENT: Invalid column name 'a b'");
  EXPECT_EQ(Refused(table("t", "b", "date")), "INVALID_ARGUMENT: Invalid column type 'date'");
  EXPECT_THAT(Refused(WithRows("[]", R"(["int"])")), HasSubstr("1 'column_types' for 2"));
  EXPECT_THAT(Refused(WithRows("[]", R"(["int",7])")),
              HasSubstr("'column_types', column 2: it is not a string"));
  EXPECT_LT(Refused(table("t", std::string(4000, ' '), "int")).size(), 300u);
}

TEST(MessageTest, RaggedRowsNameTheRow) {
  EXPECT_EQ(Refused(WithRows(R"([[1,"x"],[1],[1,2,3]])")),
            "INVALID_ARGUMENT: row 2: 1 cells for 2 columns");
  EXPECT_EQ(Refused(WithRows("[[1,2,3]]")), "INVALID_ARGUMENT: row 1: 3 cells for 2 columns");
  EXPECT_EQ(Refused(WithRows("[[]]")), "INVALID_ARGUMENT: row 1: 0 cells for 2 columns");
  EXPECT_EQ(Refused(WithRows("[[1,2],[1,2,3]]")), "INVALID_ARGUMENT: row 2: 3 cells for 2 columns");
  EXPECT_EQ(Refused(R"({"table":{"rows":[[1],[1,2]],"tablename":"t","column_names":["a","b"],)"
                    R"("column_types":["int","int"]}})"),
            "INVALID_ARGUMENT: row 1: 1 cells for 2 columns");
}

TEST(MessageTest, HasLimits) {
  EXPECT_THAT(Refused(WithRows("[]"), {.max_columns = 1}),
              HasSubstr("RESOURCE_EXHAUSTED: the table has more than 1 columns"));
  EXPECT_THAT(Refused(R"({"table":{"rows":[[1,2]]}})", {.max_columns = 1}),
              HasSubstr("'tablename'"));
  EXPECT_THAT(Refused(WithRows("[[1,2],[3,4]]"), {.max_cells = 3}),
              HasSubstr("RESOURCE_EXHAUSTED: the table has more than 3 cells"));
  const MessageLimits names = {.max_name_bytes = 20};
  const std::string name(21, 'a');
  EXPECT_THAT(Refused(With(fmt::format(R"("identity":"{}")", name)), names),
              HasSubstr("RESOURCE_EXHAUSTED: 'identity' has more than 20 bytes"));
  EXPECT_THAT(Refused(fmt::format(R"({{"table":{{"tablename":"t","column_names":["{}"],)"
                                  R"("column_types":["int"],"rows":[]}}}})",
                                  name),
                      names),
              HasSubstr("RESOURCE_EXHAUSTED"));
  for (const std::string& op : {'"' + name + '"', "[\"" + name + "\"]", std::string(21, '1')}) {
    EXPECT_EQ(ParseMessage("{\"op\":" + op + "}", names).status().message(),
              "'op' has more than 20 bytes");
  }
  EXPECT_EQ(ParseMessage(R"({"op":"aaaaaaaaaaaaaaaaaaaa"})", names)->op->size(), 20u);
  EXPECT_TRUE(ParseMessage(R"({"sql":"aaaaaaaaaaaaaaaaaaaaaaaaaaaa"})", names)->sql.has_value());

  MessageParser parser({.max_bytes = 10});
  EXPECT_TRUE(parser.Write("          "));
  EXPECT_FALSE(parser.Write(" "));
  EXPECT_FALSE(parser.Write("{}"));
  const absl::Status status = parser.Finish().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("longer than 10 bytes"));
}

TEST(MessageTest, BrokenAtEveryByte) {
  const std::string good = kGood;
  for (size_t at = 0; at < good.size(); ++at) {
    // Cut off.
    const absl::StatusOr<Message> cut = ParseMessage(good.substr(0, at));
    EXPECT_EQ(cut.status().code(), absl::StatusCode::kInvalidArgument) << at;
    EXPECT_THAT(std::string(cut.status().message()), HasSubstr("this is not JSON"));
    // With a byte that is wrong everywhere, and ones that may be right.
    for (const char byte : {'\x01', '\xff', '\0', '"', '{', ']', ',', '9', '\\'}) {
      std::string broken = good;
      broken[at] = byte;
      const absl::StatusOr<Message> message = ParseMessage(broken);
      if (byte == '\x01' || byte == '\xff') {
        EXPECT_FALSE(message.ok()) << broken;
      }
      MessageParser parser;
      parser.Write(broken.substr(0, at));
      parser.Write(broken.substr(at));
      EXPECT_EQ(Summary(parser.Finish()), Summary(message)) << broken;
    }
    // Without it.
    std::string less = good;
    less.erase(at, 1);
    (void)ParseMessage(less);
  }
  EXPECT_FALSE(ParseMessage(good + "x").ok());
  EXPECT_FALSE(ParseMessage(good + good).ok());
  EXPECT_TRUE(ParseMessage(good + " \r\n\t").ok());
  EXPECT_FALSE(ParseMessage("").ok());
  EXPECT_THAT(std::string(ParseMessage("{\n  \"op\": x}").status().message()),
              HasSubstr("line 2, column 9: this is not JSON"));
}

TEST(MessageTest, DeepNestingIsRefused) {
  for (const char* open : {"[", R"({"a":)", R"({"op":[)", R"({"table":{"rows":[[)"}) {
    std::string text;
    while (text.size() < 1000000) text += open;
    EXPECT_EQ(ParseMessage(text).status().code(), absl::StatusCode::kInvalidArgument) << open;
  }
  std::string deep = "5";
  for (int i = 0; i < 31; ++i) deep = "[" + deep + "]";
  EXPECT_TRUE(ParseMessage(R"({"x":)" + deep + "}").ok());
  EXPECT_FALSE(ParseMessage(R"({"x":[)" + deep + "]}").ok());
}

TEST(MessageTest, AfterAnErrorNothingIsTaken) {
  MessageParser parser;
  EXPECT_FALSE(parser.Write("x"));
  EXPECT_FALSE(parser.Write("{}"));
  EXPECT_EQ(parser.Finish().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(NameValuePublishTest, IsAnUpdateByIdentity) {
  const absl::StatusOr<v1::PublishRequest> request = NameValuePublish("t.load", "0.5", "host1");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->identity(), "host1");
  EXPECT_TRUE(request->update() && request->persist());
  EXPECT_FALSE(request->static_());
  EXPECT_THAT(request->keycols(), ElementsAre("identity"));
  EXPECT_EQ(request->table().name(), "t");
  ASSERT_EQ(request->table().columns_size(), 2);
  EXPECT_EQ(request->table().columns(0).name(), "identity");
  EXPECT_EQ(request->table().columns(0).type(), v1::TEXT);
  EXPECT_THAT(request->table().columns(0).texts(), ElementsAre("host1"));
  EXPECT_EQ(request->table().columns(1).name(), "load");
  EXPECT_THAT(request->table().columns(1).texts(), ElementsAre("0.5"));
}

TEST(NameValuePublishTest, RefusesWhatIsNoName) {
  for (const char* name : {"", ".", "t", "t.", ".c", "t.c.d", "t c.d", "t.c-d", "t.é", "t.c "}) {
    EXPECT_EQ(NameValuePublish(name, "1", "h").status().ToString(),
              "INVALID_ARGUMENT: Invalid name in namve value update")
        << name;
  }
  EXPECT_FALSE(NameValuePublish("t.c", "\xff", "h").ok());
  EXPECT_FALSE(NameValuePublish("t.c", "1", "\xff").ok());
}

}  // namespace
}  // namespace qasino::legacy
