#include "services/ingest/paged_shard.h"

#include <sqlite3.h>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/ingest/publish_runs.h"
#include "services/ingest/timestamp.h"
#include "services/ingest/updated_tables.h"
#include "services/ingest/validate.h"
#include "services/pages/page_space.h"
#include "services/pages/row_writer.h"
#include "services/pages/schema_writer.h"
#include "services/pages/table_pages.h"
#include "services/sqlite/database.h"
#include "services/tables/write_rows.h"

namespace qasino::ingest {
namespace {

constexpr int64_t kPageSize = 4096;

// Addresses, not memory, that are reserved beside Limits::shard_bytes: what an updated table
// takes is an estimate, and reading a table for its first update takes pages for a while.
constexpr int64_t kSpareBytes = int64_t{256} << 20;

int64_t RunBytes(const v1::PublishRequest& publish) {
  return PublishRuns::BytesOf(publish.identity(), publish.table().name());
}

// A table of the shard.
struct Table {
  uint32_t number;  // from 0, in the order in which they were first seen
  std::string name;
  std::vector<v1::ColumnInfo> columns;
  absl::flat_hash_map<std::string, int> column_numbers;  // lower case; from 0
  int64_t rows = 0;
  int64_t updates = 0;
  absl::Time last_update;
  // It is kept by SQLite, and has no pages of its own.
  bool updated = false;
  pages::TablePages pages;
  int64_t used_pages = 0;
};

class PagedShard : public Shard {
 public:
  PagedShard(const Limits& limits, pages::PageSpace space)
      : limits_(limits), space_(std::move(space)) {}

  absl::StatusOr<PublishEffect> Publish(const v1::PublishRequest& publish, absl::Time now) override;
  bool IsPublished(const v1::PublishRequest& publish) const override;
  absl::StatusOr<SealedShard> Copy() override;
  absl::StatusOr<SealedShard> Seal() override;

 private:
  // How a publish goes into its table.
  struct Fit {
    std::vector<pages::RowWriter::Target> targets;  // of each published column
    std::vector<int> added;                         // published columns that are new
    int64_t catalogue_bytes = 0;                    // of the new names
  };

  Table* FindTable(const std::string& name) const;
  // The parts of Publish: `table` is null when it is new.
  absl::StatusOr<PublishEffect> Insert(const v1::PublishRequest& publish, Table** table);
  absl::StatusOr<PublishEffect> Update(const v1::PublishRequest& publish,
                                       std::optional<uint32_t> identity, Table** table);
  absl::Status InsertIntoPages(const v1::PublishRequest& publish, Table** table);
  absl::Status InsertIntoUpdated(const v1::PublishRequest& publish, Table* table);

  // Finds `fit_`; where the table cannot have the columns, says why.
  absl::Status FindFit(const v1::Table& published, const Table* table);
  // Makes that the table, null when it is new, has the columns of `fit_`.
  void ApplyFit(const v1::Table& published, Table** table);
  // The table's definition with the columns of `fit_`.
  std::string SchemaOfFit(const v1::Table& published, const Table* table) const;

  // An upper bound of what the sealed shard takes, bookkeeping included, and by how much it
  // grows with a publish that takes so many pages.
  int64_t Estimate() const;
  int64_t Growth(const v1::PublishRequest& publish, const Table* table, int64_t pages) const;
  absl::Status NoRoom(const v1::PublishRequest& publish, int64_t growth) const;
  absl::Status CheckRoom(const v1::PublishRequest& publish, const Table* table);

  // Makes the pages a database with just the one table, as it is now. What it takes is the
  // caller's to give back.
  absl::Status WriteOneTable(const Table& table, std::string_view schema);
  // Makes the pages a database with everything.
  absl::Status Write();
  absl::Status WriteTable(pages::SchemaWriter& schema, std::string_view name, std::string_view sql,
                          const pages::TablePages& pages);
  SealedShard Describe(pages::PageSpace space) const;

  const Limits limits_;
  pages::PageSpace space_;
  // Not OK once the shard cannot be relied upon.
  absl::Status health_;

  // Tables have stable addresses.
  std::deque<Table> tables_;
  absl::flat_hash_map<std::string, Table*> tables_by_name_;  // lower case
  // Null until the first update.
  std::unique_ptr<UpdatedTables> updated_;
  PublishRuns runs_;

