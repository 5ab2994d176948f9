#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/legacy/statement.h"
#include "adapters/line/line_reader.h"
#include "clients/cpp/utf8.h"
#include "testing/fuzz/oracle.h"

// The bytes are what a client sends to the line adapter.
//
//   - In whatever pieces they come, the same happens.
//   - A statement is valid UTF-8, complete by SQLite's word where it ends and not before, has no
//     zero byte and no byte more than the limit.
//   - What is held is bounded, and nothing happens after a goodbye but timing marks.
namespace qasino::fuzz {
namespace {

using Kind = line::LineEvent::Kind;
using Events = std::vector<std::pair<Kind, std::string>>;

// Reads the input in pieces of `size` bytes.
Events Read(std::string_view input, size_t most, size_t size) {
  line::LineReader reader(most);
  Events events;
  bool goodbye = false;
  while (!input.empty()) {
    std::string_view piece = input.substr(0, size);
    input.remove_prefix(piece.size());
    while (std::optional<line::LineEvent> event = reader.Next(&piece)) {
      Require(!goodbye || event->kind == Kind::kTimingMark, "nothing happens after a goodbye");
      goodbye = goodbye || event->kind == Kind::kGoodbye;
      events.emplace_back(event->kind, std::move(event->statement));
    }
    Require(piece.empty(), "all is taken");
    Require(reader.held() <= std::max<size_t>(2 * most, 32), "what is held is bounded");
  }
  return events;
}

void RequireStatement(const std::string& statement, size_t most) {
  Require(statement.size() <= most, "a statement is within the limit");
  Require(client::IsUtf8(statement), "a statement is UTF-8");
  Require(statement.find('\0') == std::string::npos, "a statement has no zero byte");
  Require(!legacy::IsGoodbye(statement), "a goodbye is no statement");
  for (size_t end = statement.find(';'); end != std::string::npos;
       end = statement.find(';', end + 1)) {
    const bool complete = legacy::IsComplete(statement.substr(0, end + 1));
    Require(complete == (end + 1 == statement.size()),
            "a statement ends where it is complete first: " + statement);
  }
  Require(statement.ends_with(';'), "a statement ends in a semicolon");
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using qasino::fuzz::Events;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const size_t most : {size_t{16}, size_t{128}, size_t{1} << 16}) {
    const Events whole = qasino::fuzz::Read(input, most, std::max<size_t>(size, 1));
    for (const auto& [kind, statement] : whole) {
      if (kind == qasino::fuzz::Kind::kStatement) {
        qasino::fuzz::RequireStatement(statement, most);
      } else {
        qasino::fuzz::Require(statement.empty(), "only a statement has a text");
      }
    }
    for (const size_t piece : {1, 2, 3, 7, 64}) {
      qasino::fuzz::Require(qasino::fuzz::Read(input, most, piece) == whole,
                            "pieces make no difference");
    }
  }
  return 0;
}
