#include "adapters/legacy/errors.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace qasino::legacy {
namespace {

using absl::StatusCode;

std::string ToldJson(StatusCode code, const std::string& message, std::string_view sql) {
  return TellQueryError(absl::Status(code, message), sql).json_message;
}

TEST(ErrorsTest, BodiesAreTheOriginals) {
  EXPECT_EQ(OkBody("host1"), R"({"response_op":"ok","identity":"host1"})");
  EXPECT_EQ(ErrorBody("host1", kNoOp),
            R"({"response_op":"error","identity":"host1","error_message":"No op specified"})");
}

TEST(ErrorsTest, BodiesAreJsonWhateverIsInThem) {
  for (int c = 0; c < 256; ++c) {
    const std::string message = std::string("a") + static_cast<char>(c) + "b";
    const boost::json::value body = boost::json::parse(ErrorBody(message, message));
    const std::string expected = c < 0x80 ? message
                                          : "a\xef\xbf\xbd"
                                            "b";
    EXPECT_EQ(body.at("error_message").as_string(), expected);
    EXPECT_EQ(body.at("identity").as_string(), expected);
    EXPECT_EQ(boost::json::parse(OkBody(message)).at("identity").as_string(), expected);
  }
}

TEST(ErrorsTest, ErrorsOfSqlAreTold) {
  const Told told =
      TellQueryError(absl::InvalidArgumentError("no such table: t"), "select * from t;");
  EXPECT_EQ(told.http_status, 200);
  EXPECT_EQ(told.json_message, "SQLError: no such table: t");
  EXPECT_EQ(told.text_message, "SQL error: no such table: t");
  EXPECT_EQ(TellQueryError(absl::PermissionDeniedError("no"), "drop\ntable t;").text_message,
            "SQL error: ERROR: Unrecognized statement: drop\\ntable t;");
}

TEST(ErrorsTest, OnlyStatementsThatReadAreRecognized) {
  const auto told = [](std::string_view sql) {
    return ToldJson(StatusCode::kInvalidArgument, "no such table: t", sql);
  };
  for (const char* sql :
       {"select * from t;", " \n SELECT * from t", "with x as (select 1) select y", "values(t)",
        "Explain select 1", "-- one\n/* two */ select * from t;"}) {
    EXPECT_EQ(told(sql), "SQLError: no such table: t") << sql;
  }
  for (const char* sql : {"insert into t values(1);", "hello", "show nonsense;", "selects 1", "",
                          "/* open", "-- select 1", "drop table t", "desc;", "describe a b c"}) {
    EXPECT_EQ(told(sql), std::string("ERROR: Unrecognized statement: ") + sql);
  }
}

TEST(ErrorsTest, WhatTheSandboxRefusesIsUnrecognized) {
  const Told told =
      TellQueryError(absl::PermissionDeniedError("ATTACH is refused"), "select 1; attach 'x' as y");
  EXPECT_EQ(told.http_status, 200);
  EXPECT_EQ(told.json_message, "ERROR: Unrecognized statement: select 1; attach 'x' as y");
  EXPECT_EQ(told.text_message,
            "SQL error: ERROR: Unrecognized statement: select 1; attach 'x' as y");
}

TEST(ErrorsTest, ALongStatementIsNotRepeatedWhole) {
  std::string sql(10'000, 'x');
  EXPECT_EQ(ToldJson(StatusCode::kPermissionDenied, "", sql),
            "ERROR: Unrecognized statement: " + std::string(4096, 'x') + "...");
  sql.replace(4095, 2, "é");
  EXPECT_EQ(ToldJson(StatusCode::kPermissionDenied, "", sql),
            "ERROR: Unrecognized statement: " + std::string(4095, 'x') + "...");
}

TEST(ErrorsTest, DescOfWhatIsNotThere) {
  const Told told =
      TellQueryError(absl::InvalidArgumentError("Table nosuch not found"), " DESC nosuch;");
  EXPECT_EQ(told.http_status, 200);
  EXPECT_EQ(told.json_message, "Table nosuch not found");
  EXPECT_EQ(told.text_message, "SQL error: Table nosuch not found");
  EXPECT_EQ(ToldJson(StatusCode::kInvalidArgument, "View v not found", "describe view v"),
            "View v not found");
}

TEST(ErrorsTest, WhatIsWrongWithTheServerHasAStatus) {
  const auto status = [](StatusCode code, const char* message) {
    return TellQueryError(absl::Status(code, message), "select 1;").http_status;
  };
  EXPECT_EQ(status(StatusCode::kUnavailable, "query is away"), 503);
  EXPECT_EQ(status(StatusCode::kDeadlineExceeded, "it ran longer than 60s"), 504);
  EXPECT_EQ(status(StatusCode::kNotFound, "generation 7 is not held"), 404);
  EXPECT_EQ(status(StatusCode::kInternal, "?"), 500);
  EXPECT_EQ(status(StatusCode::kDataLoss, "?"), 500);
  EXPECT_EQ(status(StatusCode::kCancelled, "?"), 500);
  EXPECT_EQ(status(StatusCode::kResourceExhausted, "64 queries run or wait already"), 429);
  EXPECT_EQ(
      status(StatusCode::kResourceExhausted, "the statement has 2000000 bytes; the limit is 1"),
      413);
  EXPECT_EQ(status(StatusCode::kResourceExhausted, "Received message larger than max (9 vs. 4)"),
            413);
  const Told told = TellQueryError(absl::UnavailableError("query is away"), "select 1;");
  EXPECT_EQ(told.json_message, "query is away");
  EXPECT_EQ(told.text_message, "SQL error: query is away");
}

TEST(ErrorsTest, ALimitThatAStatementPassesByItselfIsAnErrorOfSql) {
  for (const char* message :
       {"the query needs more memory than 256 MiB (--max-query-memory)",
        "the result has more than 9 rows (--max-rows); add a LIMIT, or aggregate",
        "a row of the result has 99 bytes; the limit is 9 MiB",
        "string or blob too big: a value has at most 16 MiB",
        "LIKE or GLOB pattern too complex: a pattern has at most 1000 bytes"}) {
    const Told told = TellQueryError(absl::ResourceExhaustedError(message), "select 1;");
    EXPECT_EQ(told.http_status, 200);
    EXPECT_EQ(told.json_message, std::string("SQLError: ") + message);
    EXPECT_EQ(told.text_message, std::string("SQL error: ") + message);
  }
  // All queries together.
  EXPECT_EQ(TellQueryError(absl::ResourceExhaustedError(
                               "the queries that run now need more memory together than 2048 MiB"),
                           "select 1;")
                .http_status,
            429);
}

TEST(ErrorsTest, ErrorsOfPublishesAreTold) {
  Told told = TellPublishError(absl::InvalidArgumentError("Invalid column name 'a b'"));
  EXPECT_EQ(told.http_status, 200);
  EXPECT_EQ(told.json_message, "Invalid input format: Invalid column name 'a b'");
  told = TellPublishError(absl::FailedPreconditionError("published without persist"));
  EXPECT_EQ(told.http_status, 200);
  EXPECT_EQ(told.json_message, "Invalid input format: published without persist");
}

TEST(ErrorsTest, APublishThatIsRefusedForItsSizeOrForNow) {
  const auto status = [](StatusCode code, const char* message) {
    return TellPublishError(absl::Status(code, message)).http_status;
  };
  EXPECT_EQ(
      status(StatusCode::kResourceExhausted, "the publish has 99 bytes, over the limit of 10"),
      413);
  EXPECT_EQ(status(StatusCode::kResourceExhausted,
                   "too much is queued: 9 bytes and the publish's 9 are over the limit of 10; try "
                   "again"),
            429);
  EXPECT_EQ(status(StatusCode::kResourceExhausted, "table 't': no room for about 9 bytes"), 429);
  EXPECT_EQ(status(StatusCode::kUnavailable, "ingest is away"), 503);
  EXPECT_EQ(status(StatusCode::kDeadlineExceeded, ""), 504);
  EXPECT_EQ(status(StatusCode::kInternal, ""), 500);
  EXPECT_EQ(TellPublishError(absl::UnavailableError("ingest is away")).json_message,
            "ingest is away");
}

}  // namespace
}  // namespace qasino::legacy
