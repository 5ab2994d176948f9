#include "services/store/catalogue.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/store/timestamp.h"

namespace qasino::store {
namespace {

// Of a shard in a manifest beside its info's own bytes: tag and length.
constexpr size_t kShardFramingBytes = 8;

// What the store did not make itself.
bool CameIn(const v1::ShardInfo& shard) { return shard.kind() == v1::COLLECTED; }

bool MergedBefore(const v1::ShardInfo& a, const v1::ShardInfo& b) {
  const auto key = [](const v1::ShardInfo& shard) {
    const int place = shard.kind() == v1::PERSISTENT ? 0 : CameIn(shard) ? 1 : 2;
    return std::tuple(place, std::string_view(shard.identity()), shard.sealed_at().seconds(),
                      shard.sealed_at().nanos(), std::string_view(shard.shard_id()));
  };
  return key(a) < key(b);
}

// A clock that is wrong must not hold a generation back for longer than it can last.
absl::Duration OpenFor(const google::protobuf::Duration& duration, absl::Duration until_end) {
  return std::clamp(until_end, absl::ZeroDuration(), absl::Seconds(duration.seconds()));
}

// Puts the last shard to its place among the others, which are in order.
void Sift(google::protobuf::RepeatedPtrField<v1::ShardInfo>& shards) {
  for (int i = shards.size() - 1; i > 0 && MergedBefore(shards[i], shards[i - 1]); --i) {
    shards.SwapElements(i, i - 1);
  }
}

std::string UnknownIdKey(const std::string& identity) { return "/" + identity; }

}  // namespace

Catalogue::Catalogue(const Options& options) : options_(options) {
  auto empty = std::make_shared<v1::Manifest>();
  empty->set_store_id(options_.store_id);
  empty->set_complete(true);
  newest_ = std::move(empty);
}

std::map<std::string, std::string> Catalogue::Missing(Generations::const_iterator at) const {
  std::map<std::string, std::string> missing;
  // Back to the newest earlier generation that no longer waits, then forth again.
  auto from = at;
  while (from != generations_.begin()) {
    --from;
    if (from->second.manifest->revision() > 0) break;
  }
  for (; from != at; ++from) {
    std::set<std::string> last;
    for (const v1::ShardInfo& shard : from->second.manifest->shards()) {
      if (!CameIn(shard)) continue;
      if (shard.last()) last.insert(shard.ingest_id());
      missing.emplace(shard.ingest_id(), shard.identity());
    }
    for (const std::string& ingest_id : last) missing.erase(ingest_id);
  }
  for (const v1::ShardInfo& shard : at->second.manifest->shards()) {
    missing.erase(shard.ingest_id());
  }
  return missing;
}

void Catalogue::Restore(v1::Manifest manifest, const std::vector<std::string>& lost, absl::Time now,
                        absl::Duration until_end, bool made_lost) {
  const int64_t number = manifest.generation();
  std::set<std::string> identities(manifest.missing().begin(), manifest.missing().end());
  identities.insert(lost.begin(), lost.end());
  if ((made_lost || !lost.empty()) && manifest.revision() > 0) {
    manifest.set_revision(manifest.revision() + 1);
  }
  if (!lost.empty() && manifest.revision() > 0) {
    manifest.set_complete(false);
    manifest.clear_missing();
    for (const std::string& identity : identities) manifest.add_missing(identity);
  }

  Generation& generation = generations_[number];
  generation.manifest_bytes = manifest.ByteSizeLong();
  generation.ended =
      std::any_of(manifest.shards().begin(), manifest.shards().end(),
                  [](const v1::ShardInfo& shard) { return CameIn(shard) && !shard.last(); });
  generation.waits_since =
      now + (generation.ended ? absl::ZeroDuration() : OpenFor(manifest.duration(), until_end));
  generation.manifest = std::make_shared<const v1::Manifest>(std::move(manifest));
  if (generation.manifest->revision() == 0) return;
  const auto expected = Missing(generations_.find(number));
  for (const std::string& identity : identities) {
    bool known = false;
    for (const auto& [ingest_id, expected_identity] : expected) {
      if (expected_identity != identity) continue;
      generation.missing.emplace(ingest_id, identity);
      known = true;
    }
    if (!known) generation.missing.emplace(UnknownIdKey(identity), identity);
  }
  if (number >= newest_->generation()) newest_ = generation.manifest;
}

absl::StatusOr<bool> Catalogue::Admit(const v1::ShardInfo& info) const {
  if (const HeldShard held = FindShard(info.generation(), info.shard_id()); held.info != nullptr) {
    if (held.info->xxh3() == info.xxh3() && held.info->size_bytes() == info.size_bytes()) {
      return true;
    }
    return absl::InvalidArgumentError(absl::StrCat("shard '", info.shard_id(), "' of generation ",
                                                   info.generation(),
                                                   " is held already, with other bytes"));
  }
  int announced = 0;
  int waiting = 0;
  int64_t oldest = 0;
  for (auto at = generations_.rbegin(); at != generations_.rend(); ++at) {
    if (at->first == 0) break;
    if (at->second.manifest->revision() == 0) {
      ++waiting;
    } else if (announced < options_.retain) {
      ++announced;
      oldest = at->first;
    }
  }
  const auto found = generations_.find(info.generation());
  if (announced >= options_.retain && info.generation() < oldest && found == generations_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("generation ", info.generation(),
                     " is no longer held; the oldest that is held is ", oldest));
  }
  if (found == generations_.end()) {
    if (waiting >= options_.max_waiting) {
      return absl::ResourceExhaustedError(absl::StrCat(
          waiting, " generations are waiting for their shards already; no more are taken in"));
    }
    return false;
  }
  const Generation& generation = found->second;
  if (static_cast<size_t>(generation.manifest->shards_size()) >= options_.max_shards) {
    return absl::ResourceExhaustedError(absl::StrCat("generation ", info.generation(), " has ",
                                                     options_.max_shards,
                                                     " shards; no more are taken in"));
  }
  if (generation.manifest_bytes + info.ByteSizeLong() + kShardFramingBytes >
      options_.max_manifest_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the catalogues of generation ", info.generation(), "'s shards would have more than the ",
        options_.max_manifest_bytes, " bytes allowed together"));
  }
  return false;
}

