#ifndef QASINO_SERVICES_SERVER_COMMAND_LINE_H_
#define QASINO_SERVICES_SERVER_COMMAND_LINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "services/server/log.h"

namespace CLI {
class App;
}

namespace qasino::server {

// What every server process can be told; the flags are in the comments.
struct ProcessOptions {
  std::string program;  // set by CommandLine
  // --listen: the IP address that every port binds to. 127.0.0.1 unless said.
  std::string listen = "127.0.0.1";
  // --metrics-port: Prometheus /metrics, /livez, /readyz; 0 takes a free port,
  // -1 ("off" on the command line) has none.
  int metrics_port = -1;
  // --shutdown-grace: how long SIGTERM may take. At least 0.
  absl::Duration shutdown_grace = absl::Seconds(10);
  // --log-format text|json, --log-level debug|info|warn|error
  log::Format log_format = log::Format::kText;
  log::Level log_level = log::Level::kInfo;
  // --tls-cert, --tls-key: PEM files; both or none. With them the gRPC ports speak
  // TLS only. --tls-client-ca: then clients must show a certificate that it signed.
  std::string tls_cert, tls_key, tls_client_ca;
  // --max-message-size: bytes of one gRPC message received.
  int64_t max_message_bytes = 32 << 20;
};

// A server's command line: CLI11 with what all of Qasino's servers share. Each flag
// --some-flag can also come from the environment as QASINO_SOME_FLAG and from the
// file that --config names (some-flag=value a line); a flag beats the environment,
// which beats the file. --version and --help are there.
//
//   server::CommandLine line("qasino-ingest", "Collects tables…", {.metrics_port = 15611});
//   line.AddPort("--ingest-port", &options.port, "…");
//   if (std::optional<int> code = line.Parse(argc, argv)) return *code;
//   Run(line.process_options(), options);
//
// Not thread-safe; used by main alone.
class CommandLine {
 public:
  // `defaults` gives what this program's shared flags are when nobody says.
  CommandLine(std::string_view program, std::string_view description,
              const ProcessOptions& defaults = {});
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  // Each adds one flag whose default is *target's value now, shown in --help.
  // A value that does not fit is refused by Parse with a sentence, never clipped.
  void AddString(std::string_view flag, std::string* target, std::string_view help);
  void AddInteger(std::string_view flag, int64_t* target, int64_t least, int64_t most,
                  std::string_view help);
  void AddPort(std::string_view flag, int* target, std::string_view help);  // 0 to 65535
  // A port, or "off", which is -1.
  void AddOptionalPort(std::string_view flag, int* target, std::string_view help);
  // "30s", "500ms", "1m30s", or a bare number of seconds.
  void AddDuration(std::string_view flag, absl::Duration* target, absl::Duration least,
                   absl::Duration most, std::string_view help);
  // "16MiB", "1GiB", "64KiB", "4096".
  void AddBytes(std::string_view flag, int64_t* target, int64_t least, int64_t most,
                std::string_view help);
  // On when it stands alone; else "true" or "false" behind it.
  void AddBool(std::string_view flag, bool* target, std::string_view help);
  // Text shown at the end of --help: examples.
  void SetFooter(std::string_view text);

  CLI::App& app();

  // Nothing when the program should go on. Else the code to exit with: 0 after
  // --help and --version, 1 after a wrong command line, which was explained on
  // standard error.
  std::optional<int> Parse(int argc, const char* const* argv);

  const ProcessOptions& process_options() const;

 private:
  struct State;

  // Last of all, so that --help shows the program's own flags first.
  void AddSharedFlags();

  std::unique_ptr<State> state_;
};

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_COMMAND_LINE_H_
