#include "services/server/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace qasino::server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// What a program's own flags were set to.
struct Values {
  int port = 15601;
  int optional_port = 7;
  std::string identity = "host";
  int64_t rows = 1000;
  absl::Duration duration = absl::Seconds(30);
  int64_t bytes = 16 << 20;
  bool quick = false;
};

class CommandLineTest : public ::testing::Test {
 protected:
  // Parses with the environment given; fills the members below.
  std::optional<int> Parse(std::vector<std::string> arguments,
                           const std::map<std::string, std::string>& environment = {}) {
    values_ = Values();
    CommandLine line("qasino-ingest", "Collects tables.", {.metrics_port = 15611});
    line.AddPort("--ingest-port", &values_.port, "Where publishers connect.");
    line.AddOptionalPort("--extra-port", &values_.optional_port, "Another port.");
    line.AddString("--identity", &values_.identity, "Who this is.");
    line.AddInteger("--max-rows", &values_.rows, 1, 1000000, "Most rows.");
    line.AddDuration("--generation-duration", &values_.duration, absl::Seconds(1), absl::Hours(1),
                     "How long.");
    line.AddBytes("--queue-size", &values_.bytes, 1 << 10, int64_t{1} << 40, "How much.");
    line.AddBool("--quick", &values_.quick, "Hurries.");
    line.SetFooter("Example:\n  qasino-ingest --ingest-port 0");

    std::vector<const char*> argv = {"qasino-ingest"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const auto code = line.Parse(static_cast<int>(argv.size()), argv.data());
    error_ = ::testing::internal::GetCapturedStderr();
    output_ = ::testing::internal::GetCapturedStdout();
    for (const auto& [name, value] : environment) unsetenv(name.c_str());
    options_ = line.process_options();
    return code;
  }

  std::string File(const std::string& text) {
    const std::string path = ::testing::TempDir() + "/qasino.conf";
    std::ofstream(path) << text;
    return path;
  }

  // The one line on standard error, after the program's name.
  std::string Refusal(std::vector<std::string> arguments,
                      const std::map<std::string, std::string>& environment = {}) {
    const auto code = Parse(std::move(arguments), environment);
    EXPECT_EQ(code, 1);
    EXPECT_EQ(output_, "");
    EXPECT_THAT(error_, StartsWith("qasino-ingest: "));
    EXPECT_EQ(error_.find('\n'), error_.size() - 1);
    const size_t begin = error_.find(": ") + 2;
    const size_t end = error_.rfind("; see --help\n");
    EXPECT_NE(end, std::string::npos);
    return error_.substr(begin, end - begin);
  }

  Values values_;
  ProcessOptions options_;
  std::string output_;
  std::string error_;
};

TEST_F(CommandLineTest, DefaultsWhenNobodySays) {
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(values_.port, 15601);
  EXPECT_EQ(options_.program, "qasino-ingest");
  EXPECT_EQ(options_.listen, "127.0.0.1");
  EXPECT_EQ(options_.metrics_port, 15611);
  EXPECT_EQ(options_.shutdown_grace, absl::Seconds(10));
  EXPECT_EQ(options_.log_format, log::Format::kText);
  EXPECT_EQ(options_.log_level, log::Level::kInfo);
  EXPECT_EQ(options_.max_message_bytes, 32 << 20);
}

TEST_F(CommandLineTest, EveryFlag) {
  EXPECT_EQ(Parse({"--ingest-port",
                   "0",
                   "--extra-port=off",
                   "--identity",
                   "a b,c",
                   "--max-rows=5",
                   "--generation-duration",
                   "1m30s",
                   "--queue-size",
                   "1GiB",
                   "--quick",
                   "--listen",
                   "::1",
                   "--metrics-port",
                   "off",
                   "--shutdown-grace",
                   "0",
                   "--log-format",
                   "json",
                   "--log-level",
                   "debug",
                   "--tls-cert",
                   "c.pem",
                   "--tls-key",
                   "k.pem",
                   "--tls-client-ca",
                   "ca.pem",
                   "--max-message-size",
                   "64MiB"}),
            std::nullopt)
      << error_;
  EXPECT_EQ(values_.port, 0);
  EXPECT_EQ(values_.optional_port, -1);
  EXPECT_EQ(values_.identity, "a b,c");
  EXPECT_EQ(values_.rows, 5);
  EXPECT_EQ(values_.duration, absl::Seconds(90));
  EXPECT_EQ(values_.bytes, 1 << 30);
  EXPECT_TRUE(values_.quick);
  EXPECT_EQ(options_.listen, "::1");
  EXPECT_EQ(options_.metrics_port, -1);
  EXPECT_EQ(options_.shutdown_grace, absl::ZeroDuration());
  EXPECT_EQ(options_.log_format, log::Format::kJson);
  EXPECT_EQ(options_.log_level, log::Level::kDebug);
  EXPECT_EQ(options_.tls_cert, "c.pem");
  EXPECT_EQ(options_.tls_key, "k.pem");
  EXPECT_EQ(options_.tls_client_ca, "ca.pem");
  EXPECT_EQ(options_.max_message_bytes, 64 << 20);
}

TEST_F(CommandLineTest, Durations) {
  const std::pair<std::string, absl::Duration> good[] = {
      {"30s", absl::Seconds(30)},
      {"1m30s", absl::Seconds(90)},
      {"2500ms", absl::Milliseconds(2500)},
      {"30", absl::Seconds(30)},
      {"1.5", absl::Milliseconds(1500)},
      {"1h", absl::Hours(1)},
      {"1s", absl::Seconds(1)},
  };
  for (const auto& [text, duration] : good) {
    EXPECT_EQ(Parse({"--generation-duration", text}), std::nullopt) << text << error_;
    EXPECT_EQ(values_.duration, duration) << text;
  }
  for (const std::string text :
       {"999ms", "0", "-5s", "2h", "inf", "nan", "1e300", "30 s", "30x", "s", "1m30"}) {
    EXPECT_EQ(Refusal({"--generation-duration=" + text}),
              "--generation-duration: '" + text +
                  "' is not a duration from 1s to 1h (such as 30s, 500ms, 1m30s)");
  }
}

TEST_F(CommandLineTest, Bytes) {
  const std::pair<std::string, int64_t> good[] = {{"4096", 4096},
                                                  {"64KiB", 64 << 10},
                                                  {"16MiB", 16 << 20},
                                                  {"1GiB", 1 << 30},
                                                  {"1TiB", int64_t{1} << 40}};
  for (const auto& [text, bytes] : good) {
    EXPECT_EQ(Parse({"--queue-size", text}), std::nullopt) << text << error_;
    EXPECT_EQ(values_.bytes, bytes) << text;
  }
  for (const std::string text : {"1023", "2TiB", "-1", "16MB", "16M", "MiB", "1.5GiB", "0x10",
                                 "9223372036854775807TiB", "99999999999999999999"}) {
    EXPECT_EQ(Refusal({"--queue-size=" + text}),
              "--queue-size: '" + text +
                  "' is not a size from 1KiB to 1TiB (such as 4096, 64KiB, 16MiB, 1GiB)");
  }
}

TEST_F(CommandLineTest, PortsAndNumbers) {
  for (const std::string text : {"65536", "-1", "http", "1 ", "0x10", "80.0"}) {
    EXPECT_EQ(Refusal({"--ingest-port=" + text}),
              "--ingest-port: '" + text + "' is not a port (0 to 65535)");
  }
  EXPECT_EQ(Refusal({"--metrics-port=-1"}),
            "--metrics-port: '-1' is not a port (0 to 65535) or \"off\"");
  EXPECT_EQ(Refusal({"--max-rows", "0"}),
            "--max-rows: '0' is not a whole number from 1 to 1000000");
  EXPECT_EQ(Refusal({"--max-rows", "10x"}),
            "--max-rows: '10x' is not a whole number from 1 to 1000000");
}

TEST_F(CommandLineTest, Bools) {
  const std::pair<std::vector<std::string>, bool> good[] = {
      {{}, false},
      {{"--quick"}, true},
      {{"--quick=true"}, true},
      {{"--quick", "--max-rows", "5"}, true},
      {{"--quick", "--quick=false"}, false},
  };
  for (const auto& [arguments, quick] : good) {
    EXPECT_EQ(Parse(arguments), std::nullopt) << error_;
    EXPECT_EQ(values_.quick, quick);
  }
  EXPECT_EQ(Parse({"--quick=false"}, {{"QASINO_QUICK", "true"}}), std::nullopt) << error_;
  EXPECT_FALSE(values_.quick);
  for (const std::string text : {"yes", "1", "TRUE", "truefalse"}) {
    EXPECT_EQ(Refusal({"--quick=" + text}), "--quick: '" + text + "' is not \"true\" or \"false\"");
  }
}

TEST_F(CommandLineTest, SharedFlagsAreChecked) {
  EXPECT_EQ(Refusal({"--listen", "everywhere"}),
            "--listen: 'everywhere' is not an IP address (such as 127.0.0.1, 0.0.0.0, ::1)");
  EXPECT_EQ(Refusal({"--log-format", "xml"}), "--log-format: 'xml' is not one of text, json");
  EXPECT_EQ(Refusal({"--log-level", "INFO"}),
            "--log-level: 'INFO' is not one of debug, info, warn, error");
  EXPECT_EQ(Refusal({"--tls-cert", "c"}), "--tls-cert is given without --tls-key");
  EXPECT_EQ(Refusal({"--tls-key", "c"}), "--tls-key is given without --tls-cert");
  EXPECT_EQ(Refusal({"--tls-client-ca", "c"}),
            "--tls-client-ca is given without --tls-cert and --tls-key");
  EXPECT_EQ(Parse({"--listen", "localhost"}), std::nullopt);
  EXPECT_EQ(options_.listen, "127.0.0.1");
}

TEST_F(CommandLineTest, WhatIsNotAFlagIsRefusedByName) {
  EXPECT_THAT(Refusal({"--ingest-prot", "1"}), HasSubstr("--ingest-prot"));
  EXPECT_THAT(Refusal({"stray"}), HasSubstr("stray"));
  EXPECT_THAT(Refusal({"--ingest-port"}), HasSubstr("--ingest-port"));
}

TEST_F(CommandLineTest, ValuesInMessagesStayOnOneLineAndShort) {
  EXPECT_EQ(Refusal({"--ingest-port=1\n2\x1b"}),
            "--ingest-port: '1\\n2\\033' is not a port (0 to 65535)");
  EXPECT_LT(Refusal({"--ingest-port=" + std::string(5000, 'x')}).size(), 300u);
}

TEST_F(CommandLineTest, TheLastOfRepeatedFlagsCounts) {
  EXPECT_EQ(Parse({"--ingest-port", "1", "--ingest-port", "2"}), std::nullopt) << error_;
  EXPECT_EQ(values_.port, 2);
}

TEST_F(CommandLineTest, FromTheEnvironment) {
  EXPECT_EQ(Parse({}, {{"QASINO_INGEST_PORT", "77"},
                       {"QASINO_METRICS_PORT", "off"},
                       {"QASINO_QUICK", "true"},
                       {"QASINO_IDENTITY", ""}}),
            std::nullopt)
      << error_;
  EXPECT_EQ(values_.port, 77);
  EXPECT_EQ(options_.metrics_port, -1);
  EXPECT_TRUE(values_.quick);
  EXPECT_EQ(values_.identity, "host");
  EXPECT_EQ(Refusal({}, {{"QASINO_INGEST_PORT", "tcp://10.0.0.1:15601"}}),
            "--ingest-port (from QASINO_INGEST_PORT): 'tcp://10.0.0.1:15601' is not a port (0 to "
            "65535)");
}

TEST_F(CommandLineTest, FromTheFile) {
  const std::string path = File(
      "# how this host runs\n"
      "; two kinds of comment\n"
      "\n"
      "ingest-port=88\n"
      "  identity = \"a # b, c\"  # who\n"
      "log-format = 'json'\n"
      "generation-duration=5s # short\n"
      "quick=true\r\n");
  EXPECT_EQ(Parse({"--config", path}), std::nullopt) << error_;
  EXPECT_EQ(values_.port, 88);
  EXPECT_EQ(values_.identity, "a # b, c");
  EXPECT_EQ(options_.log_format, log::Format::kJson);
  EXPECT_EQ(values_.duration, absl::Seconds(5));
  EXPECT_TRUE(values_.quick);
}

TEST_F(CommandLineTest, AFlagBeatsTheEnvironmentWhichBeatsTheFile) {
  const std::string path = File("ingest-port=1\nmax-rows=1\nidentity=file\n");
  EXPECT_EQ(Parse({"--config=" + path, "--ingest-port", "3"},
                  {{"QASINO_INGEST_PORT", "2"}, {"QASINO_MAX_ROWS", "2"}}),
            std::nullopt)
      << error_;
  EXPECT_EQ(values_.port, 3);
  EXPECT_EQ(values_.rows, 2);
  EXPECT_EQ(values_.identity, "file");
}

TEST_F(CommandLineTest, TheFileFromTheEnvironment) {
  const std::string path = File("ingest-port=9\n");
  EXPECT_EQ(Parse({}, {{"QASINO_CONFIG", path}}), std::nullopt) << error_;
  EXPECT_EQ(values_.port, 9);
  EXPECT_EQ(Refusal({}, {{"QASINO_CONFIG", "/nowhere/x"}}), "--config: cannot read '/nowhere/x'");
}

TEST_F(CommandLineTest, FaultsOfTheFileNameTheLine) {
  const auto refusal = [this](const std::string& text) {
    const std::string path = File(text);
    const std::string message = Refusal({"--config", path});
    const size_t at = message.find(path);
    EXPECT_NE(at, std::string::npos) << message;
    return at == std::string::npos ? message
                                   : message.substr(0, at) + "F" + message.substr(at + path.size());
  };
  EXPECT_EQ(refusal("\ningest-prot=1\n"), "--config: F line 2: there is no flag 'ingest-prot'");
  EXPECT_EQ(refusal("x\n"), "--config: F line 1: 'x' is not of the form some-flag=value");
  EXPECT_EQ(refusal("[ingest]\n"),
            "--config: F line 1: '[ingest]' is not of the form some-flag=value");
  EXPECT_EQ(refusal("config=a\n"), "--config: F line 1: 'config' is not for the file");
  EXPECT_EQ(refusal("max-rows=1\nmax-rows=2\n"),
            "--config: F line 2: 'max-rows' was given in line 1 already");
  EXPECT_EQ(refusal("identity=\"a\n"), "--config: F line 1: the closing quote is missing");
  EXPECT_EQ(refusal("ingest-port=x\n"),
            "--ingest-port (from F line 1): 'x' is not a port (0 to 65535)");
  EXPECT_EQ(Refusal({"--config", "/nowhere/x"}), "--config: cannot read '/nowhere/x'");
  EXPECT_EQ(Refusal({"--config", "/tmp"}), "--config: cannot read '/tmp'");
}

TEST_F(CommandLineTest, Version) {
  EXPECT_EQ(Parse({"--version"}), 0);
  EXPECT_EQ(output_, "qasino-ingest 0.1.0\n");
  EXPECT_EQ(Parse({"--ingest-port=x", "--version"}), 0);
}

TEST_F(CommandLineTest, HelpTeaches) {
  EXPECT_EQ(Parse({"--help"}, {{"QASINO_INGEST_PORT", "bad"}}), 0);
  EXPECT_EQ(error_, "");
  EXPECT_THAT(output_, StartsWith("Collects tables.\n\nUsage: qasino-ingest [options]\n\n"
                                  "Options of qasino-ingest:\n"
                                  "  --ingest-port PORT  (QASINO_INGEST_PORT, default 15601)\n"
                                  "      Where publishers connect.\n"));
  EXPECT_THAT(output_, AllOf(HasSubstr("(QASINO_GENERATION_DURATION, default 30s)"),
                             HasSubstr("(QASINO_QUEUE_SIZE, default 16MiB)"),
                             HasSubstr("--log-format text|json  (QASINO_LOG_FORMAT, default text)"),
                             HasSubstr("(QASINO_METRICS_PORT, default 15611)"),
                             HasSubstr("  --config FILE  (QASINO_CONFIG)"),
                             HasSubstr("\n  -h,--help\n"), HasSubstr("Example:\n  qasino-ingest")));
  EXPECT_LT(output_.find("--queue-size"), output_.find("Options of every Qasino server"));
  EXPECT_LT(output_.find("Options of every Qasino server"), output_.find("--listen"));
  EXPECT_LT(output_.find("--tls-client-ca"), output_.find("Help and configuration"));
  for (size_t at = 0, end; (end = output_.find('\n', at)) != std::string::npos; at = end + 1) {
    EXPECT_LE(end - at, 100u) << output_.substr(at, end - at);
  }
}

}  // namespace
}  // namespace qasino::server
