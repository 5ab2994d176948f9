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
// the present state when most of it is history, after a failure, and at every start.
//
// A record is its mark "QREC", the message's length in 8 bytes with the least first, the
// JournalRecord, and XXH3 of all that in 8 bytes; the file begins with a record that has
// only the store's id. A record that is not whole is skipped, with what follows up to the
// next mark, so that damage costs no more than what it hit.
//
//   auto journal = TableJournal::Open(data_dir, store_id, files, replay);
//   ...
//   status = journal->Prepare(state);
//   if (status.ok()) status = journal->Append(records);
//   if (status.ok()) ...  // and only now what the records say is done
//
// Used by one thread at a time.
class TableJournal {
 public:
  // Takes the records in order; without the first, which names the store.
  using Replay = std::function<void(JournalRecord record)>;
  // Gives the present state, record by record; ends at the first error that `add` returns.
  using State =
      std::function<absl::Status(const std::function<absl::Status(const JournalRecord&)>& add)>;

  // Reads the journal of the folder, which the caller has locked and which has the folders
  // incoming and damaged. One of another store is damage as a whole, and so is one that
  // the disk does not let be read. `files` must outlive it.
  static std::unique_ptr<TableJournal> Open(const std::string& data_dir,
                                            const std::string& store_id, FileSystem* files,
                                            const Replay& replay);

  // What could not be read, in words; empty when the file was whole or there was none. A
  // last record that is cut short counts too: a crash of the machine looks like a file that
  // was truncated. A damaged file is kept in damaged/ by the first Prepare, before another
  // takes its place.
  const std::string& damage() const { return damage_; }
  // There was no file.
  bool is_new() const { return is_new_; }

  // Makes ready for Append; call it before each, with the state as it is on disk. Writes a
  // new file with the state in the old one's place, when this is the first call, after a
  // failure, or when most of the file is history. After a failure nobody knows what the
  // disk holds, so until this works nothing is taken. RESOURCE_EXHAUSTED or INTERNAL.
  absl::Status Prepare(const State& state);

  // Returns when the records are on the disk. After a failure some of them may be there and
  // come back at the next start, unless a Prepare works before. RESOURCE_EXHAUSTED or
  // INTERNAL; FAILED_PRECONDITION when it is not prepared.
  absl::Status Append(const std::vector<const JournalRecord*>& records);

  // The state is not what was appended; the next Prepare writes a new file.
  void Distrust() { trusted_ = false; }

  // Bytes of the file.
  uint64_t size_bytes() const { return size_; }

 private:
  TableJournal(const std::string& data_dir, const std::string& store_id, FileSystem* files);

  void Read(const Replay& replay);
  absl::Status ReadRecords(const Replay& replay);
  absl::Status Rewrite(const State& state);
  absl::Status WriteFile(const std::string& path, const State& state,
                         std::unique_ptr<WritableFile>* file, uint64_t* size);
  absl::Status KeepDamaged();
  absl::Status CopyTo(const std::string& path);
  std::string IncomingPath();
  void RemoveUnfinished(const std::string& path);

  const std::string data_dir_;
  const std::string path_;
  const std::string store_id_;
  FileSystem* const files_;
  std::string damage_;
  bool is_new_ = false;
  bool is_unreadable_ = false;

  std::unique_ptr<WritableFile> file_;
  // The file is known to hold the state and what was appended since.
  bool trusted_ = false;
  bool damaged_kept_ = false;
  // In damaged/, as what the damaged file was put there; it may not be on the disk yet.
  std::string damaged_name_;
  uint64_t size_ = 0;
  // The size from which on it is rewritten.
  uint64_t rewrite_at_ = 0;
  int64_t next_incoming_ = 1;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_TABLE_JOURNAL_H_
