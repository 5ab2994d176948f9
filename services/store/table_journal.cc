#include "services/store/table_journal.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/server/log.h"
#include "services/store/checksum.h"
#include "services/store/failpoints.h"

namespace qasino::store {
namespace {

constexpr std::string_view kMark = "QREC";
constexpr size_t kNumberBytes = 8;
constexpr size_t kHeadBytes = kMark.size() + kNumberBytes;
constexpr size_t kAroundBytes = kHeadBytes + kNumberBytes;
constexpr size_t kBufferBytes = 1 << 20;
// A journal is rewritten when it is larger than this, and than twice the state.
constexpr uint64_t kLeastRewriteBytes = 1 << 20;
// protobuf reads no longer message.
constexpr uint64_t kMaxMessageBytes = std::numeric_limits<int>::max();
constexpr char kFileName[] = "tables.journal";

void AppendNumber(uint64_t number, std::string* bytes) {
  for (size_t i = 0; i < kNumberBytes; ++i) bytes->push_back(static_cast<char>(number >> (8 * i)));
}

uint64_t ReadNumber(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < kNumberBytes; ++i) {
    number |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return number;
}

absl::Status Encode(const JournalRecord& record, std::string* bytes) {
  const size_t begin = bytes->size();
  const size_t length = record.ByteSizeLong();
  if (length > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a journal record of ", length, " bytes is too long"));
  }
  bytes->append(kMark);
  AppendNumber(length, bytes);
  if (!record.AppendToString(bytes)) return absl::InternalError("a journal record is incomplete");
  AppendNumber(Checksum::Of(std::string_view(*bytes).substr(begin)), bytes);
  return absl::OkStatus();
}

// Reads the records of a journal's file, and skips what is none.
class Reader {
 public:
  Reader(const ReadableFile& file, uint64_t size) : file_(file), size_(size) {}

  // The next whole record; nothing at the end. What is skipped on the way is counted.
  absl::StatusOr<std::optional<JournalRecord>> Next() {
    const uint64_t begin = offset_;
    bool is_first_cut_short = false;
    while (offset_ < size_) {
      const uint64_t tried = offset_;
      absl::StatusOr<std::optional<JournalRecord>> record = ReadRecord(std::nullopt);
      if (!record.ok()) return record;
      if (record->has_value()) {
        damaged_bytes_ += tried - begin;
        return record;
      }
      if (tried == begin) is_first_cut_short = is_cut_short_;
      const absl::StatusOr<uint64_t> mark = FindMark(tried + 1);
      if (!mark.ok()) return mark.status();
      offset_ = *mark;
    }
    if (!is_first_cut_short) {
      damaged_bytes_ += size_ - begin;
      return std::nullopt;
    }
    // The last record ends beyond the file's end; unless it is its length that is wrong.
    offset_ = begin;
    if (size_ - begin < kAroundBytes) return std::nullopt;
    absl::StatusOr<std::optional<JournalRecord>> record = ReadRecord(size_ - begin - kAroundBytes);
    if (record.ok() && record->has_value()) damaged_bytes_ += kNumberBytes;
    return record;
  }

  uint64_t damaged_bytes() const { return damaged_bytes_; }
  // Where the next record begins.
  uint64_t offset() const { return offset_; }

 private:
  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t size) {
    std::string bytes(size, '\0');
    const absl::StatusOr<size_t> got = file_.ReadAt(offset, bytes.size(), bytes.data());
    if (!got.ok()) return got.status();
    bytes.resize(*got);
    return bytes;
  }

  // The record at offset_, which is left behind; nothing when it is not whole. `known_length`,
  // where it is given, counts instead of the one that the record has.
  absl::StatusOr<std::optional<JournalRecord>> ReadRecord(std::optional<uint64_t> known_length) {
    is_cut_short_ = false;
    const uint64_t left = size_ - offset_;
    const absl::StatusOr<std::string> head = Read(offset_, std::min<uint64_t>(left, kHeadBytes));
    if (!head.ok()) return head.status();
    if (std::string_view(*head).substr(0, kMark.size()) != kMark.substr(0, head->size())) {
      return std::nullopt;
    }
    if (left < kAroundBytes) {
      is_cut_short_ = true;
      return std::nullopt;
    }
    const uint64_t length =
        known_length.value_or(ReadNumber(std::string_view(*head).substr(kMark.size())));
    if (length > left - kAroundBytes) {
      is_cut_short_ = true;
      return std::nullopt;
    }
    if (length > kMaxMessageBytes) return std::nullopt;
    absl::StatusOr<std::string> bytes = Read(offset_, length + kAroundBytes);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() < length + kAroundBytes) return std::nullopt;
    if (known_length.has_value()) {
      std::string number;
      AppendNumber(length, &number);
      bytes->replace(kMark.size(), kNumberBytes, number);
    }
    const std::string_view view = *bytes;
    const std::string_view covered = view.substr(0, view.size() - kNumberBytes);
    if (Checksum::Of(covered) != ReadNumber(view.substr(covered.size()))) return std::nullopt;
    JournalRecord record;
    if (!record.ParseFromArray(covered.data() + kHeadBytes, static_cast<int>(length))) {
      return std::nullopt;
    }
    offset_ += view.size();
    return record;
  }

