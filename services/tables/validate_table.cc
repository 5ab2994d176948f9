#include "services/tables/validate_table.h"

#include <array>
#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/names/names.h"

namespace qasino::tables {
namespace {

using names::IsName;
using names::Quoted;

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

absl::Status ValidateColumns(const v1::Table& table, const TableLimits& limits) {
  const int count = table.columns_size();
  if (count == 0) return absl::InvalidArgumentError(InTable(table) + "has no columns");
  if (count > limits.columns) {
    return absl::ResourceExhaustedError(absl::StrCat(
        InTable(table), "has ", count, " columns, over the limit of ", limits.columns));
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
  if (rows > limits.rows) {
    return absl::ResourceExhaustedError(absl::StrCat(
        InTable(table), "has ", rows, " rows, over the limit of ", limits.rows, " a publish"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateTable(const v1::Table& table, const TableLimits& limits) {
  if (absl::Status status = names::ValidateTableName(table.name()); !status.ok()) return status;
  return ValidateColumns(table, limits);
}

absl::Status ValidateKeycols(const v1::Table& table, bool update,
                             const google::protobuf::RepeatedPtrField<std::string>& keycols,
                             const TableLimits& limits) {
  if (keycols.empty()) return absl::OkStatus();
  if (!update) {
    return absl::InvalidArgumentError(InTable(table) + "'keycols' are there without 'update'");
  }
  if (keycols.size() > limits.columns) {
    return absl::ResourceExhaustedError(absl::StrCat(
        InTable(table), "has ", keycols.size(), " keycols, over the limit of ", limits.columns));
  }
  absl::flat_hash_set<std::string> names;
  for (const v1::Column& column : table.columns()) {
    names.insert(absl::AsciiStrToLower(column.name()));
  }
  absl::flat_hash_set<std::string> seen;
  for (const std::string& key : keycols) {
    // A name as long as it likes is not worth a copy of it.
    if (!IsName(key) || !names.contains(absl::AsciiStrToLower(key))) {
      return absl::InvalidArgumentError(absl::StrCat(InTable(table), "key column ", Quoted(key),
                                                     " is not a column of the table"));
    }
    if (!seen.insert(absl::AsciiStrToLower(key)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(InTable(table), "key column ", Quoted(key),
                       " is there twice (names are compared without case)"));
    }
  }
  return absl::OkStatus();
}

}  // namespace qasino::tables
