#include "services/server/process_metrics.h"

#include <gtest/gtest.h>
#include <prometheus/metric_type.h>
#include <unistd.h>

#include <ctime>
#include <map>
#include <string>

namespace qasino::server {
namespace {

std::map<std::string, double> Values() {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : ProcessMetrics().Collect()) {
    EXPECT_EQ(family.metric.size(), 1u);
    values[family.name] = family.type == prometheus::MetricType::Counter
                              ? family.metric[0].counter.value
                              : family.metric[0].gauge.value;
  }
  return values;
}

TEST(ProcessMetricsTest, SaysWhatTheSystemKnows) {
  std::map<std::string, double> values = Values();
  EXPECT_EQ(values.size(), 5u);
  EXPECT_GT(values["process_resident_memory_bytes"], 1e5);
  EXPECT_GE(values["process_virtual_memory_bytes"], values["process_resident_memory_bytes"]);
  EXPECT_GE(values["process_cpu_seconds_total"], 0);
  EXPECT_LE(values["process_start_time_seconds"], static_cast<double>(std::time(nullptr)) + 2);
  EXPECT_GT(values["process_start_time_seconds"], static_cast<double>(std::time(nullptr)) - 3600);
}

TEST(ProcessMetricsTest, CountsOpenFiles) {
  const double before = Values()["process_open_fds"];
  EXPECT_GE(before, 3);
  const int fd = dup(STDERR_FILENO);
  EXPECT_EQ(Values()["process_open_fds"], before + 1);
  close(fd);
  EXPECT_EQ(Values()["process_open_fds"], before);
}

}  // namespace
}  // namespace qasino::server
