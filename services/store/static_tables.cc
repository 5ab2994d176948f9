#include "services/store/static_tables.h"

#include <fmt/format.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "services/store/savepoint.h"
#include "services/store/timestamp.h"
#include "services/tables/read_rows.h"
#include "services/tables/write_rows.h"

namespace qasino::store {
namespace {

// What a table takes beside its rows.
constexpr int64_t kTableBytes = 2 * 4096;
constexpr int64_t kColumnBytes = 256;

std::string ColumnList(const v1::TableInfo& info) {
  std::string list;
  for (const v1::ColumnInfo& column : info.columns()) {
    fmt::format_to(std::back_inserter(list), "{}{}", list.empty() ? "" : ", ",
                   sqlite::QuoteName(column.name()));
  }
  return list;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StaticTables>> StaticTables::Create(const KeptLimits& limits) {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  return std::unique_ptr<StaticTables>(new StaticTables(limits, *std::move(database)));
}

const StaticTables::Table* StaticTables::Find(const std::string& name) const {
  const auto number = numbers_.find(absl::AsciiStrToLower(name));
  return number == numbers_.end() ? nullptr : &tables_.at(number->second);
}

StaticTables::Table StaticTables::With(const v1::PutStaticTableRequest& put,
                                       absl::Time time) const {
  Table after;
  if (const Table* before = Find(put.table().name()); before != nullptr) {
    after = *before;
  } else {
    after.info.set_name(put.table().name());
    after.catalogue_bytes =
        static_cast<int64_t>(put.table().name().size()) + KeptLimits::kNameBytes;
  }
  for (const v1::Column& column : put.table().columns()) {
    const bool is_new =
        after.columns.emplace(absl::AsciiStrToLower(column.name()), after.info.columns_size())
            .second;
    if (!is_new) continue;
    v1::ColumnInfo& added = *after.info.add_columns();
    added.set_name(column.name());
    added.set_type(column.type());
    after.catalogue_bytes += static_cast<int64_t>(column.name().size()) + KeptLimits::kNameBytes;
  }
  const int64_t columns = after.info.columns_size();
  after.info.set_rows(tables::RowCount(put.table()));
  after.identity = put.identity();
  after.time = time;
  after.bytes = kTableBytes + kColumnBytes * columns + tables::MostBytes(put.table(), columns);
  return after;
}

void StaticTables::ReservePut(const v1::PutStaticTableRequest& put, Room& room) const {
  const Table after = With(put, {});
  ++room.tables;
  room.bytes += after.bytes;
  room.catalogue_bytes += after.catalogue_bytes;
  // What it replaces.
  ReserveDrop(put.table().name(), room);
}

void StaticTables::ReserveDrop(const std::string& name, Room& room) const {
  const Table* before = Find(name);
  if (before == nullptr) return;
  --room.tables;
  room.bytes -= before->bytes;
  room.catalogue_bytes -= before->catalogue_bytes;
}

absl::Status StaticTables::CheckPut(const v1::PutStaticTableRequest& put,
                                    const Room& pending) const {
  const Table* before = Find(put.table().name());
  const int64_t held = tables() + pending.tables;
  if (before == nullptr && held >= limits_.max_tables) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': there are {} static tables already, which is the limit",
                    put.table().name(), held));
  }
  const Table after = With(put, {});
  if (after.info.columns_size() > limits_.max_columns) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': would have {} columns together with those put before, over the "
                    "limit of {}",
                    put.table().name(), after.info.columns_size(), limits_.max_columns));
  }
  const int64_t names = catalogue_bytes_ + pending.catalogue_bytes -
                        (before == nullptr ? 0 : before->catalogue_bytes);
  if (names + after.catalogue_bytes > limits_.max_catalogue_bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("table '{}': the names of all static tables and their columns would take over "
                    "{} bytes, which is the limit",
                    put.table().name(), limits_.max_catalogue_bytes));
  }
  const int64_t others = bytes_ + pending.bytes - (before == nullptr ? 0 : before->bytes);
  if (others + after.bytes > limits_.max_static_bytes) {
    return absl::ResourceExhaustedError(fmt::format(
        "table '{}': no room for about {} bytes: the other static tables have about {} of at most "
        "{} bytes",
        put.table().name(), after.bytes, others, limits_.max_static_bytes));
  }
  return absl::OkStatus();
}

