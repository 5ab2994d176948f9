#include "services/server/command_line.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <istream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "services/server/version.h"

namespace qasino::server {
namespace {

constexpr char kProgramGroup[] = "Options";
constexpr char kSharedGroup[] = "Options of every Qasino server";
constexpr char kHelpGroup[] = "Help and configuration";
constexpr size_t kHelpWidth = 88;

std::string_view Trim(std::string_view text) {
  while (!text.empty() && absl::ascii_isspace(text.front())) text.remove_prefix(1);
  while (!text.empty() && absl::ascii_isspace(text.back())) text.remove_suffix(1);
  return text;
}

// "--ingest-port" → "QASINO_INGEST_PORT".
std::string EnvironmentName(std::string_view flag) {
  while (!flag.empty() && flag.front() == '-') flag.remove_prefix(1);
  std::string name = "QASINO_";
  for (const char c : flag) name.push_back(c == '-' ? '_' : absl::ascii_toupper(c));
  return name;
}

// An empty variable counts as absent.
std::optional<std::string> FromEnvironment(const std::string& name) {
  const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

// A value as it may stand in a one-line message.
std::string Shown(std::string_view value) {
  constexpr size_t kMost = 200;
  const std::string cut(value.substr(0, kMost));
  return fmt::format("'{}{}'", absl::Utf8SafeCEscape(cut), value.size() > kMost ? "…" : "");
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<absl::Duration> ParseDuration(const std::string& text) {
  if (const auto seconds = ParseNumber<double>(text)) {
    if (!std::isfinite(*seconds)) return std::nullopt;
    return absl::Seconds(*seconds);
  }
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) return std::nullopt;
  if (duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration()) {
    return std::nullopt;
  }
  return duration;
}

struct ByteUnit {
  std::string_view name;
  int64_t bytes;
};
constexpr ByteUnit kByteUnits[] = {
    {"TiB", int64_t{1} << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}};

std::optional<int64_t> ParseBytes(std::string_view text) {
  int64_t unit = 1;
  for (const ByteUnit& candidate : kByteUnits) {
    if (text.ends_with(candidate.name)) {
      unit = candidate.bytes;
      text.remove_suffix(candidate.name.size());
      break;
    }
  }
  const auto number = ParseNumber<int64_t>(text);
  int64_t bytes;
  if (!number || __builtin_mul_overflow(*number, unit, &bytes)) return std::nullopt;
  return bytes;
}

std::string FormatBytes(int64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("{}", bytes);
}

std::string FormatOptionalPort(int port) {
  return port == -1 ? std::string("off") : fmt::format("{}", port);
}

bool IsPort(const std::optional<int>& port) { return port && *port >= 0 && *port <= 65535; }

bool IsAddress(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

// Appends text in lines of the help's width, indented.
void AppendWrapped(std::string_view text, size_t indent, std::string* out) {
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    std::string_view paragraph = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    while (paragraph.size() > kHelpWidth - indent) {
      size_t space = paragraph.rfind(' ', kHelpWidth - indent);
      if (space == std::string_view::npos) space = paragraph.find(' ');
      if (space == std::string_view::npos) break;
      out->append(indent, ' ').append(paragraph.substr(0, space)).push_back('\n');
      paragraph = Trim(paragraph.substr(space));
    }
    out->append(indent, ' ').append(paragraph).push_back('\n');
  }
}

// --help: a flag a paragraph, with its environment variable and its default.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override {
    std::string out;
    AppendWrapped(app->get_description(), 0, &out);
    out += fmt::format("\nUsage: {} [options]\n", name);
    for (const std::string& group : app->get_groups()) {
      const std::vector<const CLI::Option*> options = app->get_options(
          [&group](const CLI::Option* option) { return option->get_group() == group; });
      if (group.empty() || options.empty()) continue;
      out += group == kProgramGroup ? fmt::format("\nOptions of {}:\n", name)
                                    : fmt::format("\n{}:\n", group);
      for (const CLI::Option* option : options) AppendOption(*option, &out);
    }
    out += '\n';
    AppendWrapped(
        "A flag can also be given by its environment variable, shown beside it, or as a line "
        "some-flag=value of the --config file. The flag beats the variable, which beats the "
        "file.",
        0, &out);
    if (!app->get_footer().empty()) out += fmt::format("\n{}\n", app->get_footer());
    return out;
  }