  // What the tables, and that of the runs, take beside their pages when they are finished.
  int64_t finish_pages_ = 1;
  int64_t catalogue_bytes_ = 0;
  // Memory of the bookkeeping, counted; it is more than its tables take.
  int64_t bookkeeping_bytes_ = 0;

  // Of the publish that is looked at; kept for their memory.
  Fit fit_;
  pages::RowWriter writer_;
};

// Writes CREATE TABLE, column by column.
class TableDefinition {
 public:
  explicit TableDefinition(std::string_view name)
      : sql_(absl::StrCat("CREATE TABLE ", sqlite::QuoteName(name), "(")) {}

  void Add(std::string_view column, v1::ColumnType type) {
    absl::StrAppend(&sql_, is_first_ ? "" : ", ", sqlite::QuoteName(column), " ",
                    tables::DeclaredType(type));
    is_first_ = false;
  }
  void AddAll(const Table& table) {
    for (const v1::ColumnInfo& column : table.columns) Add(column.name(), column.type());
  }
  std::string Finish() && { return std::move(sql_) + ")"; }

 private:
  std::string sql_;
  bool is_first_ = true;
};

Table* PagedShard::FindTable(const std::string& name) const {
  auto found = tables_by_name_.find(name);
  if (found == tables_by_name_.end()) found = tables_by_name_.find(absl::AsciiStrToLower(name));
  return found == tables_by_name_.end() ? nullptr : found->second;
}

bool PagedShard::IsPublished(const v1::PublishRequest& publish) const {
  const Table* const table = FindTable(publish.table().name());
  if (table == nullptr) return false;
  const std::optional<uint32_t> identity = runs_.Find(publish.identity());
  return identity.has_value() && runs_.Contains(table->number, *identity);
}

absl::StatusOr<PublishEffect> PagedShard::Publish(const v1::PublishRequest& publish,
                                                  absl::Time now) {
  if (!health_.ok()) return health_;
  Table* table = FindTable(publish.table().name());
  const std::optional<uint32_t> identity = runs_.Find(publish.identity());
  if (!publish.update() && table != nullptr && identity.has_value() &&
      runs_.Contains(table->number, *identity)) {
    return PublishEffect{.duplicate = true};
  }
  if (!identity.has_value() && runs_.identities() >= limits_.identities_per_shard) {
    return absl::ResourceExhaustedError(
        absl::StrCat("identity ", Quoted(publish.identity()), ": the generation has ",
                     limits_.identities_per_shard, " identities already, which is the limit"));
  }
  if (absl::Status status = FindFit(publish.table(), table); !status.ok()) return status;
  const absl::StatusOr<PublishEffect> effect =
      publish.update() ? Update(publish, identity, &table) : Insert(publish, &table);
  if (updated_ != nullptr && !updated_->health().ok()) health_ = updated_->health();
  if (!effect.ok()) return effect;
  if (runs_.Add(table->number, identity, publish.identity(), table->rows + 1, effect->rows, now)) {
    bookkeeping_bytes_ += RunBytes(publish);
  }
  table->rows += effect->rows;
  ++table->updates;
  table->last_update = now;
  return effect;
}

absl::StatusOr<PublishEffect> PagedShard::Insert(const v1::PublishRequest& publish, Table** table) {
  const absl::Status status = *table != nullptr && (*table)->updated
                                  ? InsertIntoUpdated(publish, *table)
                                  : InsertIntoPages(publish, table);
  if (!status.ok()) return status;
  return PublishEffect{.rows = RowCount(publish.table())};
}

// Whatever can be refused is refused before anything changes.
absl::Status PagedShard::InsertIntoPages(const v1::PublishRequest& publish, Table** table) {
  const v1::Table& published = publish.table();
  if (absl::Status status = writer_.Begin(published, fit_.targets); !status.ok()) return status;
  if (absl::Status status = CheckRoom(publish, *table); !status.ok()) return status;
  ApplyFit(published, table);
  Table& changed = **table;
  const int64_t used = space_.UsedPages();
  finish_pages_ -= changed.pages.FinishPages();
  writer_.AppendTo(space_, changed.pages);
  finish_pages_ += changed.pages.FinishPages();
  changed.used_pages += space_.UsedPages() - used;
  return absl::OkStatus();
}

absl::Status PagedShard::InsertIntoUpdated(const v1::PublishRequest& publish, Table* table) {
  const v1::Table& published = publish.table();
  const auto columns = static_cast<int64_t>(table->columns.size() + fit_.added.size());
  // Each index has at most the same once more.
  const int64_t bytes =
      tables::MostBytes(published, columns) * (1 + tables::kMostKeyIndexes) + RunBytes(publish);
  if (Estimate() + bytes > limits_.shard_bytes) return NoRoom(publish, bytes);
  const std::string schema = fit_.added.empty() ? "" : SchemaOfFit(published, table);
  absl::Status status =
      updated_->Insert({.publish = publish, .name = table->name, .schema = schema},
                       static_cast<size_t>(columns), fit_.targets);
  if (status.ok()) ApplyFit(published, &table);
  return status;
}

absl::StatusOr<PublishEffect> PagedShard::Update(const v1::PublishRequest& publish,
                                                 std::optional<uint32_t> identity, Table** table) {
  const v1::Table& published = publish.table();
  if (updated_ == nullptr) {
    absl::StatusOr<std::unique_ptr<UpdatedTables>> updated = UpdatedTables::Open(limits_);
    if (!updated.ok()) return updated.status();
    updated_ = std::move(*updated);
  }
  runs_.BeginUpdates();
  const bool makes_run = *table == nullptr || !identity.has_value() ||
                         !runs_.Extends((*table)->number, *identity, (*table)->rows + 1);
  // SQLite watches over its own room alone, and an update may take none of it.
  const int64_t bookkeeping = (makes_run ? RunBytes(publish) : 0) + 4 * fit_.catalogue_bytes;
  if (bookkeeping > 0 && Estimate() + bookkeeping > limits_.shard_bytes) {
    return NoRoom(publish, bookkeeping);
  }
  const bool is_new = *table == nullptr || !(*table)->updated;
  const bool has_rows = is_new && *table != nullptr && (*table)->rows > 0;
  const std::string schema =
      is_new || !fit_.added.empty() ? SchemaOfFit(published, *table) : std::string();
  UpdatedTables::Change change = {
      .publish = publish,
      .name = *table == nullptr ? published.name() : (*table)->name,
      .is_new = is_new,
      .schema = schema,
  };
  int64_t room = limits_.shard_bytes - Estimate() + updated_->bytes() - bookkeeping;
  absl::Status status;
  pages::PageSpace::Mark mark;
  if (has_rows) {
    // Its pages are free when all has gone well.
    room += ((*table)->used_pages + (*table)->pages.FinishPages()) * kPageSize;
    mark = space_.TakeMark();
    status = WriteOneTable(**table, schema);
    change.rows = space_.bytes();
  }
  const absl::StatusOr<tables::UpdateEffect> effect =
      status.ok() ? updated_->Update(change, room) : absl::StatusOr<tables::UpdateEffect>(status);
  if (has_rows) space_.ReturnTo(std::move(mark));
  if (!effect.ok()) return effect.status();
  ApplyFit(published, table);
  if (is_new) {
    finish_pages_ -= (*table)->pages.FinishPages();
    (*table)->pages.Release(space_);
    (*table)->used_pages = 0;
    (*table)->updated = true;
  }
  return PublishEffect{.rows = effect->rows_added, .changed = effect->rows_changed};
}

absl::Status PagedShard::FindFit(const v1::Table& published, const Table* table) {
  fit_.targets.clear();
  fit_.added.clear();
  fit_.catalogue_bytes = table == nullptr ? static_cast<int64_t>(published.name().size()) + 32 : 0;
  const int before = table == nullptr ? 0 : static_cast<int>(table->columns.size());
  for (int i = 0; i < published.columns_size(); ++i) {
    const v1::Column& column = published.columns(i);
    int place = -1;
    // Publishers mostly agree about the order.
    if (i < before && table->columns[i].name() == column.name()) {
      place = i;
    } else if (table != nullptr) {
      const auto found = table->column_numbers.find(absl::AsciiStrToLower(column.name()));
      if (found != table->column_numbers.end()) place = found->second;
    }
    if (place >= 0) {
      fit_.targets.push_back({.place = place, .type = table->columns[place].type()});
      continue;
    }
    fit_.targets.push_back(
        {.place = before + static_cast<int>(fit_.added.size()), .type = column.type()});
    fit_.added.push_back(i);
    fit_.catalogue_bytes += static_cast<int64_t>(column.name().size()) + 8;
  }
  if (table == nullptr && static_cast<int64_t>(tables_.size()) >= limits_.tables_per_shard) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()), ": the generation has ",
                     limits_.tables_per_shard, " tables already, which is the limit"));
  }
  if (fit_.catalogue_bytes == 0) return absl::OkStatus();
  const int64_t columns = before + static_cast<int64_t>(fit_.added.size());
  if (columns > limits_.columns_per_table) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()), ": would have ", columns,
                     " columns together with those published before, over the limit of ",
                     limits_.columns_per_table));
  }
  if (catalogue_bytes_ + fit_.catalogue_bytes > limits_.catalogue_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("table ", Quoted(published.name()),
                     ": the names of the generation's tables and columns take over ",
                     limits_.catalogue_bytes, " bytes, which is the limit"));
  }
  return absl::OkStatus();
}