absl::Status StaticTables::Put(const v1::PutStaticTableRequest& put, absl::Time time) {
  const Table* before = Find(put.table().name());
  Table after = With(put, time);
  const absl::Status status =
      InSavepoint(database_, [&] { return Write(before, after, put.table()); });
  if (!status.ok()) return status;
  shard_.reset();
  bytes_ += after.bytes - (before == nullptr ? 0 : before->bytes);
  catalogue_bytes_ += after.catalogue_bytes - (before == nullptr ? 0 : before->catalogue_bytes);
  const auto [number, is_new] =
      numbers_.emplace(absl::AsciiStrToLower(put.table().name()), next_number_);
  if (is_new) ++next_number_;
  tables_[number->second] = std::move(after);
  return absl::OkStatus();
}

absl::Status StaticTables::Write(const Table* before, const Table& after, const v1::Table& rows) {
  const std::string name = sqlite::QuoteName(after.info.name());
  absl::Status status;
  if (before != nullptr && before->info.columns_size() == after.info.columns_size()) {
    status = database_.Execute(fmt::format("DELETE FROM {}", name));
  } else {
    std::string sql;
    if (before != nullptr) sql = fmt::format("DROP TABLE {};", name);
    fmt::format_to(std::back_inserter(sql), "CREATE TABLE {} (", name);
    for (int i = 0; i < after.info.columns_size(); ++i) {
      fmt::format_to(std::back_inserter(sql), "{}{} {}", i == 0 ? "" : ", ",
                     sqlite::QuoteName(after.info.columns(i).name()),
                     tables::DeclaredType(after.info.columns(i).type()));
    }
    status = database_.Execute(sql + ")");
  }
  if (status.ok()) status = tables::InsertRows(database_, after.info.name(), rows);
  return status;
}

absl::Status StaticTables::CheckDrop(const std::string& name) const {
  if (Find(name) != nullptr) return absl::OkStatus();
  return absl::NotFoundError(fmt::format("there is no static table '{}'", name));
}

absl::Status StaticTables::Drop(const std::string& name) {
  const auto number = numbers_.find(absl::AsciiStrToLower(name));
  if (number == numbers_.end()) return CheckDrop(name);
  const auto table = tables_.find(number->second);
  const absl::Status status =
      database_.Execute(fmt::format("DROP TABLE {}", sqlite::QuoteName(table->second.info.name())));
  if (!status.ok()) return status;
  shard_.reset();
  bytes_ -= table->second.bytes;
  catalogue_bytes_ -= table->second.catalogue_bytes;
  tables_.erase(table);
  numbers_.erase(number);
  return absl::OkStatus();
}

absl::Status StaticTables::WriteState(
    const std::function<absl::Status(const JournalRecord&)>& add) {
  for (const auto& [number, table] : tables_) {
    JournalRecord record;
    v1::PutStaticTableRequest& put = *record.mutable_put_static();
    put.set_identity(table.identity);
    put.mutable_table()->set_name(table.info.name());
    for (const v1::ColumnInfo& info : table.info.columns()) {
      v1::Column& column = *put.mutable_table()->add_columns();
      column.set_name(info.name());
      column.set_type(info.type());
    }
    std::vector<tables::ColumnTarget> targets;
    for (int i = 0; i < put.table().columns_size(); ++i) {
      targets.push_back({i, put.mutable_table()->mutable_columns(i)});
    }
    absl::StatusOr<sqlite::Statement> select =
        database_.Prepare(fmt::format("SELECT {} FROM {} ORDER BY _rowid_", ColumnList(table.info),
                                      sqlite::QuoteName(table.info.name())));
    if (!select.ok()) return select.status();
    if (absl::Status status = tables::ReadRows(*select, targets); !status.ok()) return status;
    SetTimestamp(table.time, record.mutable_time());
    record.set_updates(1);
    if (absl::Status status = add(record); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<KeptShard>> StaticTables::Shard() {
  if (shard_.has_value() || tables_.empty()) return shard_;
  auto writer = KeptShardWriter::Begin(database_);
  if (!writer.ok()) return writer.status();
  for (const auto& [number, table] : tables_) {
    const absl::Status status = (*writer)->AddTable(
        table.info,
        fmt::format("SELECT {} FROM main.{} ORDER BY _rowid_", ColumnList(table.info),
                    sqlite::QuoteName(table.info.name())),
        {{&table.identity, table.info.rows(), 1, table.time}});
    if (!status.ok()) return status;
  }
  absl::StatusOr<KeptShard> shard = (*writer)->Finish(v1::STATIC, 0);
  if (!shard.ok()) return shard.status();
  shard_ = *std::move(shard);
  return shard_;
}

}  // namespace qasino::store
