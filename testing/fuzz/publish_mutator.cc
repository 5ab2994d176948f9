#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>

#include "qasino/v1/ingest.pb.h"
#include "testing/fuzz/libfuzzer.h"

// Makes other publishes of publishes: a change of bytes seldom leaves a table whose columns are
// equally long, and without one nothing comes to a shard. Every third time the bytes are changed
// all the same.
namespace qasino::fuzz {
namespace {

constexpr int kMostRows = 12;

class Mutator {
 public:
  explicit Mutator(unsigned int seed) : random_(seed) {}

  bool OneIn(int times) { return Below(times) == 0; }

  void Mutate(v1::PublishStreamRequest& request) {
    const int publishes = request.publishes_size();
    switch (publishes == 0 ? 0 : Below(10)) {
      case 0:
        FillTable(*request.add_publishes()->mutable_table());
        FillOptions(*request.mutable_publishes(publishes));
        break;
      case 1: {
        const v1::PublishRequest copy = request.publishes(Below(publishes));
        *request.add_publishes() = copy;
        if (!OneIn(4)) FillOptions(*request.mutable_publishes(publishes));
        break;
      }
      case 2:
        request.mutable_publishes()->DeleteSubrange(Below(publishes), 1);
        break;
      case 3:
        request.mutable_publishes()->SwapElements(Below(publishes), Below(publishes));
        break;
      case 4:
        FillOptions(*request.mutable_publishes(Below(publishes)));
        break;
      default:
        MutateTable(*request.mutable_publishes(Below(publishes))->mutable_table());
    }
  }

 private:
  int Below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  const char* Name() {
    static constexpr const char* kNames[] = {"a", "b",      "c",     "d",     "e",   "A",  "B",
                                             "t", "select", "rowid", "index", "new", "oid"};
    return kNames[Below(std::size(kNames))];
  }

  void FillOptions(v1::PublishRequest& publish) {
    static constexpr const char* kIdentities[] = {"i", "j", "k", "l", "m", "n", "o", "\xc3\xa9"};
    publish.set_identity(kIdentities[Below(std::size(kIdentities))]);
    if (OneIn(2)) publish.mutable_table()->set_name(Name());
    publish.set_update(OneIn(2));
    publish.clear_keycols();
    if (!publish.update()) return;
    for (const v1::Column& column : publish.table().columns()) {
      if (OneIn(3)) publish.add_keycols(column.name());
    }
  }

  void FillTable(v1::Table& table) {
    table.Clear();
    table.set_name(Name());
    const int rows = Below(4);
    const int columns = 1 + Below(4);
    for (int i = 0; i < columns; ++i) AddColumn(table, rows);
  }

  void MutateTable(v1::Table& table) {
    const int columns = table.columns_size();
    if (columns == 0) return FillTable(table);
    v1::Column& column = *table.mutable_columns(Below(columns));
    switch (Below(7)) {
      case 0:
        AddColumn(table, Rows(table));
        break;
      case 1:
        table.mutable_columns()->DeleteSubrange(Below(columns), 1);
        break;
      case 2:
        table.mutable_columns()->SwapElements(Below(columns), Below(columns));
        break;
      case 3:
        column.set_name(Name());
        break;
      case 4:
        if (Rows(table) >= kMostRows) break;
        for (v1::Column& each : *table.mutable_columns()) AddCell(each);
        break;
      case 5: {
        // Other cells in the same rows, so that the table stays valid.
        const int rows = Rows(table);
        const std::string name = column.name();
        column.Clear();
        FillColumn(column, name, rows);
        break;
      }
      default:
        column.set_type(Type());
    }
  }

  v1::ColumnType Type() { return static_cast<v1::ColumnType>(1 + Below(4)); }

  static int Rows(const v1::Table& table) {
    if (table.columns().empty()) return 0;
    const v1::Column& column = table.columns(0);
    if (!column.kinds().empty()) return static_cast<int>(column.kinds().size());
    return column.integers_size() + column.reals_size() + column.texts_size() + column.blobs_size();
  }

  void AddColumn(v1::Table& table, int rows) { FillColumn(*table.add_columns(), Name(), rows); }

  void FillColumn(v1::Column& column, const std::string& name, int rows) {
    column.set_name(name);
    column.set_type(Type());
    const bool mixed = OneIn(2);
    if (mixed && rows > 0) {
      for (int row = 0; row < std::min(rows, kMostRows); ++row) {
        AddValue(column, Below(5));
      }
      return;
    }
    for (int row = 0; row < std::min(rows, kMostRows); ++row) AddCell(column);
  }

  // Of the column's type, or where it has kinds of any.
  void AddCell(v1::Column& column) {
    if (!column.kinds().empty()) return AddValue(column, Below(5));
    AddValue(column, column.type());
    column.clear_kinds();
  }

  // With its kind.
  void AddValue(v1::Column& column, int kind) {
    column.mutable_kinds()->push_back(static_cast<char>(kind));
    switch (kind) {
      case v1::INTEGER: {
        static constexpr int64_t kIntegers[] = {0,
                                                1,
                                                -1,
                                                127,
                                                128,
                                                65'536,
                                                int64_t{1} << 53,
                                                (int64_t{1} << 53) + 1,
                                                std::numeric_limits<int64_t>::max(),
                                                std::numeric_limits<int64_t>::min()};
        column.add_integers(kIntegers[Below(std::size(kIntegers))]);
        break;
      }
      case v1::REAL: {
        static constexpr double kReals[] = {0.0,
                                            -0.0,
                                            1.0,
                                            0.1,
                                            1e300,
                                            9007199254740993.0,
                                            9223372036854775808.0,
                                            std::numeric_limits<double>::denorm_min(),
                                            std::numeric_limits<double>::infinity(),
                                            std::numeric_limits<double>::quiet_NaN()};
        column.add_reals(kReals[Below(std::size(kReals))]);
        break;
      }
      case v1::TEXT: {
        static constexpr const char* kTexts[] = {"",    "a",   "A",        "1",
                                                 " 1 ", "1.0", "1e1",      "0x1",
                                                 "nan", "inf", "\xc3\xa9", "9223372036854775807"};
        column.add_texts(kTexts[Below(std::size(kTexts))]);
        if (OneIn(8)) column.mutable_texts(column.texts_size() - 1)->push_back('\0');
        if (OneIn(8)) {
          column.mutable_texts(column.texts_size() - 1)->append(std::string(Below(6'000), 'x'));
        }
        break;
      }
      case v1::BLOB:
        column.add_blobs(std::string(Below(4), static_cast<char>(Below(256))));
        if (OneIn(2)) column.set_blobs(column.blobs_size() - 1, "a");
        break;
      default:
        break;
    }
  }

  std::minstd_rand random_;
};

}  // namespace
}  // namespace qasino::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  qasino::fuzz::Mutator mutator(seed);
  qasino::v1::PublishStreamRequest request;
  if (mutator.OneIn(3) || !request.ParseFromArray(data, static_cast<int>(size))) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  do {
    mutator.Mutate(request);
  } while (mutator.OneIn(2));
  if (request.ByteSizeLong() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  request.SerializeToArray(data, static_cast<int>(max_size));
  return request.ByteSizeLong();
}
