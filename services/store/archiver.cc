#include "services/store/archiver.h"

#include <prometheus/counter.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/merge/snapshot_builder.h"
#include "services/server/log.h"

namespace qasino::store {
namespace {

// Snapshots that wait, each with a file open for every shard.
constexpr size_t kMaxWaiting = 16;

}  // namespace

Archiver::Archiver(std::unique_ptr<Archive> archive, DataFolder* folder, StoreMetrics* metrics)
    : archive_(std::move(archive)), folder_(folder), metrics_(metrics) {}

absl::StatusOr<std::unique_ptr<Archiver>> Archiver::Create(const std::string& archive_dir,
                                                           const std::string& identity,
                                                           FileSystem* files, DataFolder* folder,
                                                           StoreMetrics* metrics) {
  auto archive = Archive::Open(archive_dir, identity, files);
  if (!archive.ok()) return archive.status();
  std::unique_ptr<Archiver> archiver(new Archiver(*std::move(archive), folder, metrics));
  archiver->thread_ = std::thread([raw = archiver.get()] { raw->Work(); });
  return archiver;
}

Archiver::~Archiver() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

bool Archiver::Has(int64_t generation, int64_t revision) const {
  const absl::StatusOr<int64_t> archived = archive_->Revision(generation);
  return archived.ok() && *archived >= revision;
}

Archiver::SnapshotPtr Archiver::Open(const Catalogue::ManifestPtr& manifest) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->manifest = manifest;
  for (const v1::ShardInfo& shard : manifest->shards()) {
    auto file = folder_->OpenShard(manifest->generation(), shard);
    if (!file.ok()) {
      metrics_->archive_failures->Increment();
      log::Error("store", "snapshot not archived",
                 {{"generation", manifest->generation()}, {"error", file.status()}});
      return nullptr;
    }
    snapshot->files.push_back(*std::move(file));
  }
  return snapshot;
}

void Archiver::AddMissing(const std::vector<Catalogue::ManifestPtr>& manifests) {
  absl::MutexLock lock(&mutex_);
  missing_.insert(missing_.end(), manifests.begin(), manifests.end());
}

void Archiver::Add(const Catalogue::ManifestPtr& manifest) {
  SnapshotPtr snapshot = Open(manifest);
  if (snapshot == nullptr) return;
  std::vector<SnapshotPtr> dropped;
  {
    absl::MutexLock lock(&mutex_);
    // What failed is tried again, before what is newer.
    waiting_.insert(waiting_.begin(), failed_.begin(), failed_.end());
    failed_.clear();
    missing_failed_ = false;
    std::erase_if(waiting_, [&](const SnapshotPtr& waiting) {
      return waiting->manifest->generation() == manifest->generation();
    });
    waiting_.push_back(std::move(snapshot));
    while (waiting_.size() > kMaxWaiting) {
      dropped.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  for (const SnapshotPtr& drop : dropped) {
    metrics_->archive_dropped->Increment();
    log::Error(
        "store", "snapshot not archived: too many wait",
        {{"generation", drop->manifest->generation()}, {"revision", drop->manifest->revision()}});
  }
}

void Archiver::Work() {
  while (true) {
    SnapshotPtr snapshot;
    Catalogue::ManifestPtr missing;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](Archiver* archiver) ABSL_EXCLUSIVE_LOCKS_REQUIRED(archiver->mutex_) {
            return archiver->stopping_ || archiver->HasWork();
          },
          this));
      if (stopping_) return;
      if (!waiting_.empty()) {
        snapshot = std::move(waiting_.front());
        waiting_.pop_front();
      } else {
        missing = std::move(missing_.front());
        missing_.pop_front();
      }
      writing_ = true;
    }
    if (missing != nullptr) snapshot = Open(missing);
    if (snapshot == nullptr) {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
      continue;
    }
    const absl::Status status = Write(*snapshot);
    if (status.ok()) {
      metrics_->archived->Increment();
      log::Info("store", "snapshot archived",
                {{"generation", snapshot->manifest->generation()},
                 {"revision", snapshot->manifest->revision()}});
    } else {
      metrics_->archive_failures->Increment();
      log::Error("store", "snapshot not archived; it is tried again with the next",
                 {{"generation", snapshot->manifest->generation()}, {"error", status}});
    }
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (status.ok()) continue;
    if (missing != nullptr) {
      missing_.push_back(std::move(missing));
      missing_failed_ = true;
      continue;
    }
    failed_.push_back(std::move(snapshot));
    if (failed_.size() > kMaxWaiting) {
      metrics_->archive_dropped->Increment();
      failed_.pop_front();
    }
  }
}

absl::Status Archiver::Write(const Snapshot& snapshot) {
  std::vector<std::shared_ptr<const merge::ShardImage>> images;
  for (size_t i = 0; i < snapshot.files.size(); ++i) {
    auto image = std::make_shared<merge::ShardImage>();
    image->info = snapshot.manifest->shards(static_cast<int>(i));
    const auto size = static_cast<size_t>(image->info.size_bytes());
    image->bytes = std::make_unique<char[]>(size);
    const auto got = snapshot.files[i]->ReadAt(0, size, image->bytes.get());
    if (!got.ok()) return got.status();
    if (*got != size) {
      return absl::DataLossError(absl::StrCat("the file of shard '", image->info.shard_id(),
                                              "' ends after ", *got, " of ", size, " bytes"));
    }
    images.push_back(std::move(image));
  }
  return archive_->Write(*snapshot.manifest, images);
}

void Archiver::Finish(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(
      absl::Condition(
          +[](Archiver* archiver) ABSL_EXCLUSIVE_LOCKS_REQUIRED(archiver->mutex_) {
            return !archiver->HasWork() && !archiver->writing_;
          },
          this),
      deadline);
  const size_t left = waiting_.size() + failed_.size() + missing_.size() + (writing_ ? 1 : 0);
  if (left > 0) log::Error("store", "snapshots not archived", {{"snapshots", left}});
}

}  // namespace qasino::store
