#include "clients/tables/json_table.h"

#include "absl/status/status.h"
#include "clients/tables/json_reader.h"

namespace qasino::publish {

absl::StatusOr<v1::Table> ParseJsonTable(std::string_view text, const TableLimits& limits) {
  JsonReader reader({.limits = limits});
  reader.Write(text);
  if (absl::Status status = reader.Finish(); !status.ok()) return status;
  if (!reader.is_object()) return absl::InvalidArgumentError("the JSON is not an object");
  v1::Table table;
  JsonTableFault fault;
  if (!reader.TakeTable(&table, &fault)) return fault.status;
  return table;
}

}  // namespace qasino::publish