void Catalogue::Add(const v1::ShardInfo& info, absl::Time now, absl::Duration until_end) {
  Generation& generation = generations_[info.generation()];
  auto manifest = generation.manifest == nullptr
                      ? std::make_shared<v1::Manifest>()
                      : std::make_shared<v1::Manifest>(*generation.manifest);
  if (generation.manifest == nullptr) {
    manifest->set_store_id(options_.store_id);
    manifest->set_generation(info.generation());
    generation.waits_since = now;
  }
  if (!generation.ended) {
    generation.ended = !info.last();
    generation.waits_since =
        info.last() ? std::max(generation.waits_since, now + OpenFor(info.duration(), until_end))
                    : now;
  }
  // Processes that are told different durations agree on some generations; the
  // longest says when the last of their rows was collected.
  if (info.duration().seconds() > manifest->duration().seconds()) {
    *manifest->mutable_duration() = info.duration();
  }
  auto& shards = *manifest->mutable_shards();
  *shards.Add() = info;
  Sift(shards);
  if (generation.missing.erase(info.ingest_id()) == 0) {
    generation.missing.erase(UnknownIdKey(info.identity()));
  }
  generation.manifest_bytes = manifest->ByteSizeLong();
  generation.manifest = std::move(manifest);
}

bool Catalogue::IsAnnouncedBy(int64_t number, absl::Time now) const {
  const auto found = generations_.find(number);
  if (found == generations_.end()) return false;
  return found->second.manifest->revision() > 0 || IsDue(found, now);
}

std::vector<v1::ShardInfo> Catalogue::SetMade(int64_t number,
                                              const std::vector<v1::ShardInfo>& made) {
  Generation& generation = generations_[number];
  auto manifest = generation.manifest == nullptr
                      ? std::make_shared<v1::Manifest>(*newest_)  // the empty one
                      : std::make_shared<v1::Manifest>(*generation.manifest);
  auto& shards = *manifest->mutable_shards();
  const auto is_made = [&made](const v1::ShardInfo& shard) {
    return std::any_of(made.begin(), made.end(), [&shard](const v1::ShardInfo& each) {
      return each.shard_id() == shard.shard_id();
    });
  };
  auto before = std::make_shared<v1::Manifest>();
  for (int i = shards.size() - 1; i >= 0; --i) {
    if (CameIn(shards[i])) continue;
    if (!is_made(shards[i])) *before->add_shards() = shards[i];
    shards.DeleteSubrange(i, 1);
  }
  for (const v1::ShardInfo& shard : made) {
    *shards.Add() = shard;
    Sift(shards);
  }
  std::vector<v1::ShardInfo> unneeded;
  if (before->shards_size() > 0) {
    if (generation.superseded != nullptr) {
      for (const v1::ShardInfo& shard : generation.superseded->shards()) {
        if (!is_made(shard)) unneeded.push_back(shard);
      }
    }
    generation.superseded = std::move(before);
  }
  generation.manifest_bytes = manifest->ByteSizeLong();
  generation.manifest = std::move(manifest);
  return unneeded;
}

