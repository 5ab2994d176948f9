#include "services/store/data_folder.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/server/log.h"

namespace qasino::store {
namespace {

constexpr char kManifestMagic[] = "QASINOM1";
constexpr size_t kMagicBytes = 8;
constexpr size_t kNumberBytes = 8;
constexpr size_t kMaxManifestBytes = 64 << 20;
constexpr size_t kStoreIdBytes = 32;
constexpr size_t kMaxStoreIdFileBytes = 64;
constexpr size_t kReadBytes = 1 << 20;
constexpr char kShardEnding[] = ".sqlite";
// No shard_id has a dot.
constexpr char kMadeEnding[] = ".made.sqlite";
constexpr char kNoteEnding[] = ".commit";
constexpr char kManifestName[] = "manifest";

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

std::string EncodeManifest(const v1::Manifest& manifest) {
  std::string bytes(kManifestMagic, kMagicBytes);
  AppendNumber(manifest.ByteSizeLong(), &bytes);
  manifest.AppendToString(&bytes);
  AppendNumber(Checksum::Of(bytes), &bytes);
  return bytes;
}

absl::StatusOr<v1::Manifest> DecodeManifest(std::string_view bytes) {
  constexpr size_t kAround = kMagicBytes + 2 * kNumberBytes;
  if (bytes.size() < kAround) {
    return absl::DataLossError(absl::StrCat("it ends after ", bytes.size(), " bytes"));
  }
  if (bytes.substr(0, kMagicBytes) != std::string_view(kManifestMagic, kMagicBytes)) {
    return absl::DataLossError("it does not begin as a manifest does");
  }
  const uint64_t length = ReadNumber(bytes.substr(kMagicBytes));
  if (length != bytes.size() - kAround) {
    return absl::DataLossError(absl::StrCat("its message should have ", length, " bytes but has ",
                                            bytes.size() - kAround));
  }
  if (Checksum::Of(bytes.substr(0, bytes.size() - kNumberBytes)) !=
      ReadNumber(bytes.substr(bytes.size() - kNumberBytes))) {
    return absl::DataLossError("its checksum is wrong");
  }
  v1::Manifest manifest;
  if (!manifest.ParseFromArray(bytes.data() + kMagicBytes + kNumberBytes,
                               static_cast<int>(length))) {
    return absl::DataLossError("its message cannot be read");
  }
  return manifest;
}

bool IsStoreId(const std::string& text) {
  return text.size() == kStoreIdBytes && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// One digit that is wrong would make all that is held another store's; so there is a checksum.
std::string EncodeStoreId(const std::string& id) {
  return absl::StrCat(id, " ", absl::Hex(Checksum::Of(id), absl::kZeroPad16), "\n");
}

absl::StatusOr<std::string> DecodeStoreId(std::string text) {
  std::string id = text.substr(0, kStoreIdBytes);
  if (!IsStoreId(id)) return absl::DataLossError("it is not 32 hexadecimal digits");
  if (text != EncodeStoreId(id)) return absl::DataLossError("its checksum is wrong");
  return id;
}

absl::StatusOr<std::string> NewStoreId() {
  char random[kStoreIdBytes / 2];
  if (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return absl::InternalError("the system gives no random bytes for the store's id");
  }
  return absl::BytesToHexString(absl::string_view(random, sizeof random));
}

std::string FileName(const v1::ShardInfo& info) {
  return info.shard_id() + (info.kind() == v1::COLLECTED ? kShardEnding : kMadeEnding);
}

}  // namespace

IncomingShard::IncomingShard(DataFolder* folder, v1::ShardInfo info, std::string path,
                             std::unique_ptr<WritableFile> file)
    : folder_(folder), info_(std::move(info)), path_(std::move(path)), file_(std::move(file)) {}

IncomingShard::~IncomingShard() {
  file_.reset();
  if (committed_) return;
  if (const absl::Status status = folder_->files_->RemoveFile(path_); !status.ok()) {
    log::Warn("store", "unfinished shard not removed", {{"error", status}});
  }
}

absl::Status IncomingShard::Append(absl::Span<const std::string_view> pieces) {
  uint64_t more = 0;
  for (const std::string_view piece : pieces) more += piece.size();
  if (more > info_.size_bytes() - size_) {
    return absl::InvalidArgumentError(absl::StrCat("shard '", info_.shard_id(), "' has more than ",
                                                   "the ", info_.size_bytes(),
                                                   " bytes that its info says"));
  }
  server::Failpoint(kShardSteps.before_write);
  if (absl::Status status = file_->AppendPieces(pieces); !status.ok()) return status;
  for (const std::string_view piece : pieces) checksum_.Update(piece);
  size_ += more;
  return absl::OkStatus();
}

absl::Status IncomingShard::Finish() {
  if (size_ != info_.size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat("shard '", info_.shard_id(), "' ended after ",
                                                   size_, " of ", info_.size_bytes(), " bytes"));
  }
  if (checksum_.Digest() != info_.xxh3()) {
    return absl::DataLossError(absl::StrCat("shard '", info_.shard_id(), "' has the checksum ",
                                            absl::Hex(checksum_.Digest(), absl::kZeroPad16),
                                            ", not ", absl::Hex(info_.xxh3(), absl::kZeroPad16),
                                            "; send it again"));
  }
  server::Failpoint(kShardSteps.after_write);
  const absl::Status synced = file_->Sync();
  file_.reset();
  server::Failpoint(kShardSteps.after_sync);
  return synced;
}

DataFolder::DataFolder(std::string path, FileSystem* files)
    : path_(std::move(path)), files_(files) {}

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(const std::string& path,
                                                             FileSystem* files,
                                                             const ShardLimits& limits,
                                                             int64_t latest) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  if (trimmed.empty()) return absl::InvalidArgumentError("the data folder has no name");
  std::unique_ptr<DataFolder> folder(new DataFolder(trimmed, files));
  if (absl::Status status = CreateFolders(*files, trimmed); !status.ok()) return status;
  auto lock = files->Lock(trimmed + "/lock");
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data folder '", trimmed, "' is used by another store"));
  }
  if (!lock.ok()) return lock.status();
  folder->lock_ = *std::move(lock);
  for (const char* name : {"/generations", "/incoming", "/damaged"}) {
    if (absl::Status status = files->CreateFolder(trimmed + name); !status.ok()) return status;
  }
  if (absl::Status status = folder->SyncFolder(trimmed); !status.ok()) return status;
  if (absl::Status status = folder->Recover(limits, latest); !status.ok()) return status;
  return folder;
}

