#include "services/ingest/validate.h"

#include <array>
#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace qasino::ingest {
namespace {

// Up to so many columns, comparing each with each is quicker than a set.
constexpr int kFewColumns = 24;

bool IsKnownType(v1::ColumnType type) {
  return type == v1::INTEGER || type == v1::REAL || type == v1::TEXT || type == v1::BLOB;
}

const char* ArrayName(size_t kind) {
  constexpr std::array<const char*, 5> kNames = {"", "integers", "reals", "texts", "blobs"};
  return kNames[kind];
}

std::string InTable(const v1::Table& table) {
  return absl::StrCat("table ", Quoted(table.name()), ": ");
}

// Checks that cells and kinds fit, and finds the number of rows.
absl::Status ValidateCells(const v1::Table& table, const v1::Column& column, int64_t* rows) {
  const std::array<int64_t, 5> sizes = {0, column.integers_size(), column.reals_size(),
                                        column.texts_size(), column.blobs_size()};
  const auto fault = [&](auto&&... words) {
    return absl::InvalidArgumentError(
        absl::StrCat(InTable(table), "column ", Quoted(column.name()), words...));
  };
  const std::string& kinds = column.kinds();
  if (kinds.empty()) {
    for (size_t kind = 1; kind < sizes.size(); ++kind) {
      if (sizes[kind] != 0 && kind != static_cast<size_t>(column.type())) {
        return fault(" is of type ", v1::ColumnType_Name(column.type()), " and has ",
                     ArrayName(kind), ", but no kinds");
      }
    }
    *rows = sizes[column.type()];
    return absl::OkStatus();
  }
  std::array<int64_t, 5> used = {};
  for (size_t row = 0; row < kinds.size(); ++row) {
    const auto kind = static_cast<unsigned char>(kinds[row]);
    if (kind >= used.size()) {
      return fault(", row ", row + 1, ": kind ", static_cast<int>(kind), " is none of 0 to 4");
    }
    ++used[kind];
  }
  for (size_t kind = 1; kind < sizes.size(); ++kind) {
    if (used[kind] != sizes[kind]) {
      return fault(" has ", sizes[kind], " ", ArrayName(kind), ", but its kinds ask for ",
                   used[kind]);
    }
  }
  *rows = static_cast<int64_t>(kinds.size());
  return absl::OkStatus();
}

absl::Status ValidateColumns(const v1::Table& table, const Limits& limits) {
  const int count = table.columns_size();
  if (count == 0) return absl::InvalidArgumentError(InTable(table) + "has no columns");
  if (count > limits.columns_per_table) {
    return absl::ResourceExhaustedError(absl::StrCat(
        InTable(table), "has ", count, " columns, over the limit of ", limits.columns_per_table));
  }
  for (int i = 0; i < count; ++i) {
    const v1::Column& column = table.columns(i);
    if (!IsName(column.name())) {
      return absl::InvalidArgumentError(absl::StrCat(InTable(table), "column ", i + 1, " ",
                                                     Quoted(column.name()),
                                                     " is not a name: ", names::kRule));
    }
    if (!IsKnownType(column.type())) {
      return absl::InvalidArgumentError(
          absl::StrCat(InTable(table), "column ", Quoted(column.name()),
                       column.type() == v1::COLUMN_TYPE_UNSPECIFIED
                           ? std::string(" has no type")
                           : absl::StrCat(" has the unknown type ", column.type()),
                       ": INTEGER, REAL, TEXT or BLOB is wanted"));
    }
  }
  const auto repeated = [&](const std::string& name) {
    return absl::InvalidArgumentError(
        absl::StrCat(InTable(table), "column ", Quoted(name),
                     " is there twice (names are compared without case)"));
  };
  if (count <= kFewColumns) {
    for (int i = 1; i < count; ++i) {
      for (int j = 0; j < i; ++j) {
        if (absl::EqualsIgnoreCase(table.columns(i).name(), table.columns(j).name())) {
          return repeated(table.columns(i).name());
        }
      }
    }
  } else {
    absl::flat_hash_set<std::string> seen;
    seen.reserve(count);
    for (const v1::Column& column : table.columns()) {
      if (!seen.insert(absl::AsciiStrToLower(column.name())).second) return repeated(column.name());
    }
  }
  int64_t rows = 0;
  for (int i = 0; i < count; ++i) {
    int64_t these = 0;
    if (absl::Status status = ValidateCells(table, table.columns(i), &these); !status.ok()) {
      return status;
    }
    if (i == 0) {
      rows = these;
    } else if (these != rows) {
      return absl::InvalidArgumentError(
          absl::StrCat(InTable(table), "column ", Quoted(table.columns(i).name()), " has ", these,
                       " rows, column ", Quoted(table.columns(0).name()), " has ", rows));
    }
  }
  if (rows > limits.rows_per_publish) {
    return absl::ResourceExhaustedError(absl::StrCat(InTable(table), "has ", rows,
                                                     " rows, over the limit of ",
                                                     limits.rows_per_publish, " a publish"));
  }
  return absl::OkStatus();
}

absl::Status ValidateOptions(const v1::PublishRequest& publish, const Limits& limits) {
  const v1::Table& table = publish.table();
  if (publish.persist() && publish.static_()) {
    return absl::InvalidArgumentError(InTable(table) +
                                      "options 'persist' and 'static' exclude each other");
  }
  if (publish.update() && publish.static_()) {
    return absl::InvalidArgumentError(
        InTable(table) +
        "options 'update' and 'static' exclude each other: a static table is replaced");
  }
  if (publish.keycols_size() > 0 && !publish.update()) {
    return absl::InvalidArgumentError(InTable(table) + "'keycols' are there without 'update'");
  }
  if (publish.keycols_size() > limits.columns_per_table) {
    return absl::ResourceExhaustedError(absl::StrCat(InTable(table), "has ", publish.keycols_size(),
                                                     " keycols, over the limit of ",
                                                     limits.columns_per_table));
  }
  if (publish.keycols_size() > 0) {
    absl::flat_hash_set<std::string> names;
    for (const v1::Column& column : table.columns()) {
      names.insert(absl::AsciiStrToLower(column.name()));
    }
    absl::flat_hash_set<std::string> keys;
    for (const std::string& key : publish.keycols()) {
      // A name as long as it likes is not worth a copy of it.
      if (!IsName(key) || !names.contains(absl::AsciiStrToLower(key))) {
        return absl::InvalidArgumentError(absl::StrCat(InTable(table), "key column ", Quoted(key),
                                                       " is not a column of the table"));
      }
      if (!keys.insert(absl::AsciiStrToLower(key)).second) {
        return absl::InvalidArgumentError(
            absl::StrCat(InTable(table), "key column ", Quoted(key),
                         " is there twice (names are compared without case)"));
      }
    }
  }
  return absl::OkStatus();
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
  if (absl::Status status = ValidateTableName(publish.table().name()); !status.ok()) return status;
  if (absl::Status status = ValidateColumns(publish.table(), limits); !status.ok()) return status;
  return ValidateOptions(publish, limits);
}

int64_t RowCount(const v1::Table& table) {
  if (table.columns().empty()) return 0;
  const v1::Column& column = table.columns(0);
  if (!column.kinds().empty()) return static_cast<int64_t>(column.kinds().size());
  switch (column.type()) {
    case v1::INTEGER:
      return column.integers_size();
    case v1::REAL:
      return column.reals_size();
    case v1::TEXT:
      return column.texts_size();
    case v1::BLOB:
      return column.blobs_size();
    default:
      return 0;
  }
}

}  // namespace qasino::ingest
