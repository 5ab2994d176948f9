#ifndef QASINO_CLIENTS_TABLES_JSON_READER_H_
#define QASINO_CLIENTS_TABLES_JSON_READER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/tables/table_limits.h"
#include "qasino/v1/table.pb.h"

namespace qasino::publish {

// What is to be read of a JSON text.
struct JsonShape {
  // A member of the outer object, beside its table.
  struct Field {
    std::string_view name;
    size_t max_bytes = 0;
  };

  TableLimits limits;
  // Of names, of words for types.
  size_t max_name_bytes = 4096;
  // The text is an object whose member `table` is the table, and which has these fields.
  // False: it is the table itself.
  bool has_envelope = false;
  std::vector<Field> fields;
  // A column's name that is none is kBadColumnName; else whoever gets the table looks.
  bool checks_names = false;
};

// The last member of a field's name, if there was one.
struct JsonField {
  enum class Kind { kAbsent, kNull, kString, kNumber, kBool, kContainer };
  Kind kind = Kind::kAbsent;
  // As Python has it: not null, false, 0, "", [], {}.
  bool truthy = false;
  // The string; of another kind its JSON, without blanks. Empty when it is too long.
  std::string text;
  bool too_long = false;
};

// What is wrong with a table.
struct JsonTableFault {
  enum class Kind { kMissingKey, kBadColumnName, kBadColumnType, kOther };
  Kind kind = Kind::kOther;
  // The key, name or word.
  std::string subject;
  // INVALID_ARGUMENT, or RESOURCE_EXHAUSTED with the limit that was passed. The message
  // counts rows and columns from 1.
  absl::Status status;
};

// Reads a table in Qasino's JSON piece by piece, straight into columns:
//
//   {"tablename": "disks", "column_names": ["mount", "used_bytes"],
//    "column_types": ["text", "int"], "rows": [["/var", 123456], ["/mnt", null]]}
//
//   JsonReader reader(shape);
//   while (… && reader.Write(piece)) …
//   absl::Status status = reader.Finish();
//   if (status.ok()) fault = reader.TakeTable(&table);
//
// Keys come in any order, of a key that comes again the last counts, others are passed over.
// Cells are strings, numbers, null, true (1) and false (0), of any type in any column; but an
// integer that 64 bits cannot hold is an error in an INTEGER column and a real elsewhere, and
// a string in a BLOB column is its bytes. Nesting goes 32 deep.
//
// Memory: the columns, the fields and a few names; neither the text nor a tree of values.
// Nothing is thrown. Not thread-safe.
class JsonReader {
 public:
  explicit JsonReader(JsonShape shape);
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Takes the next piece. False: it is of no use to go on, Finish says why.
  bool Write(std::string_view piece);

  // What the table's cells so far take in memory, about, without the bytes of their texts.
  size_t held_bytes() const;

  // After the last piece. INVALID_ARGUMENT: the text is not JSON, with line and column from 1;
  // RESOURCE_EXHAUSTED: too long, or no memory. Once, and the rest only after OK.
  absl::Status Finish();

  // The text is an object.
  bool is_object() const;
  // In the order of the shape's fields.
  const JsonField& field(size_t at) const;
  // An object with an envelope has a table of whatever kind.
  bool has_table() const;
  // Gives the table to `table`, which is empty; false: it cannot be had, see `fault`. Without
  // a table it is as if it were an empty object. Once.
  bool TakeTable(v1::Table* table, JsonTableFault* fault);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qasino::publish

#endif  // QASINO_CLIENTS_TABLES_JSON_READER_H_