absl::Status DataFolder::Recover(const ShardLimits& limits, int64_t latest) {
  const auto incoming = files_->List(path_ + "/incoming");
  if (!incoming.ok()) return incoming.status();
  for (const FolderEntry& entry : *incoming) {
    // The notes go last: until then another crash must find them.
    if (entry.name.ends_with(kNoteEnding) && !entry.is_folder) {
      unfinished_.insert(entry.name);
      continue;
    }
    const absl::Status removed =
        RemoveAll(*files_, absl::StrCat(path_, "/incoming/", entry.name), entry.is_folder);
    if (!removed.ok()) return removed;
  }
  if (!incoming->empty()) {
    log::Info("store", "unfinished files removed", {{"files", incoming->size()}});
  }

  if (absl::Status status = RecoverStoreId(); !status.ok()) return status;
  auto generations = files_->List(path_ + "/generations");
  if (!generations.ok()) return generations.status();
  for (const FolderEntry& entry : *generations) {
    int64_t number = 0;
    absl::Status status;
    if (!entry.is_folder || !absl::SimpleAtoi(entry.name, &number) || number < 0 ||
        absl::StrCat(number) != entry.name) {
      status = SetAside(absl::StrCat("generations/", entry.name),
                        absl::DataLossError("it is not a generation's folder"));
    } else if (number > latest) {
      status = SetAside(absl::StrCat("generations/", entry.name),
                        absl::FailedPreconditionError(absl::StrCat(
                            "the generation begins after ", latest,
                            ", the latest that this machine's clock allows; is the clock wrong, "
                            "or was it?")));
    } else {
      status = RecoverGeneration(entry.name, limits);
    }
    if (!status.ok()) return status;
  }
  for (const std::string& note : unfinished_) {
    const absl::Status removed = files_->RemoveFile(absl::StrCat(path_, "/incoming/", note));
    if (!removed.ok()) return removed;
  }
  unfinished_.clear();
  std::sort(recovered_.begin(), recovered_.end(), [](const Recovered& a, const Recovered& b) {
    return a.manifest.generation() < b.manifest.generation();
  });
  return absl::OkStatus();
}

