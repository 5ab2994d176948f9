#ifndef QASINO_ADAPTERS_LEGACY_ERRORS_H_
#define QASINO_ADAPTERS_LEGACY_ERRORS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace qasino::legacy {

// What the original says, word for word; clients look for these texts.
inline constexpr std::string_view kNoOp = "No op specified";
inline constexpr std::string_view kUnrecognizedOperation = "Unrecognized operation";
inline constexpr std::string_view kMustSpecifySql = "Must specify 'sql' param";
inline constexpr std::string_view kIncompleteStatement = "Incomplete sql statement";
inline constexpr std::string_view kInvalidName = "Invalid name in namve value update";
inline constexpr std::string_view kCouldNotParsePostBody = "Could not parse POST body: ";
inline constexpr std::string_view kInvalidInputFormat = "Invalid input format: ";
// Over ZeroMQ.
inline constexpr std::string_view kFailedToParseJson = "Failed to parse JSON message: ";
inline constexpr std::string_view kUnrecognizedRequest = "Unrecognized request";
inline constexpr std::string_view kMustSpecifySqlByZmq = "Must specify sql";

// {"response_op":"ok","identity":…}, without a newline.
std::string OkBody(std::string_view identity);
// {"response_op":"error","identity":…,"error_message":…}, without a newline. Text that is
// not UTF-8 has U+FFFD in the place of what is not.
std::string ErrorBody(std::string_view identity, std::string_view message);

// How an error of the services is told to a legacy client.
struct Told {
  // 200 for what is wrong with the content or its SQL; else 404, 413, 429, 503, 504, 500.
  int http_status = 200;
  // "SQLError: no such table: t"; "Table t not found", of DESC; "ERROR: Unrecognized
  // statement: drop table t;", with the first 4 KiB of a long statement. Of a status other
  // than 200 the services' own words.
  std::string json_message;
  // One line: "SQL error: no such table: t"; what it repeats has its newlines as \n.
  std::string text_message;
};

// The only table from canonical codes to the legacy's words; see errors.cc. `sql` is the
// statement as it was sent.
Told TellQueryError(const absl::Status& status, std::string_view sql);
Told TellPublishError(const absl::Status& status);

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_ERRORS_H_
