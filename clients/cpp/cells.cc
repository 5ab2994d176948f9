#include "clients/cpp/cells.h"

#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace qasino::client {
namespace {

constexpr std::array<const char*, 5> kKindNames = {"NULL", "integer", "real", "text", "blob"};

}  // namespace

absl::StatusOr<ColumnReader> ColumnReader::Create(const v1::Column& column, uint64_t rows) {
  std::array<uint64_t, 5> wanted = {};
  if (!column.kinds().empty()) {
    if (column.kinds().size() != rows) {
      return absl::InvalidArgumentError(
          absl::StrCat("it has ", column.kinds().size(), " kinds for ", rows, " rows"));
    }
    for (const char kind : column.kinds()) {
      const auto number = static_cast<unsigned char>(kind);
      if (number >= wanted.size()) {
        return absl::InvalidArgumentError(absl::StrCat("it has a cell of unknown kind ", number));
      }
      ++wanted[number];
    }
  } else if (rows > 0) {
    const int type = column.type();
    if (type < v1::INTEGER || type > v1::BLOB) {
      return absl::InvalidArgumentError(absl::StrCat("it has neither kinds nor a known type"));
    }
    wanted[type] = rows;
  }
  const std::array<uint64_t, 5> held = {wanted[0], static_cast<uint64_t>(column.integers_size()),
                                        static_cast<uint64_t>(column.reals_size()),
                                        static_cast<uint64_t>(column.texts_size()),
                                        static_cast<uint64_t>(column.blobs_size())};
  for (size_t kind = 1; kind < held.size(); ++kind) {
    if (held[kind] != wanted[kind]) {
      return absl::InvalidArgumentError(absl::StrCat("it has ", held[kind], " ", kKindNames[kind],
                                                     " values for ", wanted[kind], " cells"));
    }
  }
  return ColumnReader(column, rows);
}

}  // namespace qasino::client