  // Where the next mark is, from `offset` on; the file's end when there is none.
  absl::StatusOr<uint64_t> FindMark(uint64_t offset) {
    while (offset < size_) {
      const absl::StatusOr<std::string> bytes =
          Read(offset, std::min<uint64_t>(size_ - offset, kBufferBytes));
      if (!bytes.ok()) return bytes.status();
      if (const size_t found = bytes->find(kMark); found != std::string::npos) {
        return offset + found;
      }
      if (bytes->size() < kBufferBytes) break;
      // A mark may lie across the boundary.
      offset += bytes->size() - (kMark.size() - 1);
    }
    return size_;
  }

  const ReadableFile& file_;
  const uint64_t size_;
  uint64_t offset_ = 0;
  uint64_t damaged_bytes_ = 0;
  // What begins at offset_ would be longer than the file.
  bool is_cut_short_ = false;
};

}  // namespace

TableJournal::TableJournal(const std::string& data_dir, const std::string& store_id,
                           FileSystem* files)
    : data_dir_(data_dir),
      path_(absl::StrCat(data_dir, "/", kFileName)),
      store_id_(store_id),
      files_(files) {}

std::unique_ptr<TableJournal> TableJournal::Open(const std::string& data_dir,
                                                 const std::string& store_id, FileSystem* files,
                                                 const Replay& replay) {
  std::unique_ptr<TableJournal> journal(new TableJournal(data_dir, store_id, files));
  journal->Read(replay);
  return journal;
}

void TableJournal::Read(const Replay& replay) {
  const absl::Status read = ReadRecords(replay);
  if (read.ok()) return;
  damage_ = std::string(read.message());
  is_unreadable_ = true;
}

absl::Status TableJournal::ReadRecords(const Replay& replay) {
  const auto file = files_->Open(path_);
  if (absl::IsNotFound(file.status())) {
    is_new_ = true;
    return absl::OkStatus();
  }
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  size_ = *size;

  Reader reader(**file, *size);
  bool store_is_named = false;
  for (;;) {
    absl::StatusOr<std::optional<JournalRecord>> record = reader.Next();
    if (!record.ok()) return record.status();
    if (!record->has_value()) break;
    if (!(*record)->store_id().empty()) {
      if ((*record)->store_id() != store_id_) {
        damage_ = absl::StrCat("it is of the store ", (*record)->store_id());
        return absl::OkStatus();
      }
      store_is_named = true;
      continue;
    }
    replay(*std::move(*record));
  }
  if (reader.damaged_bytes() > 0) {
    damage_ = absl::StrCat(reader.damaged_bytes(), " of its ", *size, " bytes cannot be read");
  } else if (!store_is_named) {
    // A new journal takes its place only when it is whole.
    damage_ = "it does not begin as a journal does";
  } else if (reader.offset() < *size) {
    damage_ = absl::StrCat("it ends in the middle of a record, after ", *size - reader.offset(),
                           " of its bytes");
  }
  return absl::OkStatus();
}

absl::Status TableJournal::Prepare(const State& state) {
  if (trusted_ && size_ < rewrite_at_) return absl::OkStatus();
  const absl::Status rewritten = Rewrite(state);
  if (rewritten.ok() || !trusted_) return rewritten;
  // The old file is whole still, and only longer than it need be.
  log::Warn("store", "journal could not be made shorter", {{"error", rewritten}});
  rewrite_at_ = 2 * size_;
  return absl::OkStatus();
}

absl::Status TableJournal::Rewrite(const State& state) {
  if (absl::Status status = KeepDamaged(); !status.ok()) return status;
  const std::string incoming = IncomingPath();
  std::unique_ptr<WritableFile> file;
  uint64_t size = 0;
  absl::Status status = WriteFile(incoming, state, &file, &size);
  if (status.ok()) {
    // From here on the old file may be gone.
    trusted_ = false;
    status = files_->Rename(incoming, path_);
  }
  if (!status.ok()) {
    file.reset();
    RemoveUnfinished(incoming);
    return status;
  }
  server::Failpoint(kRewriteSteps.after_rename);
  file_ = std::move(file);
  size_ = size;
  rewrite_at_ = std::max(kLeastRewriteBytes, 2 * size);
  status = files_->SyncFolder(data_dir_);
  server::Failpoint(kRewriteSteps.after_folder_sync);
  trusted_ = status.ok();
  return status;
}