void PagedShard::ApplyFit(const v1::Table& published, Table** table) {
  if (*table == nullptr) {
    Table& made = tables_.emplace_back();
    made.number = static_cast<uint32_t>(tables_.size()) - 1;
    made.name = published.name();
    tables_by_name_[absl::AsciiStrToLower(made.name)] = &made;
    finish_pages_ += made.pages.FinishPages();
    *table = &made;
  }
  for (const int i : fit_.added) {
    const v1::Column& column = published.columns(i);
    (*table)->column_numbers.emplace(absl::AsciiStrToLower(column.name()),
                                     static_cast<int>((*table)->columns.size()));
    v1::ColumnInfo& info = (*table)->columns.emplace_back();
    info.set_name(column.name());
    info.set_type(column.type());
  }
  catalogue_bytes_ += fit_.catalogue_bytes;
  bookkeeping_bytes_ += 4 * fit_.catalogue_bytes;
}

std::string PagedShard::SchemaOfFit(const v1::Table& published, const Table* table) const {
  TableDefinition definition(table == nullptr ? published.name() : table->name);
  if (table != nullptr) definition.AddAll(*table);
  for (const int i : fit_.added) {
    definition.Add(published.columns(i).name(), published.columns(i).type());
  }
  return std::move(definition).Finish();
}

