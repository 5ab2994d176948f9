#ifndef QASINO_TESTING_BENCH_SAMPLE_TABLE_H_
#define QASINO_TESTING_BENCH_SAMPLE_TABLE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "qasino/v1/table.pb.h"

namespace qasino::bench {

inline constexpr int kSampleColumns = 6;

// A table such as monitoring publishes, of two columns each of INTEGER, REAL and TEXT of
// about ten bytes. The same name, rows and seed give the same table; another seed, other
// cells.
v1::Table SampleTable(std::string_view name, int rows, uint64_t seed);

// Tables of one name that differ in their cells, few enough to be made before the clock
// starts and to fit into memory, many enough that no two that follow one another are alike.
std::vector<v1::Table> SampleTables(std::string_view name, int rows);

// What was read of a result: equal for equal rows, in any order of rows.
struct Digest {
  uint64_t rows = 0;
  uint64_t integers = 0;  // their sum
  double reals = 0;       // their sum
  uint64_t text_bytes = 0;
  uint64_t text = 0;  // the sum of their last bytes

  void AddInteger(int64_t value) { integers += static_cast<uint64_t>(value); }
  void AddReal(double value) { reals += value; }
  void AddText(std::string_view value) {
    text_bytes += value.size();
    if (!value.empty()) text += static_cast<unsigned char>(value.back());
  }
};

}  // namespace qasino::bench

#endif  // QASINO_TESTING_BENCH_SAMPLE_TABLE_H_
