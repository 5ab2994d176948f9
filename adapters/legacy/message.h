#ifndef QASINO_ADAPTERS_LEGACY_MESSAGE_H_
#define QASINO_ADAPTERS_LEGACY_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::legacy {

// What a message may have before it is refused; a few bytes of text can ask for many
// times their size.
struct MessageLimits {
  size_t max_bytes = 32 << 20;
  size_t max_columns = 2000;
  int64_t max_cells = 10'000'000;
  // Of identity, op, names: what is longer is wrong anyway. Of sql and cells, max_bytes.
  size_t max_name_bytes = 4096;
};

// A request of the legacy dialect, as HTTP POST and ZeroMQ bring it.
struct Message {
  // The JSON is null, a number, … and no object at all; the rest is empty.
  bool is_object = false;
  // Absent, null: none. Of another type: its JSON text, which is no op.
  std::optional<std::string> op;
  // Absent, or no string: none.
  std::optional<std::string> sql;
  bool use_write_db = false;
  // With a `table`, or else: what is to be published, with identity (empty when there is
  // none) and options, or INVALID_ARGUMENT with the text that stands behind
  // `Invalid input format: ` — "Invalid column name 'a b'", "'rows'" for a missing key,
  // "row 3: 2 cells for 3 columns" — or RESOURCE_EXHAUSTED with the limit passed.
  absl::StatusOr<v1::PublishRequest> publish;
};

// Reads such a message piece by piece, as it arrives, straight into columns: neither the
// text nor a tree of values is kept.
//
//   {"op":"add_table_data","identity":"host1","persist":1,
//    "table":{"tablename":"t","column_names":["a"],"column_types":["int"],"rows":[[1]]}}
//
// Keys come in any order, `rows` before `column_names` as well; of a key that comes again
// the last counts; other keys are passed over. persist, static, update and use_write_db
// are on when truthy, as Python has it; keycols is a string of names separated by `;`, and
// heeded with update only. Cells are strings, numbers, null, true (1) and false (0). Types
// are the words that client::ParseColumnType knows, in any case. An integer that
// 64 bits cannot hold is an error in an INTEGER column and a real elsewhere.
//
// Not thread-safe.
class MessageParser {
 public:
  explicit MessageParser(const MessageLimits& limits = {});
  ~MessageParser();
  MessageParser(const MessageParser&) = delete;
  MessageParser& operator=(const MessageParser&) = delete;

  // Takes the next piece. False: it is of no use to go on, Finish says why. It never
  // throws.
  bool Write(std::string_view piece);

  // What the table's cells so far take in memory, about, without the bytes of their texts: a
  // text of three bytes, `"",`, takes some forty.
  size_t held_bytes() const;

  // After the last piece. INVALID_ARGUMENT: the text is not JSON, with the place and the
  // fault, for the text behind `Could not parse POST body: `. RESOURCE_EXHAUSTED: over
  // the limit named. Once.
  absl::StatusOr<Message> Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A whole message at once.
absl::StatusOr<Message> ParseMessage(std::string_view text, const MessageLimits& limits = {});

// The publish that op=name_value_update stands for: table and column from `name`
// ("<table>.<column>"), columns `identity, <column>` as text, update and persist by the
// key identity. INVALID_ARGUMENT: the name is not one; its message is what the original
// says.
absl::StatusOr<v1::PublishRequest> NameValuePublish(std::string_view name, std::string_view value,
                                                    std::string_view identity);

}  // namespace qasino::legacy

#endif  // QASINO_ADAPTERS_LEGACY_MESSAGE_H_
