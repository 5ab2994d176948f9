#include "testing/bench/sample_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>
#include <string>

namespace qasino::bench {

v1::Table SampleTable(std::string_view name, int rows, uint64_t seed) {
  std::mt19937_64 random(seed);
  v1::Table table;
  table.set_name(std::string(name));
  const auto column = [&](const char* column_name, v1::ColumnType type) {
    v1::Column* added = table.add_columns();
    added->set_name(column_name);
    added->set_type(type);
    return added;
  };
  v1::Column* pid = column("pid", v1::INTEGER);
  v1::Column* threads = column("threads", v1::INTEGER);
  v1::Column* load = column("load", v1::REAL);
  v1::Column* started = column("started", v1::REAL);
  v1::Column* host = column("host", v1::TEXT);
  v1::Column* state = column("state", v1::TEXT);
  for (int row = 0; row < rows; ++row) {
    pid->add_integers(static_cast<int64_t>(random() % 100'000));
    threads->add_integers(static_cast<int64_t>(random() % 1'000));
    load->add_reals(static_cast<double>(random() % 1'000'000) / 1'009.0);
    started->add_reals(1.7e9 + static_cast<double>(random() % 1'000'000'000) / 1'013.0);
    host->add_texts(fmt::format("host-{:05}", random() % 100'000));
    state->add_texts(fmt::format("state {:x}", random() % 0x10'000));
  }
  return table;
}

std::vector<v1::Table> SampleTables(std::string_view name, int rows) {
  constexpr int kMostTables = 64;
  constexpr int kMostRows = 128'000;
  std::vector<v1::Table> tables;
  const int count = std::clamp(kMostRows / std::max(rows, 1), 1, kMostTables);
  for (int i = 0; i < count; ++i) {
    tables.push_back(SampleTable(name, rows, static_cast<uint64_t>(i)));
  }
  return tables;
}

}  // namespace qasino::bench
