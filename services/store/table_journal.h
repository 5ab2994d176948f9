#ifndef QASINO_SERVICES_STORE_TABLE_JOURNAL_H_
#define QASINO_SERVICES_STORE_TABLE_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/store/file_system.h"
#include "services/store/journal_record.pb.h"

namespace qasino::store {

// What was done to the static and persistent tables, on disk: one file, tables.journal in
// the store's data folder, to which records are appended. It is rewritten with nothing but
// the present state (a record for each table) when most of it is history, after a failure,
// and at every start.
//
// A record is its mark "QREC", the message's length in 8 bytes with the least first, the
// JournalRecord, and XXH3 of all that in 8 bytes; the file begins with a record that has
// only the store's id. A record that is not whole is skipped, with what follows up to the
// next mark, so that damage costs no more than what it hit.
//
// Used by one thread at a time.
class TableJournal {
 public:
  struct Recovered {
    // In order; without the first, which names the store.
    std::vector<JournalRecord> records;
    // What could not be read, in words; empty when the file was whole or there was none.
    // A last record that a crash cut short is not counted as damage.
    std::string damage;
    // There was no file.
    bool is_new = false;
  };
  // Gives the present state, record by record; ends at the first error that `add` returns.
  using State =
      std::function<absl::Status(const std::function<absl::Status(const JournalRecord&)>& add)>;

  // Reads the journal of the folder, which the caller has locked. One of another store
  // is damage as a whole. A file with damage is moved to damaged/ by the first Rewrite.
  // `files` must outlive it.
  static absl::StatusOr<std::unique_ptr<TableJournal>> Open(const std::string& data_dir,
                                                            const std::string& store_id,
                                                            FileSystem* files);

  // What Open found. Call it once.
  Recovered TakeRecovered();

  // Writes a new file with the state, and puts it in the old one's place. Call it once
  // before the first Append.
  absl::Status Rewrite(const State& state);

  // Returns when the records are on the disk, all of them or none. After a failure nobody
  // knows what the disk holds, and the next Append first does what Rewrite does; until
  // that works, everything is refused. RESOURCE_EXHAUSTED or INTERNAL.
  absl::Status Append(const std::vector<JournalRecord>& records, const State& state);

  // Bytes of the file, and how much of that was the state when it was last rewritten.
  uint64_t size_bytes() const;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_TABLE_JOURNAL_H_
