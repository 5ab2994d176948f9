#include "services/store/kept_shard.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "services/server/log.h"
#include "services/store/checksum.h"
#include "services/store/timestamp.h"
#include "services/tables/write_rows.h"

namespace qasino::store {
namespace {

absl::StatusOr<std::string> NewShardId(v1::ShardKind kind) {
  char random[12];
  if (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return absl::InternalError("the system gives no random bytes for a shard's id");
  }
  return fmt::format("{}-{}", absl::AsciiStrToLower(v1::ShardKind_Name(kind)),
                     absl::BytesToHexString(absl::string_view(random, sizeof random)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeptShardWriter>> KeptShardWriter::Begin(
    sqlite::Database& database) {
  if (absl::Status status = database.AttachEmpty("shard"); !status.ok()) return status;
  std::unique_ptr<KeptShardWriter> writer(new KeptShardWriter(database));
  absl::Status status = database.Execute(
      "CREATE TABLE shard.qasino_server_publishes (tablename TEXT, identity TEXT, "
      "first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, last_update_epoch REAL)");
  if (!status.ok()) return status;
  return writer;
}

KeptShardWriter::~KeptShardWriter() {
  if (const absl::Status status = database_.Execute("DETACH shard"); !status.ok()) {
    log::Error("store", "shard not detached", {{"error", status}});
  }
}

absl::Status KeptShardWriter::AddTable(v1::TableInfo info, const std::string& select,
                                       const std::vector<Run>& runs) {
  const std::string name = sqlite::QuoteName(info.name());
  std::string sql = fmt::format("CREATE TABLE shard.{} (", name);
  for (int i = 0; i < info.columns_size(); ++i) {
    fmt::format_to(std::back_inserter(sql), "{}{} {}", i == 0 ? "" : ", ",
                   sqlite::QuoteName(info.columns(i).name()),
                   tables::DeclaredType(info.columns(i).type()));
  }
  absl::Status status = database_.Execute(sql + ")");
  if (status.ok()) {
    status = database_.Execute(fmt::format("INSERT INTO shard.{} {}", name, select));
  }
  if (!status.ok()) return status;
  const int64_t copied = database_.Changes();

  absl::StatusOr<sqlite::Statement> insert = database_.Prepare(
      "INSERT INTO shard.qasino_server_publishes VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
  if (!insert.ok()) return insert.status();
  int64_t rows = 0;
  int64_t updates = 0;
  absl::Time last_update = absl::InfinitePast();
  for (const Run& run : runs) {
    insert->BindText(1, info.name());
    insert->BindText(2, *run.identity);
    insert->BindInteger(3, rows + 1);
    insert->BindInteger(4, run.rows);
    insert->BindInteger(5, run.updates);
    insert->BindReal(6, absl::ToDoubleSeconds(run.last_update - absl::UnixEpoch()));
    if (status = insert->Run(); !status.ok()) return status;
    rows += run.rows;
    updates += run.updates;
    last_update = std::max(last_update, run.last_update);
    identities_.insert(*run.identity);
  }
  if (rows != copied) {
    return absl::InternalError(
        fmt::format("table '{}' has {} rows, but {} have an owner", info.name(), copied, rows));
  }
  info.set_rows(rows);
  info.set_updates(updates);
  if (!runs.empty()) SetTimestamp(last_update, info.mutable_last_update());
  last_change_ = std::max(last_change_, last_update);
  *info_.add_tables() = std::move(info);
  return absl::OkStatus();
}

absl::StatusOr<KeptShard> KeptShardWriter::Finish(v1::ShardKind kind, int64_t generation) {
  absl::StatusOr<std::string> id = NewShardId(kind);
  if (!id.ok()) return id.status();
  absl::StatusOr<sqlite::Image> image = database_.Serialize("shard");
  if (!image.ok()) return image.status();
  KeptShard shard;
  shard.bytes = std::make_shared<const sqlite::Image>(*std::move(image));
  info_.set_shard_id(*std::move(id));
  info_.set_generation(generation);
  info_.set_kind(kind);
  info_.set_format(v1::SQLITE3);
  info_.set_size_bytes(shard.bytes->size());
  info_.set_xxh3(Checksum::Of(shard.bytes->view()));
  info_.set_publishers(static_cast<int64_t>(identities_.size()));
  if (last_change_ > absl::InfinitePast()) SetTimestamp(last_change_, info_.mutable_sealed_at());
  shard.info = std::move(info_);
  return shard;
}

}  // namespace qasino::store
