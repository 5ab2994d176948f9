#include "services/store/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "services/server/log.h"
#include "services/store/failpoints.h"

namespace qasino::store {
namespace {

constexpr char kEnding[] = ".sqlite";
constexpr char kUnfinished[] = ".sqlite.tmp";
// SQLite's file format: how a database begins, and where in its first 100 bytes the user
// version is, in 4 bytes with the greatest first.
constexpr std::string_view kMagic("SQLite format 3\0", 16);
constexpr size_t kHeaderBytes = 100;
constexpr size_t kVersionOffset = 60;
constexpr size_t kVersionBytes = 4;

std::string EncodeVersion(int64_t revision) {
  const auto version =
      static_cast<uint32_t>(std::clamp<int64_t>(revision, 0, std::numeric_limits<int32_t>::max()));
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(version >> shift));
  }
  return bytes;
}

int64_t DecodeVersion(std::string_view bytes) {
  uint32_t version = 0;
  for (const char byte : bytes) version = version << 8 | static_cast<unsigned char>(byte);
  return static_cast<int32_t>(version);
}

bool IsUnfinished(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(kUnfinished)) return false;
  const std::string_view number =
      name.substr(1, name.size() - 1 - std::string_view(kUnfinished).size());
  return !number.empty() && std::all_of(number.begin(), number.end(), absl::ascii_isdigit);
}

}  // namespace

Archive::Archive(const std::string& folder, const std::string& identity, FileSystem* files)
    : folder_(folder), identity_(identity), files_(files) {}

absl::StatusOr<std::unique_ptr<Archive>> Archive::Open(const std::string& folder,
                                                       const std::string& identity,
                                                       FileSystem* files) {
  std::string trimmed = folder;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  if (trimmed.empty()) return absl::InvalidArgumentError("the archive's folder has no name");
  if (absl::Status status = CreateFolders(*files, trimmed); !status.ok()) return status;
  std::unique_ptr<Archive> archive(new Archive(trimmed, identity, files));
  if (absl::Status status = archive->RemoveUnfinished(); !status.ok()) return status;
  return archive;
}

absl::Status Archive::RemoveUnfinished() {
  const auto entries = files_->List(folder_);
  if (!entries.ok()) return entries.status();
  for (const FolderEntry& entry : *entries) {
    if (entry.is_folder || !IsUnfinished(entry.name)) continue;
    const absl::Status status = files_->RemoveFile(fmt::format("{}/{}", folder_, entry.name));
    if (!status.ok()) return status;
    log::Info("store", "unfinished file of the archive removed", {{"file", entry.name}});
  }
  return absl::OkStatus();
}

absl::Status Archive::Write(const v1::Manifest& manifest,
                            const std::vector<std::shared_ptr<const merge::ShardImage>>& shards) {
  const std::string path = PathOf(manifest.generation());
  const absl::StatusOr<int64_t> archived = Revision(manifest.generation());
  if (!archived.ok()) return archived.status();
  if (*archived >= manifest.revision()) return SyncFolder();

  merge::ServerFacts facts;
  facts.identity = identity_;
  const absl::StatusOr<merge::BuiltSnapshot> built =
      merge::BuildSnapshot(manifest, shards, facts, /*attachable=*/0);
  if (!built.ok()) return built.status();
  for (const std::string& fault : built->faults) {
    log::Warn("store", "snapshot archived with a fault",
              {{"generation", manifest.generation()}, {"fault", fault}});
  }

  const std::string unfinished =
      fmt::format("{}/.{}{}", folder_, manifest.generation(), kUnfinished);
  // A try that failed may have left it there.
  if (absl::Status status = files_->RemoveFile(unfinished);
      !status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  absl::Status status = WriteFile(unfinished, built->main.view(), manifest.revision());
  if (status.ok()) status = files_->Rename(unfinished, path);
  if (!status.ok()) {
    const absl::Status removed = files_->RemoveFile(unfinished);
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      log::Warn("store", "unfinished file of the archive not removed", {{"error", removed}});
    }
    return status;
  }
  server::Failpoint(kArchiveSteps.after_rename);
  is_synced_ = false;
  status = SyncFolder();
  server::Failpoint(kArchiveSteps.after_folder_sync);
  return status;
}

absl::Status Archive::WriteFile(const std::string& path, std::string_view image, int64_t revision) {
  if (image.size() < kHeaderBytes) return absl::InternalError("the snapshot is no database");
  auto file = files_->Create(path);
  if (!file.ok()) return file.status();
  server::Failpoint(kArchiveSteps.before_write);
  std::string header(image.substr(0, kHeaderBytes));
  header.replace(kVersionOffset, kVersionBytes, EncodeVersion(revision));
  absl::Status status = (*file)->Append(header);
  if (status.ok()) status = (*file)->Append(image.substr(kHeaderBytes));
  server::Failpoint(kArchiveSteps.after_write);
  if (status.ok()) status = (*file)->Sync();
  server::Failpoint(kArchiveSteps.after_sync);
  return status;
}

std::string Archive::PathOf(int64_t generation) const {
  return fmt::format("{}/{}{}", folder_, generation, kEnding);
}

absl::StatusOr<int64_t> Archive::Revision(int64_t generation) const {
  const auto file = files_->Open(PathOf(generation));
  if (absl::IsNotFound(file.status())) return -1;
  if (!file.ok()) return file.status();
  char header[kHeaderBytes];
  const absl::StatusOr<size_t> got = (*file)->ReadAt(0, sizeof header, header);
  if (!got.ok()) return got.status();
  const std::string_view bytes(header, *got);
  if (bytes.size() < kHeaderBytes || !bytes.starts_with(kMagic)) return -1;
  return DecodeVersion(bytes.substr(kVersionOffset, kVersionBytes));
}

absl::Status Archive::SyncFolder() {
  if (is_synced_) return absl::OkStatus();
  const absl::Status status = files_->SyncFolder(folder_);
  is_synced_ = status.ok();
  return status;
}

}  // namespace qasino::store
