#include "services/ingest/validate.h"

#include "absl/strings/str_cat.h"
#include "services/tables/validate_table.h"

namespace qasino::ingest {
namespace {

absl::Status ValidateOptions(const v1::PublishRequest& publish, const tables::TableLimits& limits) {
  const v1::Table& table = publish.table();
  const auto exclude = [&](const char* options) {
    return absl::InvalidArgumentError(
        absl::StrCat("table ", Quoted(table.name()), ": options ", options));
  };
  if (publish.persist() && publish.static_()) {
    return exclude("'persist' and 'static' exclude each other");
  }
  if (publish.update() && publish.static_()) {
    return exclude("'update' and 'static' exclude each other: a static table is replaced");
  }
  return tables::ValidateKeycols(table, publish.update(), publish.keycols(), limits);
}

}  // namespace

absl::Status ValidatePublish(const v1::PublishRequest& publish, int64_t bytes,
                             const Limits& limits) {
  if (bytes > limits.bytes_per_publish) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the publish has ", bytes, " bytes, over the limit of ", limits.bytes_per_publish));
  }
  if (absl::Status status = ValidateIdentity(publish.identity()); !status.ok()) return status;
  if (!publish.has_table()) return absl::InvalidArgumentError("the publish has no table");
  const tables::TableLimits table_limits = {.columns = limits.columns_per_table,
                                            .rows = limits.rows_per_publish};
  if (absl::Status status = tables::ValidateTable(publish.table(), table_limits); !status.ok()) {
    return status;
  }
  return ValidateOptions(publish, table_limits);
}

}  // namespace qasino::ingest
