#include "services/store/shard_info.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/names/names.h"

namespace qasino::store {
namespace {

using names::Quoted;

constexpr size_t kMaxIdBytes = 128;
// The last second that a google.protobuf.Timestamp can hold.
constexpr int64_t kMaxGeneration = 253'402'300'799;
constexpr int64_t kMaxDurationSeconds = 366 * 24 * 3600;

bool IsId(const std::string& text) {
  return !text.empty() && text.size() <= kMaxIdBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_';
         });
}

absl::Status Invalid(absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat("shard info: ", fault));
}

absl::Status CheckTable(const v1::TableInfo& table, int max_columns) {
  const auto invalid = [&](const std::string& fault) {
    return Invalid(absl::StrCat("table ", Quoted(table.name()), ": ", fault));
  };
  if (absl::Status status = names::ValidateTableName(table.name()); !status.ok()) {
    return Invalid(status.message());
  }
  if (table.columns_size() == 0) return invalid("no columns");
  if (table.columns_size() > max_columns) {
    return absl::ResourceExhaustedError(
        absl::StrCat("shard info: table ", Quoted(table.name()), " has ", table.columns_size(),
                     " columns, more than the ", max_columns, " allowed"));
  }
  absl::flat_hash_set<std::string> seen;
  for (const v1::ColumnInfo& column : table.columns()) {
    if (!names::IsName(column.name())) {
      return invalid(
          absl::StrCat("column ", Quoted(column.name()), " is not a name: ", names::kRule));
    }
    if (column.type() == v1::COLUMN_TYPE_UNSPECIFIED || !v1::ColumnType_IsValid(column.type())) {
      return invalid(absl::StrCat("column ", Quoted(column.name()), " has no known type (",
                                  static_cast<int>(column.type()), ")"));
    }
    if (!seen.insert(absl::AsciiStrToLower(column.name())).second) {
      return invalid(absl::StrCat("column ", Quoted(column.name()), " is there twice"));
    }
  }
  if (table.rows() < 0) return invalid("the number of rows is negative");
  if (table.updates() < 0) return invalid("the number of updates is negative");
  return absl::OkStatus();
}

// What shards of every kind have.
absl::Status CheckBytesAndTables(const v1::ShardInfo& info, const ShardLimits& limits) {
  const size_t info_bytes = info.ByteSizeLong();
  if (info_bytes > limits.max_info_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("shard info: ", info_bytes,
                                                     " bytes of catalogue, more than the ",
                                                     limits.max_info_bytes, " allowed"));
  }
  if (!IsId(info.shard_id())) {
    return Invalid(absl::StrCat("shard_id ", Quoted(info.shard_id()),
                                " is not 1 to 128 letters, digits, '-' and '_'"));
  }
  if (info.format() != v1::SQLITE3) {
    return Invalid(absl::StrCat("format ", static_cast<int>(info.format()), " is not known"));
  }
  if (info.size_bytes() == 0) return Invalid("size_bytes is 0");
  if (info.size_bytes() > limits.max_shard_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the shard has ", info.size_bytes(),
                                                     " bytes, more than the ",
                                                     limits.max_shard_bytes, " allowed"));
  }
  if (info.publishers() < 0) return Invalid("the number of publishers is negative");
  if (info.tables_size() > limits.max_tables) {
    return absl::ResourceExhaustedError(absl::StrCat("shard info: ", info.tables_size(),
                                                     " tables, more than the ", limits.max_tables,
                                                     " allowed"));
  }
  absl::flat_hash_set<std::string> seen;
  int columns = 0;
  for (const v1::TableInfo& table : info.tables()) {
    columns += table.columns_size();
    if (columns > limits.max_all_columns) {
      return absl::ResourceExhaustedError(absl::StrCat("shard info: more than the ",
                                                       limits.max_all_columns,
                                                       " columns of all tables together allowed"));
    }
    if (absl::Status status = CheckTable(table, limits.max_columns); !status.ok()) return status;
    if (!seen.insert(absl::AsciiStrToLower(table.name())).second) {
      return Invalid(absl::StrCat("table ", Quoted(table.name()), " is there twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckShardInfo(const v1::ShardInfo& info, const ShardLimits& limits) {
  if (info.kind() != v1::COLLECTED) {
    return Invalid(absl::StrCat("kind ", static_cast<int>(info.kind()),
                                ": only COLLECTED shards can be handed in"));
  }
  if (absl::Status status = CheckBytesAndTables(info, limits); !status.ok()) return status;
  if (info.generation() < 1 || info.generation() > kMaxGeneration) {
    return Invalid(
        absl::StrCat("generation ", info.generation(), " is not from 1 to ", kMaxGeneration));
  }
  if (info.duration().seconds() < 1 || info.duration().seconds() > kMaxDurationSeconds ||
      info.duration().nanos() != 0) {
    return Invalid(
        absl::StrCat("the duration is not whole seconds from 1 to ", kMaxDurationSeconds));
  }
  if (!IsId(info.ingest_id())) {
    return Invalid(absl::StrCat("ingest_id ", Quoted(info.ingest_id()),
                                " is not 1 to 128 letters, digits, '-' and '_'"));
  }
  if (absl::Status status = names::ValidateIdentity(info.identity()); !status.ok()) {
    return Invalid(status.message());
  }
  return absl::OkStatus();
}

absl::Status CheckMadeInfo(const v1::ShardInfo& info, const ShardLimits& limits) {
  if (info.kind() != v1::PERSISTENT && info.kind() != v1::STATIC) {
    return Invalid(absl::StrCat("kind ", static_cast<int>(info.kind()), " is not made here"));
  }
  if (info.generation() < 0 || info.generation() > kMaxGeneration) {
    return Invalid(
        absl::StrCat("generation ", info.generation(), " is not from 0 to ", kMaxGeneration));
  }
  return CheckBytesAndTables(info, limits);
}

}  // namespace qasino::store
