#ifndef QASINO_CLIENTS_CPP_TABLE_BUILDER_H_
#define QASINO_CLIENTS_CPP_TABLE_BUILDER_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "clients/cpp/cells.h"
#include "qasino/v1/table.pb.h"

namespace qasino::client {

// The type that a word means: without case, integer int ll time bigint, real float
// double, text string str ip varchar, or blob. INVALID_ARGUMENT names any other word.
absl::StatusOr<v1::ColumnType> ParseColumnType(std::string_view word);

// Makes a v1::Table from rows.
//
//   TableBuilder builder("disks");
//   builder.AddColumn("mount", v1::TEXT);
//   builder.AddColumn("used_bytes", v1::INTEGER);
//   absl::Status status = builder.AddRow({"/var", 123});
//   *request.mutable_table() = builder.Build();
//
// Names are taken as they are; the server checks them. Not thread-safe.
class TableBuilder {
 public:
  explicit TableBuilder(std::string_view name);

  // All columns come before the first row: later ones are FAILED_PRECONDITION.
  // INVALID_ARGUMENT: no type.
  absl::Status AddColumn(std::string_view name, v1::ColumnType type);

  // Copies one row, whole or not at all. A cell may be NULL or of another type than its
  // column. INVALID_ARGUMENT: not one cell a column, or text that is not valid UTF-8.
  absl::Status AddRow(absl::Span<const Cell> cells);
  absl::Status AddRow(std::initializer_list<Cell> cells);

  int columns() const { return table_.columns_size(); }
  int64_t rows() const { return rows_; }

  // The table so far; the builder is empty afterwards.
  v1::Table Build();

 private:
  v1::Table table_;
  int64_t rows_ = 0;
};

}  // namespace qasino::client

#endif  // QASINO_CLIENTS_CPP_TABLE_BUILDER_H_
