#include "adapters/line/line_reader.h"

#include <algorithm>
#include <utility>

#include "adapters/legacy/statement.h"
#include "clients/cpp/utf8.h"

namespace qasino::line {
namespace {

constexpr char kCtrlC = 3;
constexpr char kCtrlD = 4;

// Telnet's commands.
constexpr unsigned char kEndOfFile = 236;  // RFC 1184; the least of all
constexpr unsigned char kAbort = 238;
constexpr unsigned char kSubnegotiationEnd = 240;
constexpr unsigned char kInterruptProcess = 244;
constexpr unsigned char kSubnegotiation = 250;
constexpr unsigned char kWill = 251;
constexpr unsigned char kDo = 253;
constexpr unsigned char kDont = 254;
constexpr unsigned char kIac = 255;
constexpr unsigned char kTimingMarkOption = 6;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\f' || c == '\v'; }

}  // namespace

LineReader::LineReader(size_t max_statement_bytes) : max_statement_bytes_(max_statement_bytes) {}

std::optional<LineEvent> LineReader::Next(std::string_view* input) {
  while (!input->empty()) {
    if (telnet_ == Telnet::kData && dropping_ && !line_is_blank_) {
      // A line may be long.
      input->remove_prefix(std::min(input->find_first_of("\r\n\xff"), input->size()));
      if (input->empty()) break;
    }
    const char byte = input->front();
    std::optional<LineEvent> event;
    if (telnet_ == Telnet::kData && static_cast<unsigned char>(byte) != kIac) {
      input->remove_prefix(1);
      event = TakeData(byte);
    } else {
      event = TakeTelnet(input);
    }
    if (event) return event;
  }
  return std::nullopt;
}

std::optional<LineEvent> LineReader::TakeTelnet(std::string_view* input) {
  const auto byte = static_cast<unsigned char>(input->front());
  switch (telnet_) {
    case Telnet::kData:
      telnet_ = Telnet::kCommand;
      break;
    case Telnet::kCommand:
      telnet_ = Telnet::kData;
      // No command: the byte stays for the next round.
      if (byte < kEndOfFile) return TakeData(static_cast<char>(kIac));
      input->remove_prefix(1);
      if (byte == kIac) return TakeData(static_cast<char>(kIac));
      if (byte == kInterruptProcess || byte == kAbort) return TakeData(kCtrlC);
      if (byte == kEndOfFile) return TakeData(kCtrlD);
      if (byte == kSubnegotiation) telnet_ = Telnet::kSubnegotiation;
      if (byte >= kWill && byte <= kDont) {
        telnet_ = Telnet::kOption;
        asked_to_do_ = byte == kDo;
      }
      return std::nullopt;
    case Telnet::kOption:
      telnet_ = Telnet::kData;
      input->remove_prefix(1);
      if (asked_to_do_ && byte == kTimingMarkOption) {
        return LineEvent{.kind = LineEvent::Kind::kTimingMark};
      }
      return std::nullopt;
    case Telnet::kSubnegotiation:
      if (byte == kIac) telnet_ = Telnet::kSubnegotiationCommand;
      break;
    case Telnet::kSubnegotiationCommand:
      if (byte == kSubnegotiationEnd) {
        telnet_ = Telnet::kData;
      } else if (byte == kIac) {
        telnet_ = Telnet::kSubnegotiation;
      } else {
        // Another command ends it as well; the byte stays for the next round.
        telnet_ = Telnet::kCommand;
        return std::nullopt;
      }
      break;
  }
  input->remove_prefix(1);
  return std::nullopt;
}

std::optional<LineEvent> LineReader::TakeData(char byte) {
  if (said_goodbye_) return std::nullopt;
  const bool after_cr = std::exchange(after_cr_, byte == '\r');
  if (byte == '\0' || (byte == '\n' && after_cr)) return std::nullopt;
  if (byte == '\r') byte = '\n';
  if (byte == '\n') {
    dropping_ = false;
    line_is_blank_ = true;
    statement_on_line_ = false;
  } else if ((byte == kCtrlC || byte == kCtrlD) && line_is_blank_) {
    return Goodbye();
  } else if (!IsBlank(byte)) {
    line_is_blank_ = false;
  }
  if (dropping_) return std::nullopt;
  const bool complete = scanner_.Take(byte);
  if (!complete && scanner_.at_start()) {
    if (has_pending()) pending_ = std::string();
    return std::nullopt;
  }
  if (pending_.size() == max_statement_bytes_) {
    pending_ = std::string();
    scanner_ = StatementScanner();
    dropping_ = byte != '\n';
    return LineEvent{.kind = LineEvent::Kind::kTooLong};
  }
  pending_.push_back(byte);
  if (complete) return EndStatement();
  return std::nullopt;
}

std::optional<LineEvent> LineReader::EndStatement() {
  std::string statement = std::exchange(pending_, std::string());
  line_is_blank_ = true;
  const bool follows = std::exchange(statement_on_line_, true);
  if (follows && statement == ";") return std::nullopt;
  if (!client::IsUtf8(statement)) return LineEvent{.kind = LineEvent::Kind::kNotUtf8};
  if (legacy::IsGoodbye(statement)) return Goodbye();
  return LineEvent{.kind = LineEvent::Kind::kStatement, .statement = std::move(statement)};
}

LineEvent LineReader::Goodbye() {
  said_goodbye_ = true;
  pending_ = std::string();
  return LineEvent{.kind = LineEvent::Kind::kGoodbye};
}

}  // namespace qasino::line
