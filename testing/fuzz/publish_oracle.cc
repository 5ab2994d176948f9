#include "testing/fuzz/publish_oracle.h"

#include <google/protobuf/stubs/logging.h>

#include <string>

#include "clients/cpp/cells.h"
#include "clients/tables/is_name.h"
#include "testing/fuzz/oracle.h"

namespace qasino::fuzz {
namespace {

uint64_t Rows(const v1::Column& column) {
  if (!column.kinds().empty()) return column.kinds().size();
  return column.integers_size() + column.reals_size() + column.texts_size() + column.blobs_size();
}

}  // namespace

uint64_t RequireGoodPublish(const v1::PublishRequest& request,
                            const legacy::MessageLimits& limits) {
  {
    // protobuf would tell of texts that are not UTF-8.
    const google::protobuf::LogSilencer silence;
    v1::PublishRequest travelled;
    Require(travelled.ParseFromString(request.SerializeAsString()), "a publish can travel");
  }
  const v1::Table& table = request.table();
  Require(publish::IsName(table.name()), "a table has a name: " + table.name());
  Require(table.columns_size() > 0, "a table has columns");
  Require(static_cast<size_t>(table.columns_size()) <= limits.max_columns,
          "the limit of columns holds");
  const uint64_t rows = Rows(table.columns(0));
  Require(rows * table.columns_size() <= static_cast<uint64_t>(limits.max_cells),
          "the limit of cells holds");
  for (const v1::Column& column : table.columns()) {
    Require(publish::IsName(column.name()), "a column has a name: " + column.name());
    Require(column.type() >= v1::INTEGER && column.type() <= v1::BLOB, "a column has a type");
    RequireOk(client::ColumnReader::Create(column, rows).status(), "read column " + column.name());
  }
  Require(request.update() || request.keycols().empty(), "keycols go with update");
  return rows;
}

}  // namespace qasino::fuzz
