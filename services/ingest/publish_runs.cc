#include "services/ingest/publish_runs.h"

#include "services/pages/record.h"

namespace qasino::ingest {
namespace {

// What a publish takes, here and in the table, beside its strings.
constexpr int64_t kRunBytes = 192;

}  // namespace

int64_t PublishRuns::BytesOf(std::string_view identity, std::string_view table) {
  return static_cast<int64_t>(2 * identity.size() + table.size()) + kRunBytes;
}

std::optional<uint32_t> PublishRuns::Find(const std::string& identity) const {
  const auto found = identities_.find(identity);
  if (found == identities_.end()) return std::nullopt;
  return found->second;
}

void PublishRuns::BeginUpdates() {
  if (updates_) return;
  updates_ = true;
  last_runs_.reserve(runs_.size());
  for (size_t i = 0; i < runs_.size(); ++i) {
    last_runs_[Key(runs_[i].table, runs_[i].identity)] = i;
  }
}

bool PublishRuns::Extends(uint32_t table, uint32_t identity, int64_t first_rowid) const {
  const auto last = last_runs_.find(Key(table, identity));
  if (last == last_runs_.end()) return false;
  const Run& run = runs_[last->second];
  return run.rows == 0 || run.first_rowid + run.rows == first_rowid;
}

bool PublishRuns::Add(uint32_t table, std::optional<uint32_t> known, const std::string& identity,
                      int64_t first_rowid, int64_t rows, absl::Time now) {
  const uint32_t number = known.value_or(static_cast<uint32_t>(identities_.size()));
  if (!known.has_value()) identities_.emplace(identity, number);
  const uint64_t key = Key(table, number);
  published_.insert(key);
  if (updates_) {
    const auto [last, is_first] = last_runs_.try_emplace(key, runs_.size());
    if (!is_first) {
      Run& run = runs_[last->second];
      if (rows == 0 || Extends(table, number, first_rowid)) {
        if (run.rows == 0) run.first_rowid = first_rowid;
        run.rows += rows;
        run.time = now;
        ++run.publishes;
        return false;
      }
      last->second = runs_.size();
    }
  }
  runs_.push_back({table, number, first_rowid, rows, now});
  return true;
}

absl::Status PublishRuns::AppendTo(pages::PageSpace& space, pages::TablePages& pages,
                                   TableName table_name) const {
  std::vector<const std::string*> identities(identities_.size());
  for (const auto& [identity, number] : identities_) identities[number] = &identity;
  pages::Record record;
  for (const Run& run : runs_) {
    record.AddText(table_name(run.table));
    record.AddText(*identities[run.identity]);
    record.AddInteger(run.first_rowid);
    record.AddInteger(run.rows);
    record.AddInteger(run.publishes);
    record.AddRealColumn(absl::ToDoubleSeconds(run.time - absl::UnixEpoch()));
    if (!space.HasRoom(pages::TablePages::PagesOf(record.size()))) {
      return absl::ResourceExhaustedError("no room for the list of publishes");
    }
    record.AppendTo(space, pages);
  }
  return absl::OkStatus();
}

}  // namespace qasino::ingest