absl::Status DataFolder::RecoverStoreId() {
  auto text = ReadWholeFile(*files_, path_ + "/store-id", kMaxStoreIdFileBytes);
  if (text.ok()) text = DecodeStoreId(*std::move(text));
  if (text.ok()) {
    store_id_ = *std::move(text);
    return absl::OkStatus();
  }
  const bool is_missing = absl::IsNotFound(text.status());
  if (!is_missing) {
    if (absl::Status status = SetAside("store-id", text.status()); !status.ok()) return status;
  }
  // The manifests know it too. Only where there are none the store is a new one.
  auto id = StoreIdOfManifests();
  const bool is_new = absl::IsNotFound(id.status());
  if (is_new) id = NewStoreId();
  if (!id.ok()) return id.status();
  absl::Status written = Replace(path_, "store-id", EncodeStoreId(*id), kStoreIdSteps);
  if (!written.ok()) return written;
  store_id_ = *std::move(id);
  if (is_new) {
    log::Info("store", "new store", {{"data_dir", path_}, {"store_id", store_id_}});
  } else {
    log::Warn("store",
              is_missing ? "store-id is missing; taken from the newest manifest"
                         : "store-id taken from the newest manifest",
              {{"file", path_ + "/store-id"}, {"store_id", store_id_}});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> DataFolder::StoreIdOfManifests() const {
  const auto generations = files_->List(path_ + "/generations");
  if (!generations.ok()) return generations.status();
  int64_t newest = -1;
  std::string id;
  for (const FolderEntry& entry : *generations) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(entry.name, &number) || number <= newest) continue;
    const auto bytes = ReadWholeFile(
        *files_, absl::StrCat(GenerationPath(number), "/", kManifestName), kMaxManifestBytes);
    if (!bytes.ok()) continue;
    const auto manifest = DecodeManifest(*bytes);
    if (!manifest.ok() || !IsStoreId(manifest->store_id())) continue;
    newest = number;
    id = manifest->store_id();
  }
  if (newest < 0) return absl::NotFoundError("no whole manifest");
  return id;
}

absl::Status DataFolder::RecoverGeneration(const std::string& name, const ShardLimits& limits) {
  const std::string folder = absl::StrCat("generations/", name);
  int64_t generation = 0;
  if (!absl::SimpleAtoi(name, &generation)) return absl::InternalError(folder);
  const auto entries = files_->List(absl::StrCat(path_, "/", folder));
  if (!entries.ok()) return entries.status();
  if (entries->empty()) {
    // A crash came between making the folder and its first file.
    return files_->RemoveFolder(absl::StrCat(path_, "/", folder));
  }
  auto read = ReadManifest(generation, limits);
  if (absl::IsNotFound(read.status()) &&
      std::all_of(entries->begin(), entries->end(),
                  [&](const FolderEntry& entry) { return IsLeftover(generation, entry); })) {
    log::Info("store", "unfinished generation removed", {{"generation", generation}});
    return RemoveAll(*files_, absl::StrCat(path_, "/", folder), /*is_folder=*/true);
  }
  if (!read.ok()) return SetAside(folder, read.status());

  Recovered recovered;
  recovered.manifest = *std::move(read);
  std::map<std::string, bool> expected = {{kManifestName, true}};
  std::vector<v1::ShardInfo> whole;
  bool came_whole = false;
  for (v1::ShardInfo& shard : *recovered.manifest.mutable_shards()) {
    const std::string file = FileName(shard);
    expected[file] = true;
    const absl::Status fault = CheckShardFile(generation, shard);
    if (fault.ok()) {
      came_whole |= shard.kind() == v1::COLLECTED;
      whole.push_back(std::move(shard));
      continue;
    }
    if (shard.kind() == v1::COLLECTED) {
      recovered.lost.push_back(shard.identity());
    } else {
      recovered.made_lost = true;
    }
    if (absl::IsNotFound(fault)) {
      log::Error("store", "shard is lost", {{"file", folder + "/" + file}, {"fault", fault}});
    } else if (absl::Status status = SetAside(folder + "/" + file, fault); !status.ok()) {
      return status;
    }
  }
  for (const FolderEntry& entry : *entries) {
    if (expected.contains(entry.name)) continue;
    if (IsLeftover(generation, entry)) {
      const absl::Status removed =
          files_->RemoveFile(absl::StrCat(path_, "/", folder, "/", entry.name));
      if (!removed.ok()) return removed;
      log::Info("store", "unfinished files removed", {{"file", folder + "/" + entry.name}});
      continue;
    }
    const absl::Status status = SetAside(absl::StrCat(folder, "/", entry.name),
                                         absl::DataLossError("the manifest does not name it"));
    if (!status.ok()) return status;
  }
  if (generation != 0 && !came_whole) {
    return SetAside(folder, absl::DataLossError("none of its shards is whole"));
  }
  recovered.manifest.clear_shards();
  for (v1::ShardInfo& shard : whole) *recovered.manifest.add_shards() = std::move(shard);
  recovered_.push_back(std::move(recovered));
  return absl::OkStatus();
}

