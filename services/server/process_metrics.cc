#include "services/server/process_metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace qasino::server {
namespace {

struct Stat {
  double cpu_seconds = 0;
  double start_seconds_after_boot = 0;
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

// The fields of /proc/self/stat that proc(5) numbers 14, 15, 22, 23 and 24.
std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // The program's name, in parentheses, may itself have spaces and parentheses.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest),
                                        std::istream_iterator<std::string>()};
  constexpr size_t kFirst = 3;
  if (fields.size() <= 24 - kFirst) return std::nullopt;
  const auto field = [&](size_t number) {
    std::istringstream digits(fields[number - kFirst]);
    double value = 0;
    digits >> value;
    return value;
  };
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return Stat{.cpu_seconds = (field(14) + field(15)) / ticks,
              .start_seconds_after_boot = field(22) / ticks,
              .virtual_bytes = field(23),
              .resident_bytes = field(24) * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

// When the machine started, in Unix seconds.
std::optional<double> ReadBootTime() {
  std::ifstream file("/proc/stat");
  std::string word;
  while (file >> word) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return std::nullopt;
}

std::optional<double> CountOpenFiles() {
  std::error_code error;
  double count = 0;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    ++count;
    entry.increment(error);
  }
  if (error) return std::nullopt;
  // One of them was the folder itself, opened to count.
  return count - 1;
}

prometheus::MetricFamily Family(std::string name, std::string help, prometheus::MetricType type,
                                double value) {
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {std::move(name), std::move(help), type, {std::move(metric)}};
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  using prometheus::MetricType;
  std::vector<prometheus::MetricFamily> families;
  if (const auto stat = ReadStat()) {
    families.push_back(Family("process_cpu_seconds_total", "CPU time used, user and system.",
                              MetricType::Counter, stat->cpu_seconds));
    families.push_back(Family("process_resident_memory_bytes", "Resident memory.",
                              MetricType::Gauge, stat->resident_bytes));
    families.push_back(Family("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge,
                              stat->virtual_bytes));
    if (const auto boot = ReadBootTime()) {
      families.push_back(Family("process_start_time_seconds",
                                "When the process started, in Unix seconds.", MetricType::Gauge,
                                *boot + stat->start_seconds_after_boot));
    }
  }
  if (const auto files = CountOpenFiles()) {
    families.push_back(
        Family("process_open_fds", "Open file descriptors.", MetricType::Gauge, *files));
  }
  return families;
}

}  // namespace qasino::server
