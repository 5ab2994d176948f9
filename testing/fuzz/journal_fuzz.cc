#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "services/server/log.h"
#include "services/store/checksum.h"
#include "services/store/journal_record.pb.h"
#include "services/store/table_journal.h"
#include "testing/fuzz/memory_files.h"
#include "testing/fuzz/oracle.h"

// The bytes make a journal's file. When the first is 0 the rest is the file. Else the bytes
// between marks are records, which get their lengths and checksums here, as chance does not
// find these; and when the first byte is 1, the next two say which of the file's bytes is then
// damaged, and when it is 2, where the file ends.
//
//   - Damage, and a cut, cost no more than the record that they hit.
//   - What was read can be written and is read again, with what is appended to it.
//   - A damaged file is kept as it was.
namespace qasino::fuzz {
namespace {

using store::JournalRecord;
using store::TableJournal;

constexpr char kStore[] = "mine";
constexpr char kPath[] = "data/tables.journal";
constexpr std::string_view kMark = "QREC";

std::string Number(uint64_t number) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(number >> (8 * i)));
  return bytes;
}

std::string Record(std::string_view message) {
  std::string bytes(kMark);
  bytes += Number(message.size());
  bytes += message;
  return bytes + Number(store::Checksum::Of(bytes));
}

struct File {
  std::string bytes;
  // The records that must be read, in order and as they are in the file; only where
  // `is_ours`.
  std::vector<std::string> records;
  // Made of records of this store.
  bool is_ours = false;
  bool is_whole = false;
};

File MakeFile(std::string_view input) {
  File file;
  if (input.empty() || input[0] == 0) {
    file.bytes = input.substr(std::min<size_t>(1, input.size()));
    return file;
  }
  const int mode = input[0];
  size_t place = 0;
  if ((mode == 1 || mode == 2) && input.size() >= 3) {
    place = static_cast<unsigned char>(input[1]) * 256 + static_cast<unsigned char>(input[2]);
    input.remove_prefix(3);
  }
  struct Piece {
    std::string message;
    size_t begin;
    size_t end;
  };
  std::vector<Piece> pieces;
  JournalRecord name;
  name.set_store_id(kStore);
  file.bytes = Record(name.SerializeAsString());
  const size_t first_end = file.bytes.size();
  file.is_ours = true;
  while (!input.empty()) {
    const size_t end = std::min(input.find(kMark), input.size());
    const std::string message(input.substr(0, end));
    input.remove_prefix(std::min(end + kMark.size(), input.size()));
    JournalRecord record;
    const size_t begin = file.bytes.size();
    file.bytes += Record(message);
    if (!record.ParseFromString(message)) {
      file.is_ours = false;
      continue;
    }
    // Of another store, or its name again.
    if (!record.store_id().empty()) file.is_ours = false;
    pieces.push_back({message, begin, file.bytes.size()});
  }
  file.is_whole = file.is_ours;
  size_t hit = std::string::npos;
  if (mode == 1) {
    hit = place % file.bytes.size();
    file.bytes[hit] = static_cast<char>(file.bytes[hit] ^ 0x41);
    file.is_whole = false;
    // The store's name is gone, and with it what tells that the file is ours.
  } else if (mode == 2) {
    hit = first_end + place % (file.bytes.size() - first_end + 1);
    file.bytes.resize(hit);
  }
  for (const Piece& piece : pieces) {
    const bool is_hit =
        (mode == 1 && hit >= piece.begin && hit < piece.end) || (mode == 2 && hit < piece.end);
    if (!is_hit) file.records.push_back(piece.message);
  }
  return file;
}

std::unique_ptr<TableJournal> Open(MemoryFiles& files, std::vector<JournalRecord>& records) {
  records.clear();
  return TableJournal::Open("data", kStore, &files,
                            [&](JournalRecord record) { records.push_back(std::move(record)); });
}

void RequireSame(const std::vector<JournalRecord>& wanted,
                 const std::vector<JournalRecord>& found) {
  Require(wanted.size() == found.size(), "as many records are read as were written");
  for (size_t i = 0; i < wanted.size(); ++i) {
    Require(wanted[i].SerializeAsString() == found[i].SerializeAsString(),
            "a record is read as it was written");
  }
}

void Run(std::string_view input) {
  const File file = MakeFile(input);
  MemoryFiles files;
  files.files[kPath] = std::make_shared<std::string>(file.bytes);
  std::vector<JournalRecord> records;
  const std::unique_ptr<TableJournal> journal = Open(files, records);
  Require(!journal->is_new(), "a journal that is there is not new");
  if (file.is_ours) {
    // What is hit may still be read, where the damage can be undone.
    size_t found = 0;
    for (const JournalRecord& record : records) {
      JournalRecord wanted;
      if (found == file.records.size()) break;
      wanted.ParseFromString(file.records[found]);
      if (record.SerializeAsString() == wanted.SerializeAsString()) ++found;
    }
    Require(found == file.records.size(), "damage costs no more than what it hit");
  }
  if (file.is_whole) {
    Require(records.size() == file.records.size(), "what was cut off is not read");
  }

  const bool is_damaged = !journal->damage().empty();
  RequireOk(journal->Prepare([&](const auto& add) {
    for (const JournalRecord& record : records) {
      if (absl::Status status = add(record); !status.ok()) return status;
    }
    return absl::OkStatus();
  }),
            "write what was read");
  JournalRecord added;
  added.mutable_drop_static()->set_table_name("added");
  RequireOk(journal->Append({&added}), "append");
  const auto kept = files.files.find("data/damaged/tables.journal");
  Require((kept != files.files.end()) == is_damaged, "a damaged file is kept");
  Require(!is_damaged || *kept->second == file.bytes, "a damaged file is kept as it was");

  std::vector<JournalRecord> wanted = records;
  wanted.push_back(added);
  const std::unique_ptr<TableJournal> again = Open(files, records);
  Require(again->damage().empty(), "a new file is whole: " + again->damage());
  RequireSame(wanted, records);
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Damage is told of in the log.
  static const bool is_quiet = [] {
    qasino::log::Configure(qasino::log::Format::kText, qasino::log::Level::kError);
    return true;
  }();
  static_cast<void>(is_quiet);
  // protobuf tells of texts that are not UTF-8.
  static const google::protobuf::LogSilencer silence;
  qasino::fuzz::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
