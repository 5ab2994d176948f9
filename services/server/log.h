#ifndef QASINO_SERVICES_SERVER_LOG_H_
#define QASINO_SERVICES_SERVER_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"

// The log: one line an event, on standard error, as text for people
//   2026-11-22T08:13:42.123Z info ingest: shard sealed generation=1795… rows=12
// or as JSON, one object a line, with the same fields. spdlog writes it. An event's
// text is constant; what varies is in fields, so that a log can be searched.
namespace qasino::log {

enum class Format { kText, kJson };
enum class Level { kDebug, kInfo, kWarn, kError };

// Until called: text, from level info on. Call once, before threads start.
void Configure(Format format, Level level);

// A named value of an event.
struct Field {
  using Value = std::variant<std::string, int64_t, double, bool>;

  Field(std::string_view key, std::string_view value) : key(key), value(std::string(value)) {}
  Field(std::string_view key, const std::string& value) : key(key), value(value) {}
  Field(std::string_view key, const char* value) : key(key), value(std::string(value)) {}
  Field(std::string_view key, bool value) : key(key), value(value) {}
  Field(std::string_view key, double value) : key(key), value(value) {}
  template <typename Integer>
  requires std::is_integral_v<Integer> Field(std::string_view key, Integer value)
      : key(key), value(static_cast<int64_t>(value)) {}
  // Whole status: code and message.
  Field(std::string_view key, const absl::Status& status) : key(key), value(status.ToString()) {}
  // In seconds.
  Field(std::string_view key, absl::Duration duration)
      : key(key), value(absl::ToDoubleSeconds(duration)) {}

  std::string_view key;
  Value value;
};

// `part` is who speaks: "ingest", "store", "query", "process". Thread-safe.
void Debug(std::string_view part, std::string_view event, std::initializer_list<Field> = {});
void Info(std::string_view part, std::string_view event, std::initializer_list<Field> = {});
void Warn(std::string_view part, std::string_view event, std::initializer_list<Field> = {});
void Error(std::string_view part, std::string_view event, std::initializer_list<Field> = {});

}  // namespace qasino::log

#endif  // QASINO_SERVICES_SERVER_LOG_H_
