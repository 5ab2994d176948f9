#include "services/server/log.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <atomic>
#include <boost/locale/utf.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace qasino::log {
namespace {

// What a client sent may be in a value; a line stays readable all the same.
constexpr size_t kMaxValueBytes = 4096;

// Libraries may log for every bad message of a client.
constexpr int kMaxLibraryLinesPerSecond = 10;

std::atomic<Format> g_format{Format::kText};
std::atomic<Level> g_level{Level::kInfo};

spdlog::logger& Logger() {
  // Never destroyed: threads may log until the process is gone.
  static spdlog::logger& logger = *[] {
    auto* made = new spdlog::logger("qasino", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return logger;
}

std::string_view Name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

spdlog::level::level_enum SpdlogLevel(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// The length of the well-formed UTF-8 sequence that text begins with, and its code
// point; 0 when it begins with none.
size_t DecodeUtf8(std::string_view text, uint32_t* code_point) {
  namespace utf = boost::locale::utf;
  const char* at = text.data();
  *code_point = utf::utf_traits<char>::decode(at, text.data() + text.size());
  if (*code_point == utf::illegal || *code_point == utf::incomplete) return 0;
  return static_cast<size_t>(at - text.data());
}

// True for what would end a line or speak to a terminal.
bool MustEscape(uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) || code_point == 0x2028 ||
         code_point == 0x2029;
}

// Appends text as it may stand between the quotes of a JSON string; also what the
// text format uses. Bytes that are not UTF-8 become U+FFFD.
void AppendEscaped(std::string_view text, bool escape_quotes, std::string* out) {
  size_t dropped = 0;
  if (text.size() > kMaxValueBytes) {
    dropped = text.size() - kMaxValueBytes;
    text = text.substr(0, kMaxValueBytes);
  }
  while (!text.empty()) {
    uint32_t code_point = 0;
    const size_t length = DecodeUtf8(text, &code_point);
    if (length == 0) {
      out->append("\uFFFD");
      text.remove_prefix(1);
      continue;
    }
    if (escape_quotes && (code_point == '"' || code_point == '\\')) {
      out->push_back('\\');
      out->push_back(static_cast<char>(code_point));
    } else if (code_point == '\n') {
      out->append("\\n");
    } else if (code_point == '\r') {
      out->append("\\r");
    } else if (code_point == '\t') {
      out->append("\\t");
    } else if (MustEscape(code_point)) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", code_point);
    } else {
      out->append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  if (dropped > 0) fmt::format_to(std::back_inserter(*out), "… ({} bytes more)", dropped);
}

void AppendQuoted(std::string_view text, std::string* out) {
  out->push_back('"');
  AppendEscaped(text, true, out);
  out->push_back('"');
}

// A word needs no quotes in the text format.
bool IsWord(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return text.size() <= kMaxValueBytes;
}

void AppendValue(const Field::Value& value, bool json, std::string* out) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (!json && IsWord(*text)) {
      out->append(*text);
    } else {
      AppendQuoted(*text, out);
    }
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    fmt::format_to(std::back_inserter(*out), "{}", *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    if (!std::isfinite(*real)) {
      // JSON has no number for these.
      const std::string_view word = std::isnan(*real) ? "NaN" : *real > 0 ? "Inf" : "-Inf";
      out->append(json ? fmt::format("\"{}\"", word) : std::string(word));
      return;
    }
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof(digits), *real);
    out->append(digits, end.ptr);
  } else {
    out->append(std::get<bool>(value) ? "true" : "false");
  }
}

std::string Line(Format format, Level level, std::string_view part, std::string_view event,
                 std::initializer_list<Field> fields) {
  const std::string time =
      absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  std::string line;
  if (format == Format::kJson) {
    line = fmt::format(R"({{"time":"{}","level":"{}","part":)", time, Name(level));
    AppendQuoted(part, &line);
    line.append(",\"event\":");
    AppendQuoted(event, &line);
    for (const Field& field : fields) {
      line.push_back(',');
      AppendQuoted(field.key, &line);
      line.push_back(':');
      AppendValue(field.value, true, &line);
    }
    line.push_back('}');
    return line;
  }
  line = fmt::format("{} {} ", time, Name(level));
  AppendEscaped(part, false, &line);
  line.append(": ");
  AppendEscaped(event, false, &line);
  for (const Field& field : fields) {
    line.push_back(' ');
    AppendEscaped(field.key, false, &line);
    line.push_back('=');
    AppendValue(field.value, false, &line);
  }
  return line;
}

void Write(Level level, std::string_view part, std::string_view event,
           std::initializer_list<Field> fields) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  const std::string line =
      Line(g_format.load(std::memory_order_relaxed), level, part, event, fields);
  Logger().log(SpdlogLevel(level), spdlog::string_view_t(line.data(), line.size()));
}

// Lets so many lines of libraries through a second.
class LibraryLimit {
 public:
  // How many lines were held back before this one; nothing when it is too many.
  std::optional<int64_t> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    const int64_t second = absl::ToUnixSeconds(absl::Now());
    absl::MutexLock lock(&mutex_);
    if (second != second_) {
      second_ = second;
      lines_ = 0;
    }
    if (lines_ >= kMaxLibraryLinesPerSecond) {
      ++held_back_;
      return std::nullopt;
    }
    ++lines_;
    const int64_t held_back = held_back_;
    held_back_ = 0;
    return held_back;
  }

