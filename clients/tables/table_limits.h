#ifndef QASINO_CLIENTS_TABLES_TABLE_LIMITS_H_
#define QASINO_CLIENTS_TABLES_TABLE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace qasino::publish {

// What a written table may have before it is refused; a few bytes of text can ask for
// many times their size.
struct TableLimits {
  size_t max_bytes = 64 << 20;
  size_t max_columns = 2000;
  int64_t max_cells = 10'000'000;
};

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_TABLE_LIMITS_H_