absl::StatusOr<v1::Manifest> DataFolder::ReadManifest(int64_t generation,
                                                      const ShardLimits& limits) const {
  const std::string path = absl::StrCat(GenerationPath(generation), "/", kManifestName);
  const auto bytes = ReadWholeFile(*files_, path, kMaxManifestBytes);
  if (!bytes.ok()) return bytes.status();
  const auto fault = [&](const absl::Status& status) {
    return absl::DataLossError(absl::StrCat("manifest: ", std::string(status.message())));
  };
  auto manifest = DecodeManifest(*bytes);
  if (!manifest.ok()) return fault(manifest.status());
  if (manifest->store_id() != store_id_) {
    return absl::DataLossError("manifest: it is of another store");
  }
  if (manifest->generation() != generation) {
    return absl::DataLossError(
        absl::StrCat("manifest: it is of generation ", manifest->generation()));
  }
  if (manifest->revision() < 0) return absl::DataLossError("manifest: its revision is negative");
  // A limit on size that was lowered since is no damage.
  ShardLimits unlimited = limits;
  unlimited.max_shard_bytes = UINT64_MAX;
  std::set<std::string> ids;
  for (const v1::ShardInfo& shard : manifest->shards()) {
    const bool made = shard.kind() != v1::COLLECTED;
    const absl::Status status =
        made ? CheckMadeInfo(shard, unlimited) : CheckShardInfo(shard, unlimited);
    if (!status.ok()) return fault(status);
    if (made ? shard.generation() > generation : shard.generation() != generation) {
      return absl::DataLossError(absl::StrCat("manifest: shard '", shard.shard_id(),
                                              "' is of generation ", shard.generation()));
    }
    if (!ids.insert(shard.shard_id()).second) {
      return absl::DataLossError(
          absl::StrCat("manifest: shard '", shard.shard_id(), "' is there twice"));
    }
  }
  return manifest;
}

absl::Status DataFolder::CheckShardFile(int64_t generation, const v1::ShardInfo& info) const {
  const auto file = OpenShard(generation, info);
  if (!file.ok()) return file.status();
  const auto size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size != info.size_bytes()) {
    return absl::DataLossError(
        absl::StrCat("it has ", *size, " bytes instead of ", info.size_bytes()));
  }
  Checksum checksum;
  std::string buffer(kReadBytes, '\0');
  for (uint64_t offset = 0; offset < *size;) {
    const auto got = (*file)->ReadAt(offset, buffer.size(), buffer.data());
    if (!got.ok()) return got.status();
    if (*got == 0) return absl::DataLossError(absl::StrCat("it ends after ", offset, " bytes"));
    checksum.Update(std::string_view(buffer.data(), *got));
    offset += *got;
  }
  if (checksum.Digest() != info.xxh3()) return absl::DataLossError("its checksum is wrong");
  return absl::OkStatus();
}

absl::Status DataFolder::SetAside(const std::string& name, const absl::Status& fault) {
  std::string flat = name.starts_with("generations/") ? name.substr(12) : name;
  std::replace(flat.begin(), flat.end(), '/', '-');
  const auto damaged = files_->List(path_ + "/damaged");
  if (!damaged.ok()) return damaged.status();
  std::set<std::string> taken;
  for (const FolderEntry& entry : *damaged) taken.insert(entry.name);
  std::string target = flat;
  for (int copy = 2; taken.contains(target); ++copy) target = absl::StrCat(flat, ".", copy);
  log::Error("store", "damaged file set aside",
             {{"file", name}, {"fault", fault}, {"to", "damaged/" + target}});
  const std::string from = absl::StrCat(path_, "/", name);
  absl::Status status = files_->Rename(from, absl::StrCat(path_, "/damaged/", target));
  if (status.ok()) status = SyncFolder(path_ + "/damaged");
  if (status.ok()) status = SyncFolder(from.substr(0, from.find_last_of('/')));
  return status;
}