 private:
  static void AppendOption(const CLI::Option& option, std::string* out) {
    *out += fmt::format("  {}", option.get_name(false, true));
    if (option.get_expected_min() != 0) *out += fmt::format(" {}", option.get_type_name());
    std::vector<std::string> notes;
    if (!option.get_envname().empty()) notes.push_back(option.get_envname());
    if (!option.get_default_str().empty()) {
      notes.push_back(fmt::format("default {}", option.get_default_str()));
    }
    if (!notes.empty()) *out += fmt::format("  ({})", fmt::join(notes, ", "));
    *out += '\n';
    AppendWrapped(option.get_description(), 6, out);
  }
};

// The --config file: some-flag=value a line, values in quotes or without, and
// comments that begin with # or ;. What the environment says is left out, so that
// it beats the file.
class ConfigFile : public CLI::Config {
 public:
  // Both outlive this. Writes the keys that it hands on into *given.
  ConfigFile(const CLI::App* app, std::map<std::string, std::string>* given)
      : app_(app), given_(given) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return ""; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> result;
    std::map<std::string, int> seen;
    std::string text;
    for (int number = 1; std::getline(input, text); ++number) {
      const std::string_view line = Trim(text);
      if (line.empty() || line.front() == '#' || line.front() == ';') continue;
      const size_t equals = line.find('=');
      if (equals == std::string_view::npos) {
        Refuse(number, fmt::format("{} is not of the form some-flag=value", Shown(line)));
      }
      const std::string key(Trim(line.substr(0, equals)));
      const std::string value = Unquote(number, Trim(line.substr(equals + 1)));
      const CLI::Option* option =
          key.starts_with('-') ? nullptr : app_->get_option_no_throw("--" + key);
      if (option == nullptr) Refuse(number, fmt::format("there is no flag {}", Shown(key)));
      if (!option->get_configurable()) {
        Refuse(number, fmt::format("{} is not for the file", Shown(key)));
      }
      if (!seen.emplace(key, number).second) {
        Refuse(number, fmt::format("{} was given in line {} already", Shown(key), seen[key]));
      }
      if (FromEnvironment(option->get_envname())) continue;
      (*given_)["--" + key] = fmt::format("{} line {}", Path(), number);
      CLI::ConfigItem item;
      item.name = key;
      item.inputs = {value};
      result.push_back(std::move(item));
    }
    if (input.bad()) {
      throw CLI::ConfigError(fmt::format("--config: cannot read {}", Shown(Path())),
                             CLI::ExitCodes::ConfigError);
    }
    return result;
  }

 private:
  std::string Path() const { return app_->get_config_ptr()->as<std::string>(); }

  [[noreturn]] void Refuse(int line, const std::string& fault) const {
    throw CLI::ConfigError(fmt::format("--config: {} line {}: {}", Path(), line, fault),
                           CLI::ExitCodes::ConfigError);
  }

  std::string Unquote(int line, std::string_view value) const {
    if (value.empty() || (value.front() != '"' && value.front() != '\'')) {
      const size_t comment = value.find(" #");
      return std::string(Trim(value.substr(0, comment)));
    }
    const size_t end = value.find(value.front(), 1);
    if (end == std::string_view::npos) Refuse(line, "the closing quote is missing");
    const std::string_view rest = Trim(value.substr(end + 1));
    if (!rest.empty() && rest.front() != '#') {
      Refuse(line, fmt::format("{} stands after the closing quote", Shown(rest)));
    }
    return std::string(value.substr(1, end - 1));
  }

  const CLI::App* const app_;
  std::map<std::string, std::string>* const given_;
};

}  // namespace

struct CommandLine::State {
  State(std::string_view program, std::string_view description)
      : app(std::string(description), std::string(program)) {}

  // Adds a flag. `take` stores a good value and returns true; `accepted` ends the
  // sentence "'x' is not …".
  CLI::Option* Add(std::string_view flag, std::string_view type, std::string default_text,
                   std::string_view help, std::string accepted,
                   std::function<bool(const std::string&)> take) {
    const std::string name(flag);
    return app
        .add_option_function<std::string>(
            name,
            [this, name, accepted = std::move(accepted),
             take = std::move(take)](const std::string& value) {
              if (take(value)) return;
              throw CLI::ValidationError(
                  fmt::format("{}: {} is not {}", name + Origin(name), Shown(value), accepted),
                  CLI::ExitCodes::ValidationError);
            },
            std::string(help))
        ->type_name(std::string(type))
        ->default_str(std::move(default_text))
        ->envname(EnvironmentName(flag))
        ->take_last()
        ->group(group);
  }

  // Where a flag's value came from, when that is not the command line.
  std::string Origin(const std::string& flag) const {
    if (Given(flag)) return "";
    const std::string variable = EnvironmentName(flag);
    if (FromEnvironment(variable)) return fmt::format(" (from {})", variable);
    const auto line = from_file.find(flag);
    return line == from_file.end() ? "" : fmt::format(" (from {})", line->second);
  }

  // The flag stands on the command line itself.
  bool Given(std::string_view flag) const {
    return std::any_of(arguments.begin(), arguments.end(), [flag](std::string_view argument) {
      return argument == flag ||
             (argument.starts_with(flag) && argument.substr(flag.size()).starts_with('='));
    });
  }