absl::Status TableJournal::WriteFile(const std::string& path, const State& state,
                                     std::unique_ptr<WritableFile>* file, uint64_t* size) {
  auto created = files_->Create(path);
  if (!created.ok()) return created.status();
  *file = *std::move(created);
  server::Failpoint(kRewriteSteps.before_write);
  std::string buffer;
  const auto write = [&] {
    *size += buffer.size();
    const absl::Status status = (*file)->Append(buffer);
    buffer.clear();
    return status;
  };
  const auto add = [&](const JournalRecord& record) {
    absl::Status status = Encode(record, &buffer);
    if (status.ok() && buffer.size() >= kBufferBytes) status = write();
    return status;
  };
  JournalRecord first;
  first.set_store_id(store_id_);
  absl::Status status = add(first);
  if (status.ok()) status = state(add);
  if (status.ok()) status = write();
  server::Failpoint(kRewriteSteps.after_write);
  if (status.ok()) status = (*file)->Sync();
  server::Failpoint(kRewriteSteps.after_sync);
  return status;
}

// A file of which something could be read is copied, not moved: a crash before the new one has
// taken its place must not leave the store without any.
absl::Status TableJournal::KeepDamaged() {
  if (damage_.empty() || damaged_kept_) return absl::OkStatus();
  const std::string folder = data_dir_ + "/damaged";
  // A file that was moved is not there to be moved again.
  if (damaged_name_.empty()) {
    const auto damaged = files_->List(folder);
    if (!damaged.ok()) return damaged.status();
    std::set<std::string> taken;
    for (const FolderEntry& entry : *damaged) taken.insert(entry.name);
    std::string target = kFileName;
    for (int copy = 2; taken.contains(target); ++copy) target = absl::StrCat(kFileName, ".", copy);
    const std::string path = absl::StrCat(folder, "/", target);
    const absl::Status put = is_unreadable_ ? files_->Rename(path_, path) : CopyTo(path);
    if (!put.ok()) return put;
    damaged_name_ = target;
  }
  if (absl::Status status = files_->SyncFolder(folder); !status.ok()) return status;
  log::Error("store", "damaged file set aside",
             {{"file", kFileName}, {"fault", damage_}, {"to", "damaged/" + damaged_name_}});
  damaged_kept_ = true;
  return absl::OkStatus();
}

absl::Status TableJournal::CopyTo(const std::string& path) {
  const auto from = files_->Open(path_);
  if (!from.ok()) return from.status();
  const std::string incoming = IncomingPath();
  auto to = files_->Create(incoming);
  if (!to.ok()) return to.status();
  std::string buffer(kBufferBytes, '\0');
  absl::Status status;
  for (uint64_t offset = 0; status.ok();) {
    const absl::StatusOr<size_t> got = (*from)->ReadAt(offset, buffer.size(), buffer.data());
    status = got.status();
    if (!status.ok() || *got == 0) break;
    status = (*to)->Append(std::string_view(buffer.data(), *got));
    offset += *got;
  }
  if (status.ok()) status = (*to)->Sync();
  to->reset();
  if (status.ok()) status = files_->Rename(incoming, path);
  if (!status.ok()) RemoveUnfinished(incoming);
  return status;
}

std::string TableJournal::IncomingPath() {
  return absl::StrCat(data_dir_, "/incoming/journal-", next_incoming_++);
}

void TableJournal::RemoveUnfinished(const std::string& path) {
  const absl::Status removed = files_->RemoveFile(path);
  if (!removed.ok() && !absl::IsNotFound(removed)) {
    log::Warn("store", "unfinished journal not removed", {{"error", removed}});
  }
}

absl::Status TableJournal::Append(const std::vector<const JournalRecord*>& records) {
  if (!trusted_) return absl::FailedPreconditionError("the journal is not prepared");
  std::string bytes;
  for (const JournalRecord* record : records) {
    // Nothing is written yet, so this is not a failure of the disk.
    if (absl::Status status = Encode(*record, &bytes); !status.ok()) return status;
  }
  server::Failpoint(kJournalBeforeAppend);
  absl::Status status = file_->Append(bytes);
  server::Failpoint(kJournalAfterAppend);
  if (status.ok()) status = file_->Sync();
  server::Failpoint(kJournalAfterSync);
  size_ += bytes.size();
  trusted_ = status.ok();
  return status;
}

}  // namespace qasino::store
