#ifndef QASINO_SERVICES_TABLES_VALIDATE_TABLE_H_
#define QASINO_SERVICES_TABLES_VALIDATE_TABLE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "qasino/v1/table.pb.h"

// What a table must be before it comes near a database. Pure functions; any thread. They
// read a message of any content in time linear in its size, and the messages of their
// errors are short and valid UTF-8 whatever the names inside.
namespace qasino::tables {

struct TableLimits {
  int64_t columns = 2'000;  // SQLite has no more
  int64_t rows = 1'000'000;
};

// OK when the table can be stored as it is: its names are names, its columns have types and
// are equally long, and every cell is there. INVALID_ARGUMENT names the fault,
// RESOURCE_EXHAUSTED the limit.
absl::Status ValidateTable(const v1::Table& table, const TableLimits& limits);

// OK when these can be the key columns of an update by the table, which is valid: each is
// one of its columns (without case), and none is there twice. Without `update` there are
// none. Errors as above.
absl::Status ValidateKeycols(const v1::Table& table, bool update,
                             const google::protobuf::RepeatedPtrField<std::string>& keycols,
                             const TableLimits& limits);

}  // namespace qasino::tables

#endif  // QASINO_SERVICES_TABLES_VALIDATE_TABLE_H_