int64_t PagedShard::Estimate() const {
  const int64_t updated = updated_ == nullptr ? 0 : updated_->bytes();
  return (space_.UsedPages() + finish_pages_) * kPageSize + bookkeeping_bytes_ + updated;
}

int64_t PagedShard::Growth(const v1::PublishRequest& publish, const Table* table,
                           int64_t pages) const {
  const pages::TablePages none;
  const int64_t finish = table == nullptr
                             ? none.FinishPages(pages)
                             : table->pages.FinishPages(pages) - table->pages.FinishPages();
  return (pages + finish) * kPageSize + RunBytes(publish) + 4 * fit_.catalogue_bytes;
}

absl::Status PagedShard::NoRoom(const v1::PublishRequest& publish, int64_t growth) const {
  return absl::ResourceExhaustedError(absl::StrCat("table ", Quoted(publish.table().name()),
                                                   ": no room for about ", growth,
                                                   " bytes: the generation has about ", Estimate(),
                                                   " of at most ", limits_.shard_bytes, " bytes"));
}

// By bounds that cost nothing; only where these are too high the rows are looked at.
absl::Status PagedShard::CheckRoom(const v1::PublishRequest& publish, const Table* table) {
  const auto row_limit = static_cast<size_t>(limits_.bytes_per_row);
  int64_t growth = Growth(publish, table, writer_.MostPages());
  if (writer_.MostRecordBytes() <= row_limit && Estimate() + growth <= limits_.shard_bytes) {
    return absl::OkStatus();
  }
  const pages::RowWriter::Measured measured =
      writer_.Measure(table == nullptr ? pages::TablePages() : table->pages, row_limit);
  if (measured.row < writer_.rows()) {
    return sqlite::ToStatus(
        SQLITE_TOOBIG, nullptr,
        absl::StrCat("table ", Quoted(publish.table().name()), ": row ", measured.row + 1));
  }
  growth = Growth(publish, table, measured.pages);
  if (Estimate() + growth <= limits_.shard_bytes) return absl::OkStatus();
  return NoRoom(publish, growth);
}

