#include "services/merge/snapshot_builder.h"

#include <fmt/format.h>

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace qasino::merge {
namespace {

using sqlite::Database;
using sqlite::Statement;

struct InternalTableSchema {
  const char* name;
  std::vector<std::pair<const char*, v1::ColumnType>> columns;
};

// The first six are those of the legacy system, with its column names.
const std::vector<InternalTableSchema>& Internals() {
  static const auto* const kTables = new std::vector<InternalTableSchema>{
      {"qasino_server_info",
       {{"generation_number", v1::INTEGER},
        {"generation_duration_s", v1::INTEGER},
        {"generation_start_epoch", v1::REAL}}},
      {"qasino_server_tables",
       {{"tablename", v1::TEXT},
        {"nr_rows", v1::INTEGER},
        {"nr_updates", v1::INTEGER},
        {"last_update_epoch", v1::REAL},
        {"static", v1::INTEGER}}},
      {"qasino_server_connections",
       {{"identity", v1::TEXT}, {"nr_tables", v1::INTEGER}, {"last_update_epoch", v1::REAL}}},
      {"qasino_server_views",
       {{"viewname", v1::TEXT},
        {"loaded", v1::INTEGER},
        {"errormsg", v1::TEXT},
        {"view", v1::TEXT}}},
      {"qasino_server_sql_stats",
       {{"sql_received", v1::INTEGER},
        {"sql_completed", v1::INTEGER},
        {"sql_errors", v1::INTEGER},
        {"sql_from_cache", v1::INTEGER}}},
      {"qasino_server_update_stats",
       {{"updates_received", v1::INTEGER},
        {"updates_completed", v1::INTEGER},
        {"update_errors", v1::INTEGER},
        {"inserts_received", v1::INTEGER},
        {"inserts_completed", v1::INTEGER}}},
      {"qasino_server_columns",
       {{"tablename", v1::TEXT},
        {"position", v1::INTEGER},
        {"column_name", v1::TEXT},
        {"column_type", v1::TEXT}}},
      {"qasino_server_shards",
       {{"shard_id", v1::TEXT},
        {"identity", v1::TEXT},
        {"kind", v1::TEXT},
        {"nr_tables", v1::INTEGER},
        {"nr_rows", v1::INTEGER},
        {"size_bytes", v1::INTEGER},
        {"sealed_epoch", v1::REAL}}},
      {"qasino_server_generations",
       {{"generation", v1::INTEGER},
        {"revision", v1::INTEGER},
        {"complete", v1::INTEGER},
        {"nr_shards", v1::INTEGER},
        {"size_bytes", v1::INTEGER},
        {"committed_epoch", v1::REAL}}},
  };
  return *kTables;
}

double Epoch(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}

class Builder {
 public:
  Builder(const v1::Manifest& manifest,
          const std::vector<std::shared_ptr<const ShardImage>>& shards, const ServerFacts& facts,
          int attachable, InternalTables internal)
      : manifest_(manifest),
        shards_(shards),
        facts_(facts),
        attachable_(attachable),
        internal_(internal) {}

  absl::StatusOr<BuiltSnapshot> Build() {
    absl::StatusOr<Database> opened = Database::OpenInMemory();
    if (!opened.ok()) return opened.status();
    database_ = *std::move(opened);
    built_.tables = PlanMerge(manifest_, attachable_);
    // The version makes a page: a database without one cannot be serialized.
    absl::Status status = database_.Execute(
        "PRAGMA journal_mode = OFF; PRAGMA temp_store = MEMORY; PRAGMA user_version = 1; BEGIN;"
        "CREATE TEMP TABLE publishes (shard INTEGER, tablename TEXT COLLATE NOCASE, "
        "identity TEXT, first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, "
        "last_update_epoch REAL);"
        "CREATE TEMP TABLE repeated (shard INTEGER, tablename TEXT COLLATE NOCASE, "
        "identity TEXT, first INTEGER, last INTEGER, nr_updates INTEGER);");
    for (auto step : {&Builder::GatherPublishes, &Builder::FindRepeated, &Builder::CopyTables,
                      &Builder::CreateColumnsTables}) {
      if (status.ok()) status = (this->*step)();
    }
    if (internal_ == InternalTables::kFilled) {
      for (auto step : {&Builder::CreateInternal, &Builder::FillConnections, &Builder::FillInfo,
                        &Builder::FillViews, &Builder::FillGenerations, &Builder::FillShards,
                        &Builder::FillColumns, &Builder::FillTables}) {
        if (status.ok()) status = (this->*step)();
      }
    }
    if (status.ok()) status = database_.Execute("COMMIT");
    if (!status.ok()) return status;
    absl::StatusOr<sqlite::Image> image = database_.Serialize();
    if (!image.ok()) return image.status();
    built_.main = *std::move(image);
    return std::move(built_);
  }

 private:
  // Runs `work` with the shard attached as schema "shard". ATTACH does not work inside a
  // transaction, so the one that is open is ended and begun anew around it.
  template <typename Work>
  absl::Status WithShard(int shard, Work work) {
    if (absl::Status status = database_.Execute("COMMIT"); !status.ok()) return status;
    if (absl::Status status = database_.AttachEmpty("shard"); !status.ok()) return status;
    absl::Status status = database_.ReadFrom("shard", shards_[shard]->view());
    if (status.ok()) status = database_.Execute("BEGIN");
    if (status.ok()) status = work();
    if (!status.ok()) {
      return absl::Status(status.code(),
                          fmt::format("shard {}: {}", shards_[shard]->info.shard_id(),
                                      std::string(status.message())));
    }
    return database_.Execute("COMMIT; DETACH shard; BEGIN");
  }

  // temp.publishes: who published what, in all shards.
  absl::Status GatherPublishes() {
    for (int shard = 0; shard < static_cast<int>(shards_.size()); ++shard) {
      if (Kind(shard) == v1::STATIC) continue;
      absl::Status status = WithShard(shard, [this, shard] {
        return database_.Execute(fmt::format(
            "INSERT INTO temp.publishes SELECT {}, tablename, identity, first_rowid, nr_rows, "
            "nr_updates, last_update_epoch FROM shard.qasino_server_publishes",
            shard));
      });
      if (!status.ok()) return status;
    }
    absl::StatusOr<Statement> count =
        database_.Prepare("SELECT count(DISTINCT identity) FROM temp.publishes");
    if (!count.ok()) return count.status();
    if (absl::StatusOr<bool> row = count->Step(); !row.ok()) return row.status();
    built_.publishers = count->Integer(0);
    return absl::OkStatus();
  }

  v1::ShardKind Kind(int shard) const { return manifest_.shards(shard).kind(); }

  // temp.shared: the tables that several shards have, and where.
  absl::StatusOr<bool> FindShared() {
    absl::flat_hash_set<std::string> names;
    for (const MergedTable& table : built_.tables) {
      if (table.sources.size() > 1) names.insert(absl::AsciiStrToLower(table.name));
    }
    if (names.empty()) return false;
    absl::Status status = database_.Execute(
        "CREATE TEMP TABLE shared (tablename TEXT COLLATE NOCASE, shard INTEGER, "
        "updated INTEGER, kind INTEGER, PRIMARY KEY (tablename, shard)) WITHOUT ROWID");
    if (!status.ok()) return status;
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT OR IGNORE INTO temp.shared VALUES (?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    for (int shard = 0; shard < static_cast<int>(shards_.size()); ++shard) {
      for (const v1::TableInfo& table : manifest_.shards(shard).tables()) {
        if (!names.contains(absl::AsciiStrToLower(table.name()))) continue;
        insert->BindText(1, table.name());
        insert->BindInteger(2, shard);
        insert->BindInteger(3, table.updated() ? 1 : 0);
        insert->BindInteger(4, Kind(shard));
        if (status = insert->Run(); !status.ok()) return status;
      }
    }
    return true;
  }

  // The same table from the same identity counts once a generation, also when it came to
  // two ingest processes: the rows in the later shard are left out. But what was put to be
  // carried before this generation is ended by what was published in it; a shard that came
  // late for an older snapshot finds it there still.
  absl::Status FindRepeated() {
    const absl::StatusOr<bool> shared = FindShared();
    if (!shared.ok()) return shared.status();
    if (!*shared) return absl::OkStatus();
    absl::Status status = database_.Execute(fmt::format(
        "CREATE TEMP TABLE runs (shard INTEGER, tablename TEXT COLLATE NOCASE, identity TEXT, "
        "first_rowid INTEGER, nr_rows INTEGER, nr_updates INTEGER, last_update_epoch REAL, "
        "updated INTEGER, kind INTEGER);"
        "INSERT INTO temp.runs SELECT publishes.*, updated, kind FROM temp.publishes "
        "JOIN temp.shared USING (tablename, shard);"
        "CREATE INDEX temp.by_pair ON runs (tablename, identity, shard);"
        "INSERT INTO temp.repeated SELECT shard, tablename, identity, first_rowid, "
        "first_rowid + nr_rows - 1, nr_updates FROM temp.runs AS one WHERE EXISTS ("
        "SELECT 1 FROM temp.runs AS earlier WHERE earlier.tablename = one.tablename "
        "AND earlier.identity = one.identity AND earlier.shard < one.shard "
        "AND NOT (earlier.kind = {1} AND earlier.last_update_epoch < {3} AND one.kind = {2}) "
        "AND (NOT (earlier.updated OR one.updated) "
        "OR (earlier.kind = {0} AND one.kind = {1}))) "
        "OR (one.kind = {1} AND one.last_update_epoch < {3} AND EXISTS ("
        "SELECT 1 FROM temp.runs AS later WHERE later.tablename = one.tablename "
        "AND later.identity = one.identity AND later.shard > one.shard "
        "AND later.kind = {2}));"
        "CREATE INDEX temp.by_row ON repeated (shard, tablename, first) WHERE last >= first;",
        static_cast<int>(v1::RUNNING), static_cast<int>(v1::PERSISTENT),
        static_cast<int>(v1::COLLECTED), manifest_.generation()));
    if (!status.ok()) return status;
    // What is left of each table that has such rows.
    absl::StatusOr<Statement> left = database_.Prepare(
        "SELECT lower(tablename), sum(nr_updates), max(last >= first), "
        "(SELECT max(last_update_epoch) FROM temp.runs WHERE runs.tablename = repeated.tablename "
        "AND NOT EXISTS (SELECT 1 FROM temp.repeated AS gone WHERE gone.shard = runs.shard AND "
        "gone.tablename = runs.tablename AND gone.identity = runs.identity)) "
        "FROM temp.repeated GROUP BY tablename");
    if (!left.ok()) return left.status();
    if (status = database_.Execute(
            "CREATE INDEX temp.by_identity ON repeated (tablename, identity, shard)");
        !status.ok()) {
      return status;
    }
    struct Left {
      int64_t updates_gone = 0;
      bool copy = false;
      double last_update_epoch = 0;
    };
    absl::flat_hash_map<std::string, Left> tables;
    for (;;) {
      absl::StatusOr<bool> row = left->Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      tables[std::string(left->Text(0))] = {left->Integer(1), left->Integer(2) != 0, left->Real(3)};
    }
    for (MergedTable& table : built_.tables) {
      const auto found = tables.find(absl::AsciiStrToLower(table.name));
      if (found == tables.end()) continue;
      if (found->second.copy) table.access = Access::kCopy;
      table.updates -= found->second.updates_gone;
      table.last_update_epoch = found->second.last_update_epoch;
    }
    return absl::OkStatus();
  }

  absl::Status CopyTables() {
    absl::flat_hash_map<int, std::vector<std::pair<MergedTable*, const TableSource*>>> work;
    for (MergedTable& table : built_.tables) {
      if (table.columns_left_out > 0) {
        built_.faults.push_back(fmt::format("table {}: {} columns are left out; a table has {}",
                                            table.name, table.columns_left_out, kMostColumns));
      }
      if (table.access != Access::kCopy) continue;
      if (absl::Status status = database_.Execute(CreateTable(table, "main")); !status.ok()) {
        LeaveOut(table, status);
        continue;
      }
      table.rows = 0;
      for (const TableSource& source : table.sources) {
        work[source.shard].emplace_back(&table, &source);
      }
    }
    for (int shard = 0; shard < static_cast<int>(shards_.size()); ++shard) {
      if (!work.contains(shard)) continue;
      absl::Status status = WithShard(shard, [this, &tables = work[shard]] {
        for (auto [table, source] : tables) {
          if (table->access != Access::kCopy) continue;
          if (absl::Status status = CopyRows(*table, *source); !status.ok()) {
            LeaveOut(*table, status);
          }
        }
        return absl::OkStatus();
      });
      if (!status.ok()) return status;
    }
    for (const MergedTable& table : built_.tables) {
      if (table.access != Access::kLeftOut) continue;
      static_cast<void>(database_.Execute(
          fmt::format("DROP TABLE IF EXISTS main.{}", sqlite::QuoteName(table.name))));
    }
    return absl::OkStatus();
  }

  // One table that cannot be merged must not keep all others from being seen.
  void LeaveOut(MergedTable& table, const absl::Status& status) {
    table.access = Access::kLeftOut;
    table.rows = 0;
    built_.faults.push_back(
        fmt::format("table {} is left out: {}", table.name, std::string(status.message())));
  }

  absl::Status CopyRows(MergedTable& table, const TableSource& source) {
    // The last repeated publish that begins at or before the row must end before it. No
    // column is called _rowid_, because names begin with a letter.
    const std::string sql = fmt::format(
        "INSERT INTO main.{0} {1} WHERE shard.{2}._rowid_ > coalesce("
        "(SELECT last FROM temp.repeated AS gone WHERE gone.shard = {3} AND "
        "gone.tablename = {4} AND gone.first <= shard.{2}._rowid_ AND gone.last >= gone.first "
        "ORDER BY gone.first DESC LIMIT 1), -1)",
        sqlite::QuoteName(table.name), SourceSelect(table, source, "shard"),
        sqlite::QuoteName(source.name), source.shard, sqlite::QuoteText(table.name));
    absl::Status status = database_.Execute(sql);
    if (status.ok()) table.rows += database_.Changes();
    return status;
  }

  absl::Status CreateColumnsTables() {
    for (const MergedTable& table : built_.tables) {
      if (table.access != Access::kView || !LacksColumns(table.sources.front())) continue;
      MergedTable empty = table;
      empty.name = ColumnsTable(table);
      absl::Status status = database_.Execute(CreateTable(empty, "main"));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status CreateInternal() {
    for (const std::string& sql : CreateInternalTables()) {
      if (absl::Status status = database_.Execute(sql); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status FillConnections() {
    // The internal tables are published by the servers that collected the snapshot.
    absl::flat_hash_set<std::string> servers;
    for (const auto& shard : shards_) {
      if (!shard->info.identity().empty()) servers.insert(shard->info.identity());
    }
    if (servers.empty()) servers.insert(facts_.identity);
    absl::StatusOr<Statement> own = database_.Prepare(
        "INSERT INTO temp.publishes (shard, tablename, identity, last_update_epoch) "
        "VALUES (-1, ?, ?, ?)");
    if (!own.ok()) return own.status();
    for (const std::string& server : servers) {
      for (const InternalTableSchema& table : Internals()) {
        own->BindText(1, table.name);
        own->BindText(2, server);
        own->BindReal(3, committed());
        if (absl::Status status = own->Run(); !status.ok()) return status;
      }
    }
    return database_.Execute(
        "INSERT INTO main.qasino_server_connections SELECT identity, count(DISTINCT tablename), "
        "max(last_update_epoch) FROM temp.publishes GROUP BY identity ORDER BY min(rowid)");
  }

  absl::Status FillInfo() {
    v1::IngestCounts sum;
    for (const auto& shard : shards_) {
      const v1::IngestCounts& counts = shard->info.counts();
      sum.set_updates_received(sum.updates_received() + counts.updates_received());
      sum.set_updates_completed(sum.updates_completed() + counts.updates_completed());
      sum.set_update_errors(sum.update_errors() + counts.update_errors());
      sum.set_inserts_received(sum.inserts_received() + counts.inserts_received());
      sum.set_inserts_completed(sum.inserts_completed() + counts.inserts_completed());
    }
    return database_.Execute(
        fmt::format("INSERT INTO main.qasino_server_info VALUES ({}, {}, {});"
                    "INSERT INTO main.qasino_server_sql_stats VALUES ({}, {}, {}, {});"
                    "INSERT INTO main.qasino_server_update_stats VALUES ({}, {}, {}, {}, {});",
                    manifest_.generation(), manifest_.duration().seconds(), manifest_.generation(),
                    facts_.sql_received, facts_.sql_completed, facts_.sql_errors,
                    facts_.sql_from_cache, sum.updates_received(), sum.updates_completed(),
                    sum.update_errors(), sum.inserts_received(), sum.inserts_completed()));
  }

  absl::Status FillViews() {
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT INTO main.qasino_server_views VALUES (?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    for (const ViewFact& view : facts_.views) {
      insert->BindText(1, view.name);
      insert->BindInteger(2, view.loaded ? 1 : 0);
      insert->BindText(3, view.error);
      insert->BindText(4, view.sql);
      if (absl::Status status = insert->Run(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status FillGenerations() {
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT INTO main.qasino_server_generations VALUES (?, ?, ?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    for (const v1::GenerationInfo& generation : facts_.generations) {
      insert->BindInteger(1, generation.generation());
      insert->BindInteger(2, generation.revision());
      insert->BindInteger(3, generation.complete() ? 1 : 0);
      insert->BindInteger(4, generation.shards());
      insert->BindInteger(5, static_cast<int64_t>(generation.size_bytes()));
      insert->BindReal(6, Epoch(generation.committed_at()));
      if (absl::Status status = insert->Run(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status FillShards() {
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT INTO main.qasino_server_shards VALUES (?, ?, ?, ?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    for (const auto& shard : shards_) {
      const v1::ShardInfo& info = shard->info;
      int64_t rows = 0;
      for (const v1::TableInfo& table : info.tables()) rows += table.rows();
      const std::string kind = absl::AsciiStrToLower(v1::ShardKind_Name(info.kind()));
      insert->BindText(1, info.shard_id());
      insert->BindText(2, info.identity());
      insert->BindText(3, kind);
      insert->BindInteger(4, info.tables_size());
      insert->BindInteger(5, rows);
      insert->BindInteger(6, static_cast<int64_t>(info.size_bytes()));
      insert->BindReal(7, Epoch(info.sealed_at()));
      if (absl::Status status = insert->Run(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status FillColumns() {
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT INTO main.qasino_server_columns VALUES (?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    const auto add = [&insert](std::string_view table, int position, std::string_view column,
                               v1::ColumnType type) {
      insert->BindText(1, table);
      insert->BindInteger(2, position);
      insert->BindText(3, column);
      insert->BindText(4, TypeName(type));
      return insert->Run();
    };
    for (const MergedTable& table : built_.tables) {
      int position = 0;
      for (const v1::ColumnInfo& column : table.columns) {
        absl::Status status = add(table.name, position++, column.name(), column.type());
        if (!status.ok()) return status;
      }
    }
    for (const InternalTableSchema& table : Internals()) {
      int position = 0;
      for (const auto& [name, type] : table.columns) {
        absl::Status status = add(table.name, position++, name, type);
        if (!status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  // Last, because it counts the others' rows and its own.
  absl::Status FillTables() {
    absl::StatusOr<Statement> insert =
        database_.Prepare("INSERT INTO main.qasino_server_tables VALUES (?, ?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    const auto add = [&insert](std::string_view name, int64_t rows, int64_t updates, double epoch,
                               bool is_static) {
      insert->BindText(1, name);
      insert->BindInteger(2, rows);
      insert->BindInteger(3, updates);
      insert->BindReal(4, epoch);
      insert->BindInteger(5, is_static ? 1 : 0);
      return insert->Run();
    };
    for (const MergedTable& table : built_.tables) {
      absl::Status status =
          add(table.name, table.rows, table.updates, table.last_update_epoch, table.is_static);
      if (!status.ok()) return status;
    }
    const int64_t tables = static_cast<int64_t>(built_.tables.size() + Internals().size());
    for (const InternalTableSchema& table : Internals()) {
      int64_t rows = tables;
      if (std::string_view(table.name) != "qasino_server_tables") {
        absl::StatusOr<Statement> count =
            database_.Prepare(fmt::format("SELECT count(*) FROM main.{}", table.name));
        if (!count.ok()) return count.status();
        if (absl::StatusOr<bool> row = count->Step(); !row.ok()) return row.status();
        rows = count->Integer(0);
      }
      absl::Status status = add(table.name, rows, 1, committed(), false);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  double committed() const { return Epoch(manifest_.committed_at()); }

  const v1::Manifest& manifest_;
  const std::vector<std::shared_ptr<const ShardImage>>& shards_;
  const ServerFacts& facts_;
  const int attachable_;
  const InternalTables internal_;
  Database database_;
  BuiltSnapshot built_;
};

}  // namespace

std::string ShardSchema(int shard) { return fmt::format("shard{}", shard); }

absl::StatusOr<BuiltSnapshot> BuildSnapshot(
    const v1::Manifest& manifest, const std::vector<std::shared_ptr<const ShardImage>>& shards,
    const ServerFacts& facts, int attachable, InternalTables internal) {
  return Builder(manifest, shards, facts, attachable, internal).Build();
}

std::vector<std::string> CreateInternalTables() {
  std::vector<std::string> statements;
  for (const InternalTableSchema& table : Internals()) {
    std::string sql = fmt::format("CREATE TABLE main.{} (", table.name);
    const char* separator = "";
    for (const auto& [name, type] : table.columns) {
      sql += fmt::format("{}{} {}", separator, name, TypeName(type));
      separator = ", ";
    }
    statements.push_back(sql + ")");
  }
  return statements;
}

bool IsInternalTable(std::string_view name) {
  for (const InternalTableSchema& table : Internals()) {
    if (absl::EqualsIgnoreCase(std::string(name), table.name)) return true;
  }
  return false;
}

}  // namespace qasino::merge