absl::Status DataFolder::Writable() const {
  absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status DataFolder::SyncFolder(const std::string& folder) {
  absl::Status status = files_->SyncFolder(folder);
  if (!status.ok()) {
    absl::MutexLock lock(&mutex_);
    if (failure_.ok()) {
      failure_ = absl::InternalError(
          absl::StrCat(std::string(status.message()),
                       "; nothing more is written until the store is started again"));
    }
  }
  return status;
}

std::string DataFolder::IncomingPath() {
  return absl::StrCat(path_, "/incoming/", next_incoming_.fetch_add(1));
}

std::string DataFolder::GenerationPath(int64_t generation) const {
  return absl::StrCat(path_, "/generations/", generation);
}

std::string DataFolder::ShardPath(int64_t generation, const v1::ShardInfo& info) const {
  return absl::StrCat(GenerationPath(generation), "/", FileName(info));
}

absl::StatusOr<std::unique_ptr<IncomingShard>> DataFolder::NewShard(const v1::ShardInfo& info) {
  if (absl::Status status = Writable(); !status.ok()) return status;
  const std::string path = IncomingPath();
  auto file = files_->Create(path);
  if (!file.ok()) return file.status();
  return std::unique_ptr<IncomingShard>(new IncomingShard(this, info, path, *std::move(file)));
}

absl::Status DataFolder::CommitShard(IncomingShard& shard) {
  if (absl::Status status = Writable(); !status.ok()) return status;
  const int64_t generation = shard.info().generation();
  const std::string folder = GenerationPath(generation);
  const std::string target = ShardPath(generation, shard.info());
  // Not synced: what a crash of the machine makes of it costs a line in the log.
  if (absl::Status status = Note(generation, shard.info().shard_id()); !status.ok()) return status;
  absl::Status renamed = files_->Rename(shard.path_, target);
  if (absl::IsNotFound(renamed)) {
    if (absl::Status status = CreateGeneration(generation); !status.ok()) return status;
    renamed = files_->Rename(shard.path_, target);
  }
  if (!renamed.ok()) {
    RemoveNote(generation, shard.info().shard_id());
    return renamed;
  }
  server::Failpoint(kShardSteps.after_rename);
  shard.committed_ = true;
  const absl::Status synced = SyncFolder(folder);
  server::Failpoint(kShardSteps.after_folder_sync);
  return synced;
}

std::string DataFolder::NotePath(int64_t generation, const std::string& shard_id) const {
  return absl::StrCat(path_, "/incoming/", generation, "-", shard_id, kNoteEnding);
}

absl::Status DataFolder::Note(int64_t generation, const std::string& shard_id) {
  const auto note = files_->Create(NotePath(generation, shard_id));
  if (!note.ok() && !absl::IsAlreadyExists(note.status())) return note.status();
  notes_[generation].insert(shard_id);
  return absl::OkStatus();
}

void DataFolder::RemoveNote(int64_t generation, const std::string& shard_id) {
  const absl::Status removed = files_->RemoveFile(NotePath(generation, shard_id));
  if (!removed.ok()) log::Warn("store", "unfinished file not removed", {{"error", removed}});
  notes_[generation].erase(shard_id);
}

void DataFolder::RemoveNotes(int64_t generation) {
  const auto notes = notes_.find(generation);
  if (notes == notes_.end()) return;
  const std::set<std::string> noted = notes->second;
  for (const std::string& shard_id : noted) RemoveNote(generation, shard_id);
  notes_.erase(generation);
}

bool DataFolder::IsLeftover(int64_t generation, const FolderEntry& entry) const {
  if (entry.is_folder) return false;
  if (entry.name.ends_with(kMadeEnding)) return true;
  if (!entry.name.ends_with(kShardEnding)) return false;
  const std::string id = entry.name.substr(0, entry.name.size() - std::strlen(kShardEnding));
  return unfinished_.contains(absl::StrCat(generation, "-", id, kNoteEnding));
}

absl::Status DataFolder::CreateGeneration(int64_t generation) {
  if (absl::Status status = files_->CreateFolder(GenerationPath(generation)); !status.ok()) {
    return status;
  }
  return SyncFolder(path_ + "/generations");
}

void DataFolder::DiscardShard(const v1::ShardInfo& info) {
  // Without certainty about the manifest on the disk, the file it may name stays.
  if (!Writable().ok()) return;
  const std::string path = ShardPath(info.generation(), info);
  if (const absl::Status status = files_->RemoveFile(path); !status.ok()) {
    log::Warn("store", "refused shard not removed", {{"error", status}});
    return;
  }
  RemoveNote(info.generation(), info.shard_id());
}

absl::Status DataFolder::PutMade(int64_t generation, const v1::ShardInfo& info,
                                 std::string_view bytes, std::optional<int64_t> other) {
  if (absl::Status status = Writable(); !status.ok()) return status;
  if (const auto there = files_->List(GenerationPath(generation));
      absl::IsNotFound(there.status())) {
    if (absl::Status status = CreateGeneration(generation); !status.ok()) return status;
  }
  if (other.has_value() && *other != generation) {
    if (files_->Link(ShardPath(*other, info), ShardPath(generation, info)).ok()) {
      server::Failpoint(kMadeAfterLink);
      return SyncFolder(GenerationPath(generation));
    }
  }
  return Replace(GenerationPath(generation), FileName(info), bytes, kMadeSteps);
}

void DataFolder::RemoveMade(int64_t generation, const v1::ShardInfo& info) {
  // Without certainty about the manifest on the disk, the file it may name stays.
  if (!Writable().ok()) return;
  const absl::Status status = files_->RemoveFile(ShardPath(generation, info));
  if (!status.ok() && !absl::IsNotFound(status)) {
    log::Warn("store", "shard that is no longer needed not removed", {{"error", status}});
  }
}

absl::Status DataFolder::Replace(const std::string& folder, const std::string& name,
                                 std::string_view bytes, const FileSteps& steps) {
  if (absl::Status status = Writable(); !status.ok()) return status;
  const std::string path = IncomingPath();
  auto file = files_->Create(path);
  if (!file.ok()) return file.status();
  server::Failpoint(steps.before_write);
  absl::Status status = (*file)->Append(bytes);
  server::Failpoint(steps.after_write);
  if (status.ok()) status = (*file)->Sync();
  file->reset();
  server::Failpoint(steps.after_sync);
  if (status.ok()) status = files_->Rename(path, absl::StrCat(folder, "/", name));
  if (!status.ok()) {
    if (const absl::Status removed = files_->RemoveFile(path); !removed.ok()) {
      log::Warn("store", "unfinished file not removed", {{"error", removed}});
    }
    return status;
  }
  server::Failpoint(steps.after_rename);
  status = SyncFolder(folder);
  server::Failpoint(steps.after_folder_sync);
  return status;
}

absl::Status DataFolder::WriteManifest(const v1::Manifest& manifest) {
  const absl::Status written = Replace(GenerationPath(manifest.generation()), kManifestName,
                                       EncodeManifest(manifest), kManifestSteps);
  if (written.ok()) RemoveNotes(manifest.generation());
  return written;
}

absl::Status DataFolder::Retire(int64_t generation) {
  if (absl::Status status = Writable(); !status.ok()) return status;
  // Under another name first: a crash never leaves a generation without some files.
  const std::string going = IncomingPath();
  server::Failpoint(kRetireBeforeRename);
  absl::Status status = files_->Rename(GenerationPath(generation), going);
  server::Failpoint(kRetireAfterRename);
  if (status.ok()) status = SyncFolder(path_ + "/generations");
  server::Failpoint(kRetireAfterFolderSync);
  if (status.ok()) status = RemoveAll(*files_, going, /*is_folder=*/true);
  server::Failpoint(kRetireAfterRemove);
  return status;
}

absl::StatusOr<std::unique_ptr<ReadableFile>> DataFolder::OpenShard(
    int64_t generation, const v1::ShardInfo& info) const {
  return files_->Open(ShardPath(generation, info));
}

absl::Status DataFolder::Probe() {
  if (absl::Status status = Writable(); !status.ok()) return status;
  const std::string path = IncomingPath();
  auto file = files_->Create(path);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->Append(std::string(64 << 10, 'q'));
  if (status.ok()) status = (*file)->Sync();
  file->reset();
  const absl::Status removed = files_->RemoveFile(path);
  return status.ok() ? removed : status;
}

}  // namespace qasino::store