absl::Status PagedShard::WriteOneTable(const Table& table, std::string_view schema) {
  pages::SchemaWriter writer;
  absl::Status status = WriteTable(writer, table.name, schema, table.pages);
  if (status.ok()) writer.FinishForReading(space_);
  return status;
}

absl::Status PagedShard::WriteTable(pages::SchemaWriter& schema, std::string_view name,
                                    std::string_view sql, const pages::TablePages& pages) {
  if (!space_.HasRoom(pages.FinishPages() + pages::SchemaWriter::PagesOf(name, sql) +
                      schema.FinishPages())) {
    return absl::ResourceExhaustedError("no room for the shard's schema");
  }
  schema.Add(space_, name, sql, pages.Finish(space_));
  return absl::OkStatus();
}

absl::Status PagedShard::Write() {
  UpdatedTables::Rows updated;
  if (updated_ != nullptr) {
    absl::StatusOr<UpdatedTables::Rows> copied = updated_->CopyRows();
    if (!copied.ok()) return copied.status();
    updated = std::move(*copied);
  }
  pages::SchemaWriter schema;
  pages::TablePages runs;
  absl::Status status = runs_.AppendTo(
      space_, runs, [this](uint32_t table) -> std::string_view { return tables_[table].name; });
  if (status.ok()) status = WriteTable(schema, PublishRuns::kTable, PublishRuns::kSchema, runs);
  for (const Table& table : tables_) {
    if (!status.ok()) return status;
    TableDefinition definition(table.name);
    definition.AddAll(table);
    const std::string sql = std::move(definition).Finish();
    if (table.updated) {
      pages::TablePages rows;
      status = updated.AppendTo(space_, rows, table.name);
      if (status.ok()) status = WriteTable(schema, table.name, sql, rows);
    } else {
      status = WriteTable(schema, table.name, sql, table.pages);
    }
  }
  if (status.ok()) schema.Finish(space_);
  return status;
}

SealedShard PagedShard::Describe(pages::PageSpace space) const {
  auto owner = std::make_shared<const pages::PageSpace>(std::move(space));
  SealedShard sealed;
  sealed.info.set_format(v1::SQLITE3);
  sealed.info.set_publishers(runs_.identities());
  sealed.info.mutable_tables()->Reserve(static_cast<int>(tables_.size()));
  for (const Table& table : tables_) {
    v1::TableInfo& entry = *sealed.info.add_tables();
    entry.set_name(table.name);
    entry.mutable_columns()->Assign(table.columns.begin(), table.columns.end());
    entry.set_rows(table.rows);
    entry.set_updates(table.updates);
    entry.set_updated(table.updated);
    if (table.updates > 0) SetTimestamp(table.last_update, entry.mutable_last_update());
  }
  sealed.bytes = owner->bytes();
  sealed.owner = std::move(owner);
  sealed.info.set_size_bytes(sealed.bytes.size());
  sealed.info.set_xxh3(XXH3_64bits(sealed.bytes.data(), sealed.bytes.size()));
  return sealed;
}

absl::StatusOr<SealedShard> PagedShard::Copy() {
  if (!health_.ok()) return health_;
  // What it takes to finish the pages is given back.
  pages::PageSpace::Mark mark = space_.TakeMark();
  const absl::Status status = Write();
  absl::StatusOr<pages::PageSpace> copy =
      status.ok() ? space_.Copy() : absl::StatusOr<pages::PageSpace>(status);
  space_.ReturnTo(std::move(mark));
  if (!copy.ok()) return copy.status();
  return Describe(std::move(*copy));
}

absl::StatusOr<SealedShard> PagedShard::Seal() {
  absl::Status status = health_;
  if (status.ok()) status = Write();
  health_ = absl::FailedPreconditionError("the shard is sealed");
  updated_ = nullptr;
  pages::PageSpace space = std::move(space_);
  if (!status.ok()) return status;
  space.Trim();
  return Describe(std::move(space));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Shard>> OpenPagedShard(const Limits& limits) {
  absl::StatusOr<pages::PageSpace> space =
      pages::PageSpace::Reserve((limits.shard_bytes + kSpareBytes) / kPageSize);
  if (!space.ok()) return space.status();
  return std::make_unique<PagedShard>(limits, std::move(*space));
}

}  // namespace qasino::ingest
