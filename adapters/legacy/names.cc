#include "adapters/legacy/names.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "clients/tables/shown.h"

namespace qasino::legacy {
namespace {

absl::Status Invalid(const char* what, std::string_view name) {
  constexpr size_t kMost = 200;
  return absl::InvalidArgumentError(
      absl::StrCat("Invalid ", what, " '", publish::Excerpt(name, kMost), "'"));
}

}  // namespace

absl::Status InvalidTableName(std::string_view name) { return Invalid("table name", name); }

absl::Status InvalidColumnName(std::string_view name) { return Invalid("column name", name); }

absl::Status InvalidColumnType(std::string_view word) { return Invalid("column type", word); }

}  // namespace qasino::legacy