 private:
  absl::Mutex mutex_;
  int64_t second_ ABSL_GUARDED_BY(mutex_) = 0;
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t held_back_ ABSL_GUARDED_BY(mutex_) = 0;
};

void WriteLibraryMessage(Level level, std::string_view library, std::string_view message,
                         std::string_view file, int line) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  static LibraryLimit& limit = *new LibraryLimit;
  const std::optional<int64_t> held_back = limit.Take();
  if (!held_back) return;
  file.remove_prefix(file.rfind('/') + 1);
  const std::string source = fmt::format("{}:{}", file, line);
  if (*held_back > 0) {
    Write(level, library, "library message",
          {{"message", message}, {"source", source}, {"held_back_before", *held_back}});
  } else {
    Write(level, library, "library message", {{"message", message}, {"source", source}});
  }
}

void WriteGrpc(gpr_log_func_args* args) {
  const Level level = args->severity == GPR_LOG_SEVERITY_ERROR  ? Level::kError
                      : args->severity == GPR_LOG_SEVERITY_INFO ? Level::kInfo
                                                                : Level::kDebug;
  WriteLibraryMessage(level, "grpc", args->message, args->file, args->line);
}

void WriteProtobuf(google::protobuf::LogLevel severity, const char* file, int line,
                   const std::string& message) {
  const Level level = severity == google::protobuf::LOGLEVEL_INFO      ? Level::kInfo
                      : severity == google::protobuf::LOGLEVEL_WARNING ? Level::kWarn
                                                                       : Level::kError;
  WriteLibraryMessage(level, "protobuf", message, file, line);
}

}  // namespace

void Configure(Format format, Level level) {
  g_format = format;
  g_level = level;
  // gRPC would do this only when it is first used, and be silent until then.
  gpr_log_verbosity_init();
  gpr_set_log_function(&WriteGrpc);
  google::protobuf::SetLogHandler(&WriteProtobuf);
}

void Debug(std::string_view part, std::string_view event, std::initializer_list<Field> fields) {
  Write(Level::kDebug, part, event, fields);
}

void Info(std::string_view part, std::string_view event, std::initializer_list<Field> fields) {
  Write(Level::kInfo, part, event, fields);
}

void Warn(std::string_view part, std::string_view event, std::initializer_list<Field> fields) {
  Write(Level::kWarn, part, event, fields);
}

void Error(std::string_view part, std::string_view event, std::initializer_list<Field> fields) {
  Write(Level::kError, part, event, fields);
}

}  // namespace qasino::log