  ProcessOptions options;
  CLI::App app;
  std::string group = kProgramGroup;
  std::vector<std::string> arguments;
  // Flag to file and line.
  std::map<std::string, std::string> from_file;
};

CommandLine::CommandLine(std::string_view program, std::string_view description,
                         const ProcessOptions& defaults)
    : state_(std::make_unique<State>(program, description)) {
  state_->options = defaults;
  state_->options.program = std::string(program);
  state_->app.set_help_flag();
  state_->app.formatter(std::make_shared<HelpFormatter>());
}

CommandLine::~CommandLine() = default;

void CommandLine::AddString(std::string_view flag, std::string* target, std::string_view help) {
  state_->Add(flag, "TEXT", *target, help, "text", [target](const std::string& value) {
    *target = value;
    return true;
  });
}

void CommandLine::AddInteger(std::string_view flag, int64_t* target, int64_t least, int64_t most,
                             std::string_view help) {
  state_->Add(flag, "N", fmt::format("{}", *target), help,
              fmt::format("a whole number from {} to {}", least, most),
              [target, least, most](const std::string& value) {
                const auto number = ParseNumber<int64_t>(value);
                if (!number || *number < least || *number > most) return false;
                *target = *number;
                return true;
              });
}

void CommandLine::AddPort(std::string_view flag, int* target, std::string_view help) {
  state_->Add(flag, "PORT", fmt::format("{}", *target), help, "a port (0 to 65535)",
              [target](const std::string& value) {
                const auto port = ParseNumber<int>(value);
                if (!IsPort(port)) return false;
                *target = *port;
                return true;
              });
}

void CommandLine::AddOptionalPort(std::string_view flag, int* target, std::string_view help) {
  state_->Add(flag, "PORT|off", FormatOptionalPort(*target), help, "a port (0 to 65535) or \"off\"",
              [target](const std::string& value) {
                const auto port = value == "off" ? std::optional<int>(-1) : ParseNumber<int>(value);
                if (value != "off" && !IsPort(port)) return false;
                *target = *port;
                return true;
              });
}

void CommandLine::AddDuration(std::string_view flag, absl::Duration* target, absl::Duration least,
                              absl::Duration most, std::string_view help) {
  const std::string range =
      most == absl::InfiniteDuration()
          ? fmt::format("of at least {}", absl::FormatDuration(least))
          : fmt::format("from {} to {}", absl::FormatDuration(least), absl::FormatDuration(most));
  state_->Add(flag, "DURATION", absl::FormatDuration(*target), help,
              fmt::format("a duration {} (such as 30s, 500ms, 1m30s)", range),
              [target, least, most](const std::string& value) {
                const auto duration = ParseDuration(value);
                if (!duration || *duration < least || *duration > most) return false;
                *target = *duration;
                return true;
              });
}

void CommandLine::AddBytes(std::string_view flag, int64_t* target, int64_t least, int64_t most,
                           std::string_view help) {
  state_->Add(flag, "BYTES", FormatBytes(*target), help,
              fmt::format("a size from {} to {} (such as 4096, 64KiB, 16MiB, 1GiB)",
                          FormatBytes(least), FormatBytes(most)),
              [target, least, most](const std::string& value) {
                const auto bytes = ParseBytes(value);
                if (!bytes || *bytes < least || *bytes > most) return false;
                *target = *bytes;
                return true;
              });
}

void CommandLine::AddBool(std::string_view flag, bool* target, std::string_view help) {
  state_
      ->Add(flag, "[true|false]", *target ? "true" : "false", help, "\"true\" or \"false\"",
            [target](const std::string& value) {
              // CLI11 gives "true" to a flag that stands alone.
              if (value != "true" && value != "false") return false;
              *target = value == "true";
              return true;
            })
      ->expected(0)  // stands alone, and is "true" then
      ->expected(0, 1);
}

void CommandLine::SetFooter(std::string_view text) { state_->app.footer(std::string(text)); }

CLI::App& CommandLine::app() { return state_->app; }

const ProcessOptions& CommandLine::process_options() const { return state_->options; }