Catalogue::ManifestPtr Catalogue::Update(int64_t number, absl::Time now, absl::Time committed_at) {
  const auto found = generations_.find(number);
  if (found == generations_.end()) return nullptr;
  Generation& generation = found->second;
  const bool announced = generation.manifest->revision() > 0;
  if (!announced) {
    generation.missing = Missing(found);
    if (!IsDue(found, now)) return generation.manifest;
  }
  auto manifest = std::make_shared<v1::Manifest>(*generation.manifest);
  manifest->set_revision(manifest->revision() + 1);
  manifest->set_complete(generation.missing.empty());
  std::set<std::string> identities;
  for (const auto& [ingest_id, identity] : generation.missing) identities.insert(identity);
  manifest->clear_missing();
  for (const std::string& identity : identities) manifest->add_missing(identity);
  SetTimestamp(committed_at, manifest->mutable_committed_at());
  generation.manifest_bytes = manifest->ByteSizeLong();
  generation.manifest = std::move(manifest);
  if (number >= newest_->generation()) newest_ = generation.manifest;
  return generation.manifest;
}

bool Catalogue::IsRipe(Generations::const_iterator at, absl::Time now) const {
  const Generation& generation = at->second;
  if (now >= generation.waits_since + options_.completeness_wait) return true;
  return generation.ended && Missing(at).empty();
}

bool Catalogue::IsDue(Generations::const_iterator at, absl::Time now) const {
  if (at->first == 0) return true;  // there is nobody to wait for
  const auto waits = [](const Generations::value_type& each) {
    return each.first != 0 && each.second.manifest->revision() == 0;
  };
  if (std::any_of(generations_.begin(), at, waits)) return false;
  for (auto later = at; later != generations_.end(); ++later) {
    if (waits(*later) && IsRipe(later, now)) return true;
  }
  return false;
}

std::optional<int64_t> Catalogue::Due(absl::Time now) const {
  for (auto at = generations_.begin(); at != generations_.end(); ++at) {
    if (at->second.manifest->revision() > 0) continue;
    if (IsDue(at, now)) return at->first;
    return std::nullopt;
  }
  return std::nullopt;
}

absl::Time Catalogue::NextDue() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [number, generation] : generations_) {
    if (generation.manifest->revision() > 0) continue;
    next = std::min(next, generation.waits_since + options_.completeness_wait);
  }
  return next;
}

std::vector<int64_t> Catalogue::Retire() {
  std::vector<int64_t> retired;
  int announced = 0;
  for (auto at = generations_.end(); at != generations_.begin();) {
    --at;
    if (announced < options_.retain && (at->first != 0 || announced == 0)) {
      if (at->second.manifest->revision() > 0) ++announced;
    } else {
      retired.push_back(at->first);
      at = generations_.erase(at);
    }
  }
  return retired;
}

int64_t Catalogue::oldest() const {
  for (const auto& [number, generation] : generations_) {
    if (number != 0 && generation.manifest->revision() > 0) return number;
  }
  return 0;
}

Catalogue::ManifestPtr Catalogue::Find(int64_t generation) const {
  const auto found = generations_.find(generation);
  if (found == generations_.end() || found->second.manifest->revision() == 0) return nullptr;
  return found->second.manifest;
}

Catalogue::ManifestPtr Catalogue::Held(int64_t generation) const {
  const auto found = generations_.find(generation);
  return found == generations_.end() ? nullptr : found->second.manifest;
}

Catalogue::HeldShard Catalogue::FindShard(int64_t generation, const std::string& shard_id) const {
  const auto found = generations_.find(generation);
  if (found == generations_.end()) return {};
  for (const v1::ShardInfo& shard : found->second.manifest->shards()) {
    if (shard.shard_id() == shard_id) return {found->second.manifest, &shard};
  }
  if (const ManifestPtr& superseded = found->second.superseded; superseded != nullptr) {
    for (const v1::ShardInfo& shard : superseded->shards()) {
      if (shard.shard_id() == shard_id) return {superseded, &shard};
    }
  }
  return {};
}

std::vector<int64_t> Catalogue::Unfinished() const {
  std::vector<int64_t> unfinished;
  for (const auto& [number, generation] : generations_) {
    const bool waits = generation.manifest->revision() == 0;
    if (number != 0 && (waits || generation.manifest == newest_)) unfinished.push_back(number);
  }
  return unfinished;
}

std::vector<Catalogue::ManifestPtr> Catalogue::List() const {
  std::vector<ManifestPtr> list;
  for (auto at = generations_.rbegin(); at != generations_.rend(); ++at) {
    if (at->first != 0 && at->second.manifest->revision() > 0) list.push_back(at->second.manifest);
  }
  return list;
}

uint64_t Catalogue::held_bytes() const {
  uint64_t bytes = 0;
  for (const auto& [number, generation] : generations_) {
    for (const v1::ShardInfo& shard : generation.manifest->shards()) bytes += shard.size_bytes();
  }
  return bytes;
}

}  // namespace qasino::store
