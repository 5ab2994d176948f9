#ifndef QASINO_ADAPTERS_LEGACY_CSV_MESSAGE_H_
#define QASINO_ADAPTERS_LEGACY_CSV_MESSAGE_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "adapters/legacy/message.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::legacy {

// Reads the CSV of add_csv_table_data, as clients/tables/csv_table.h tells it. Identity and
// options are those of its first line, or none.
//
// INVALID_ARGUMENT has the text that stands behind `Invalid input format: `, with lines and
// columns from 1, and the original's words where it has some:
//
//   Unsupported type in type list ''x'' or parse error
//   Wrong number of rows on line 6: '1,x'       too few cells, or a blank line
//   Could not find type for column 4 on line 6!  too many cells
//   Parse error on line 6: invalid literal for int() with base 10: 'x'
//   Parse error on line 6: could not convert string to float: x
//   Invalid column name 'a b'
//
// Any other line that is wrong: "Parse error on line 6, column 2: the text is not UTF-8".
// RESOURCE_EXHAUSTED names the limit that was passed. The messages are short and UTF-8.
absl::StatusOr<v1::PublishRequest> ParseCsvMessage(std::string_view text,
                                                   const MessageLimits& limits = {});

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_CSV_MESSAGE_H_