void CommandLine::AddSharedFlags() {
  ProcessOptions& options = state_->options;
  state_->group = kSharedGroup;
  state_->Add("--listen", "ADDRESS", options.listen,
              "The address that every port binds to. 0.0.0.0 or :: is every address of this "
              "machine.",
              "an IP address (such as 127.0.0.1, 0.0.0.0, ::1)",
              [&options](const std::string& value) {
                const std::string address = value == "localhost" ? "127.0.0.1" : value;
                if (!IsAddress(address)) return false;
                options.listen = address;
                return true;
              });
  AddOptionalPort("--metrics-port", &options.metrics_port,
                  "HTTP port with /metrics for Prometheus, /livez and /readyz; 0 takes a free "
                  "port, \"off\" has none.");
  AddDuration("--shutdown-grace", &options.shutdown_grace, absl::ZeroDuration(), absl::Hours(1),
              "How long the process may take to finish what runs after SIGTERM.");
  const auto add_choice = [this](std::string_view flag, std::string_view help, auto* target,
                                 auto choices) {
    std::vector<std::string> names;
    std::string now;
    for (const auto& [name, value] : choices) {
      names.emplace_back(name);
      if (value == *target) now = name;
    }
    state_->Add(flag, fmt::format("{}", fmt::join(names, "|")), now, help,
                fmt::format("one of {}", fmt::join(names, ", ")),
                [target, choices](const std::string& text) {
                  for (const auto& [name, value] : choices) {
                    if (text != name) continue;
                    *target = value;
                    return true;
                  }
                  return false;
                });
  };
  add_choice("--log-format", "How log lines are written on standard error.", &options.log_format,
             std::vector<std::pair<std::string_view, log::Format>>{{"text", log::Format::kText},
                                                                   {"json", log::Format::kJson}});
  add_choice("--log-level", "The least important events that are logged.", &options.log_level,
             std::vector<std::pair<std::string_view, log::Level>>{{"debug", log::Level::kDebug},
                                                                  {"info", log::Level::kInfo},
                                                                  {"warn", log::Level::kWarn},
                                                                  {"error", log::Level::kError}});
  AddBytes("--max-message-size", &options.max_message_bytes, 64 << 10, 1 << 30,
           "The largest gRPC message that is received; larger ones are refused.");
  const auto add_file = [this](std::string_view flag, std::string* target, std::string_view help) {
    state_->Add(flag, "FILE", *target, help, "a file's path", [target](const std::string& value) {
      *target = value;
      return true;
    });
  };
  add_file("--tls-cert", &options.tls_cert,
           "PEM file with the server's certificate chain. With it and --tls-key the gRPC ports "
           "speak TLS only.");
  add_file("--tls-key", &options.tls_key, "PEM file with the certificate's private key.");
  add_file("--tls-client-ca", &options.tls_client_ca,
           "PEM file with an authority: then every client must show a certificate that it "
           "signed.");
  state_->group = kProgramGroup;
}

std::optional<int> CommandLine::Parse(int argc, const char* const* argv) {
  CLI::App& app = state_->app;
  const auto fail = [this](std::string_view message) {
    std::cerr << fmt::format("{}: {}; see --help\n", state_->options.program, message);
    return 1;
  };
  state_->arguments.assign(argv + (argc > 0 ? 1 : 0), argv + argc);
  try {
    AddSharedFlags();
    for (CLI::Option* option : app.get_options()) {
      if (option->get_envname().empty() && !option->get_lnames().empty()) {
        option->envname(EnvironmentName(option->get_lnames().front()));
      }
    }
    app.set_config("--config", "", "File with a line some-flag=value for each flag to set.")
        ->type_name("FILE")
        ->envname("QASINO_CONFIG")
        ->group(kHelpGroup);
    app.config_formatter(std::make_shared<ConfigFile>(&app, &state_->from_file));
    app.set_version_flag("--version", fmt::format("{} {}", state_->options.program, kVersion),
                         "Prints the version.")
        ->configurable(false)
        ->group(kHelpGroup);
    app.set_help_flag("-h,--help", "Prints this.")->configurable(false)->group(kHelpGroup);

    // These two answer whatever else is wrong.
    if (state_->Given("--help") || state_->Given("-h")) {
      std::cout << app.help() << std::flush;
      return 0;
    }
    if (state_->Given("--version")) {
      std::cout << fmt::format("{} {}\n", state_->options.program, kVersion) << std::flush;
      return 0;
    }

    // CLI11 opens the file before it looks at the environment.
    std::vector<std::string> arguments = state_->arguments;
    const auto config = FromEnvironment("QASINO_CONFIG");
    if (config && !state_->Given("--config")) arguments.push_back("--config=" + *config);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(std::move(arguments));
  } catch (const CLI::FileError&) {
    return fail(
        fmt::format("--config: cannot read {}", Shown(app.get_config_ptr()->as<std::string>())));
  } catch (const CLI::Error& error) {
    return fail(error.what());
  } catch (const std::exception& error) {
    return fail(fmt::format("the command line cannot be read: {}", error.what()));
  }

  const ProcessOptions& options = state_->options;
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return fail(options.tls_key.empty() ? "--tls-cert is given without --tls-key"
                                        : "--tls-key is given without --tls-cert");
  }
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) {
    return fail("--tls-client-ca is given without --tls-cert and --tls-key");
  }
  return std::nullopt;
}

}  // namespace qasino::server
