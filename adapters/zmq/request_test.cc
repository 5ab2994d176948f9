#include "adapters/zmq/request.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "adapters/legacy/errors.h"
#include "adapters/legacy/result_writer.h"
#include "adapters/legacy/statement.h"

namespace qasino::zeromq {
namespace {

constexpr size_t kMax = 1 << 20;

Request Read(std::string_view json) { return ReadRequest(json, "me", kMax); }

void ExpectError(std::string_view json, Op op, std::string_view message) {
  const Request request = Read(json);
  EXPECT_EQ(request.op, op) << json;
  const auto* answer = std::get_if<ReadyAnswer>(&request.action);
  ASSERT_NE(answer, nullptr) << json;
  EXPECT_EQ(answer->code, absl::StatusCode::kInvalidArgument) << json;
  EXPECT_EQ(answer->body, legacy::ErrorBody("me", message)) << json;
}

TEST(RequestTest, WhatIsNoRequest) {
  for (const std::string_view json : {"null", "{}", R"({"op":null})", R"({"sql":"select 1"})"}) {
    ExpectError(json, Op::kOther, "Unrecognized request");
  }
  ExpectError(R"({"op":"x"})", Op::kOther, "Unrecognized op 'x'");
  ExpectError(R"({"op":"generation_signal"})", Op::kOther, "Unrecognized op 'generation_signal'");
  ExpectError(R"({"op":""})", Op::kOther, "Unrecognized op ''");
  ExpectError(R"({"op":7})", Op::kOther, "Unrecognized op '7'");
}

TEST(RequestTest, WhatIsNoJson) {
  for (const std::string_view json : {"", " ", "{", "nul", R"({"op":"query")", "{} {}", "\xff"}) {
    const Request request = Read(json);
    const auto* answer = std::get_if<ReadyAnswer>(&request.action);
    ASSERT_NE(answer, nullptr) << json;
    EXPECT_EQ(answer->code, absl::StatusCode::kInvalidArgument) << json;
    EXPECT_NE(answer->body.find("\"Failed to parse JSON message: "), std::string::npos)
        << answer->body;
  }
}

TEST(RequestTest, Queries) {
  Request request = Read(R"({"op":"query","sql":"select 1"})");
  EXPECT_EQ(request.op, Op::kQuery);
  const auto* query = std::get_if<v1::QueryRequest>(&request.action);
  ASSERT_NE(query, nullptr);
  EXPECT_EQ(query->sql(), *legacy::Completed("select 1"));
  EXPECT_EQ(query->snapshot_case(), v1::QueryRequest::SNAPSHOT_NOT_SET);

  request = Read(R"({"op":"query","sql":"select 1;","use_write_db":1})");
  query = std::get_if<v1::QueryRequest>(&request.action);
  ASSERT_NE(query, nullptr);
  EXPECT_TRUE(query->running());
}

TEST(RequestTest, WhatIsNoStatement) {
  ExpectError(R"({"op":"query"})", Op::kQuery, "Must specify sql");
  ExpectError(R"({"op":"query","sql":null})", Op::kQuery, "Must specify sql");
  ExpectError(R"({"op":"query","sql":"select 'a"})", Op::kQuery, "Incomplete sql statement");
  ExpectError(R"({"op":"query","sql":""})", Op::kQuery, "Incomplete sql statement");
}

TEST(RequestTest, Goodbye) {
  const Request request = Read(R"({"op":"query","sql":"quit;"})");
  const auto* answer = std::get_if<ReadyAnswer>(&request.action);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->code, absl::StatusCode::kOk);
  EXPECT_EQ(answer->body, legacy::GoodbyeBody("me"));
}

TEST(RequestTest, TheTableList) {
  const Request request = Read(R"({"op":"get_table_list"})");
  EXPECT_EQ(request.op, Op::kGetTableList);
  const auto* query = std::get_if<v1::QueryRequest>(&request.action);
  ASSERT_NE(query, nullptr);
  EXPECT_EQ(query->sql(), legacy::kTableListSql);
}

TEST(RequestTest, Publishes) {
  const Request request = Read(
      R"({"op":"add_table_data","identity":"host1","persist":1,)"
      R"("table":{"tablename":"t","column_names":["a"],"column_types":["ip"],"rows":[["x"]]}})");
  EXPECT_EQ(request.op, Op::kAddTableData);
  const auto* publish = std::get_if<v1::PublishRequest>(&request.action);
  ASSERT_NE(publish, nullptr);
  EXPECT_EQ(publish->identity(), "host1");
  EXPECT_EQ(publish->table().name(), "t");
  EXPECT_TRUE(publish->persist());
}

TEST(RequestTest, WhatIsNoTable) {
  ExpectError(R"({"op":"add_table_data","identity":"host1",)"
              R"("table":{"tablename":"t","column_names":["a"],"column_types":["int"]}})",
              Op::kAddTableData, "Invalid input format: 'rows'");
  ExpectError(R"({"op":"add_table_data","identity":"host1",)"
              R"("table":{"tablename":"t","column_names":["a b"],"column_types":["int"],)"
              R"("rows":[]}})",
              Op::kAddTableData, "Invalid input format: Invalid column name 'a b'");
}

TEST(RequestTest, WhatIsTooLong) {
  const Request request = ReadRequest(std::string(2000, ' '), "me", 1000);
  const auto* answer = std::get_if<ReadyAnswer>(&request.action);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->code, absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace qasino::zeromq
