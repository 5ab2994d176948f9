#include "services/ingest/publish_runs.h"

#include "absl/status/statusor.h"

namespace qasino::ingest {
namespace {

// What a publish takes, here and in the table, beside its strings.
constexpr int64_t kRunBytes = 192;

}  // namespace

absl::Status PublishRuns::CreateTable(sqlite::Database& database) {
  return database.Execute(
      "CREATE TABLE qasino_server_publishes"
      "(tablename TEXT, identity TEXT, first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
      "last_update_epoch REAL)");
}

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
      if (rows == 0 || run.rows == 0 || run.first_rowid + run.rows == first_rowid) {
        if (run.rows == 0) run.first_rowid = first_rowid;
        run.rows += rows;
        run.time = now;
        ++run.publishes;
        if (last->second < written_ && !run.rewrite) {
          run.rewrite = true;
          rewrite_.push_back(last->second);
        }
        return false;
      }
      last->second = runs_.size();
    }
  }
  runs_.push_back({table, number, first_rowid, rows, now});
  return true;
}

absl::Status PublishRuns::Write(sqlite::Database& database, TableName table_name) {
  if (written_ == runs_.size() && rewrite_.empty()) return absl::OkStatus();
  absl::StatusOr<sqlite::Statement> insert = database.Prepare(
      std::string(rewrite_.empty() ? "INSERT" : "INSERT OR REPLACE") +
      " INTO qasino_server_publishes"
      "(_rowid_, tablename, identity, first_rowid, nr_rows, nr_updates, last_update_epoch) "
      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)");
  if (!insert.ok()) return insert.status();
  std::vector<const std::string*> identities(identities_.size());
  for (const auto& [identity, number] : identities_) identities[number] = &identity;
  const auto write = [&](size_t place) {
    Run& run = runs_[place];
    run.rewrite = false;
    insert->BindInteger(1, static_cast<int64_t>(place) + 1);
    insert->BindText(2, table_name(run.table));
    insert->BindText(3, *identities[run.identity]);
    insert->BindInteger(4, run.first_rowid);
    insert->BindInteger(5, run.rows);
    insert->BindInteger(6, run.publishes);
    insert->BindReal(7, absl::ToDoubleSeconds(run.time - absl::UnixEpoch()));
    return insert->Run();
  };
  for (const size_t place : rewrite_) {
    if (absl::Status status = write(place); !status.ok()) return status;
  }
  rewrite_.clear();
  for (; written_ < runs_.size(); ++written_) {
    if (absl::Status status = write(written_); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace qasino::ingest
