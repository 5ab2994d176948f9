#include "services/store/persistent_tables.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "services/server/log.h"
#include "services/store/kept_limits.h"
#include "services/store/savepoint.h"
#include "services/store/timestamp.h"
#include "services/tables/read_rows.h"
#include "services/tables/write_rows.h"

namespace qasino::store {
namespace {

using sqlite::QuoteName;

// No published name begins so.
constexpr char kOwner[] = "_owner";
// More than so many new columns are added by writing the table anew: SQLite reads the whole
// schema again for each that is added.
constexpr size_t kMostAlterations = 8;
constexpr int64_t kPairBytes = 256;
constexpr int64_t kTableBytes = 1'024;
// Memory that is free in the database and worth the work of giving it back.
constexpr int64_t kLeastFreeBytes = 1 << 20;

std::string Lower(const std::string& name) { return absl::AsciiStrToLower(name); }

int64_t NameBytes(const std::string& name) {
  return static_cast<int64_t>(name.size()) + KeptLimits::kNameBytes;
}

template <typename State>
int64_t BytesOf(const State& pair) {
  return kPairBytes + 2 * static_cast<int64_t>(pair.identity.size()) +
         static_cast<int64_t>(pair.columns.size() * sizeof(int));
}

// Of ascending numbers.
std::vector<int> Union(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> result;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

std::vector<int> Without(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> result;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PersistentTables>> PersistentTables::Create() {
  absl::StatusOr<sqlite::Database> database = sqlite::Database::OpenInMemory();
  if (!database.ok()) return database.status();
  return std::unique_ptr<PersistentTables>(new PersistentTables(*std::move(database)));
}

std::shared_ptr<PersistentTables::Table> PersistentTables::Find(const std::string& name) const {
  const auto number = numbers_.find(Lower(name));
  return number == numbers_.end() ? nullptr : tables_.at(number->second);
}

absl::Status PersistentTables::Put(const v1::PutPersistentTableRequest& put, absl::Time time,
                                   const Restored* restored) {
  if (absl::Status status = CheckTrial(); !status.ok()) return status;
  std::shared_ptr<Table> table = Find(put.table().name());
  const bool is_new_table = table == nullptr;
  if (is_new_table) {
    table = std::make_shared<Table>();
    table->name = put.table().name();
    if (restored != nullptr && restored->columns != nullptr) {
      for (const v1::ColumnInfo& info : *restored->columns) {
        table->column_numbers[Lower(info.name())] = table->next_column;
        table->columns[table->next_column++] = {.name = info.name(), .type = info.type()};
      }
    }
  }
  const auto known = table->pair_numbers.find(put.identity());
  const bool is_new_pair = known == table->pair_numbers.end();
  const int64_t number = is_new_pair ? next_pair_ : known->second;
  const PairState* before = is_new_pair ? nullptr : &table->pairs.at(number);
  const tables::ExtraColumn owner{kOwner, number};
  const std::string name = QuoteName(table->name);

  const Plan plan = MakePlan(*table, before, put);
  Stored stored;
  std::vector<int> filled;
  const absl::Status status = InSavepoint(database_, [&] {
    absl::Status status;
    if (!put.update() && !is_new_pair) {
      status = database_.Execute(fmt::format("DELETE FROM {} WHERE {} = {}", name, kOwner, number));
    }
    if (status.ok()) status = FitSchema(*table, plan, &stored);
    const size_t pairs = table->pairs.size() + (is_new_pair ? 1 : 0);
    if (status.ok() && pairs > 1 && !stored.owners_are_indexed) {
      // One pair alone owns all rows; there may be very many such tables.
      status = IndexOwners(*table);
      stored.owners_are_indexed = true;
    }
    if (!status.ok()) return status;
    if (!put.update()) return tables::InsertRows(database_, table->name, put.table(), owner);
    bool changed = false;
    status = Update(*table, put, number, &changed);
    if (!status.ok() || !changed) return status;
    // Of rows that others had it has now all columns, not only those that it named.
    std::vector<int> columns = plan.numbers;
    if (!is_new_pair) {
      columns.insert(columns.end(), before->columns.begin(), before->columns.end());
    }
    absl::StatusOr<std::vector<int>> found = FilledColumns(*table, number, columns);
    if (found.ok()) filled = *std::move(found);
    return found.status();
  });
  if (!status.ok()) return status;

  database_bytes_.reset();
  if (is_new_pair) ++next_pair_;
  if (is_new_table) SetTable(next_table_++, table);
  SetStored(*table, std::move(stored));
  PairState after;
  if (!is_new_pair) after = *before;
  if (!put.update()) {
    Count(*table, after.columns, -1);
    after.columns.clear();
  }
  for (const auto& [column_number, column] : plan.added) {
    SetColumn(*table, column_number, column);
    table->next_column = std::max(table->next_column, column_number + 1);
  }
  const std::vector<int> more = Without(Union(plan.numbers, filled), after.columns);
  Count(*table, more, 1);
  after.identity = put.identity();
  after.columns = Union(after.columns, more);
  after.generation = std::max(after.generation, put.generation());
  after.updates = restored != nullptr ? restored->updates : put.update() ? after.updates + 1 : 1;
  after.updated = restored != nullptr ? restored->updated : put.update();
  after.time = time;
  SetPair(*table, number, std::move(after));
  return absl::OkStatus();
}

PersistentTables::Plan PersistentTables::MakePlan(const Table& table, const PairState* pair,
                                                  const v1::PutPersistentTableRequest& put) {
  Plan plan;
  // What is replaced takes those columns with it that nobody else has.
  absl::flat_hash_set<int> gone;
  if (pair != nullptr && !put.update()) {
    for (const int number : pair->columns) {
      if (table.columns.at(number).pairs == 1) gone.insert(number);
    }
  }
  for (const auto& [number, column] : table.columns) {
    if (!gone.contains(number)) plan.kept.push_back(number);
  }
  int next = table.next_column;
  for (const v1::Column& column : put.table().columns()) {
    const auto known = table.column_numbers.find(Lower(column.name()));
    if (known != table.column_numbers.end() && !gone.contains(known->second)) {
      plan.numbers.push_back(known->second);
      continue;
    }
    plan.added[next] = {.name = column.name(), .type = column.type()};
    plan.numbers.push_back(next++);
  }
  std::sort(plan.numbers.begin(), plan.numbers.end());
  return plan;
}

absl::Status PersistentTables::FitSchema(const Table& table, const Plan& plan, Stored* stored) {
  *stored = table.stored;
  bool conflict = false;
  std::vector<const Column*> missing;
  for (const auto& [number, column] : plan.added) {
    const auto known = stored->columns.find(Lower(column.name));
    if (known == stored->columns.end()) {
      missing.push_back(&column);
    } else if (known->second != column.type) {
      conflict = true;
    }
  }
  absl::Status status;
  const bool fits = missing.size() <= kMostAlterations &&
                    static_cast<int64_t>(stored->columns.size() + missing.size()) <= kMostColumns;
  if (!stored->columns.empty() && fits && !conflict) {
    for (const Column* column : missing) {
      status = database_.Execute(fmt::format("ALTER TABLE {} ADD COLUMN {} {}",
                                             QuoteName(table.name), QuoteName(column->name),
                                             tables::DeclaredType(column->type)));
      if (!status.ok()) return status;
      stored->columns[Lower(column->name)] = column->type;
    }
    return absl::OkStatus();
  }
  status = stored->columns.empty() ? CreateStored(table, plan, table.name) : Rebuild(table, plan);
  *stored = {};
  for (const int number : plan.kept) {
    const Column& column = table.columns.at(number);
    stored->columns[Lower(column.name)] = column.type;
  }
  for (const auto& [number, column] : plan.added) {
    stored->columns[Lower(column.name)] = column.type;
  }
  return status;
}

absl::Status PersistentTables::CreateStored(const Table& table, const Plan& plan,
                                            const std::string& name) {
  std::string sql = fmt::format("CREATE TABLE {} (", QuoteName(name));
  const auto add = [&sql](const Column& column) {
    fmt::format_to(std::back_inserter(sql), "{} {}, ", QuoteName(column.name),
                   tables::DeclaredType(column.type));
  };
  for (const int number : plan.kept) add(table.columns.at(number));
  for (const auto& [number, column] : plan.added) add(column);
  return database_.Execute(fmt::format("{}{} INTEGER)", sql, kOwner));
}

absl::Status PersistentTables::Rebuild(const Table& table, const Plan& plan) {
  absl::Status status = CreateStored(table, plan, "_rebuilt");
  if (!status.ok()) return status;
  std::string columns;
  for (const int number : plan.kept) {
    fmt::format_to(std::back_inserter(columns), "{}, ", QuoteName(table.columns.at(number).name));
  }
  return database_.Execute(
      fmt::format("INSERT INTO _rebuilt ({0}{1}) SELECT {0}{1} FROM {2} ORDER BY _rowid_;"
                  "DROP TABLE {2}; ALTER TABLE _rebuilt RENAME TO {2}",
                  columns, kOwner, QuoteName(table.name)));
}

absl::Status PersistentTables::IndexOwners(const Table& table) {
  return database_.Execute(fmt::format("CREATE INDEX {} ON {} ({})",
                                       QuoteName(fmt::format("{}.{}", kOwner, Lower(table.name))),
                                       QuoteName(table.name), kOwner));
}

absl::Status PersistentTables::Update(const Table& table, const v1::PutPersistentTableRequest& put,
                                      int64_t number, bool* changed) {
  const auto update = [&] {
    return tables::UpdateRows(database_, table.name, put.table(), put.keycols(), {kOwner, number});
  };
  absl::StatusOr<tables::UpdateEffect> effect = update();
  if (absl::IsResourceExhausted(effect.status()) && InTransaction()) {
    // There may be too many key indexes, each of which can be made again.
    if (absl::Status status = DropKeyIndexes(table); !status.ok()) return status;
    effect = update();
  }
  if (effect.ok()) *changed = effect->rows_changed > 0;
  return effect.status();
}

absl::Status PersistentTables::DropKeyIndexes(const Table& table) {
  std::string sql;
  {
    absl::StatusOr<sqlite::Statement> list =
        database_.Prepare(fmt::format("PRAGMA main.index_list({})", QuoteName(table.name)));
    if (!list.ok()) return list.status();
    for (;;) {
      absl::StatusOr<bool> row = list->Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      if (!list->Text(1).starts_with(tables::kKeyIndexPrefix)) continue;
      fmt::format_to(std::back_inserter(sql), "DROP INDEX {};", QuoteName(list->Text(1)));
    }
  }
  return database_.Execute(sql);
}

absl::StatusOr<std::vector<int>> PersistentTables::FilledColumns(const Table& table, int64_t number,
                                                                 const std::vector<int>& known) {
  const absl::flat_hash_set<int> skip(known.begin(), known.end());
  std::vector<int> asked;
  std::string sql = "SELECT ";
  for (const auto& [column_number, column] : table.columns) {
    if (skip.contains(column_number)) continue;
    fmt::format_to(std::back_inserter(sql), "{}max({} IS NOT NULL)", asked.empty() ? "" : ", ",
                   QuoteName(column.name));
    asked.push_back(column_number);
  }
  std::vector<int> filled;
  if (asked.empty()) return filled;
  absl::StatusOr<sqlite::Statement> select = database_.Prepare(
      fmt::format("{} FROM {} WHERE {} = {}", sql, QuoteName(table.name), kOwner, number));
  if (!select.ok()) return select.status();
  const absl::StatusOr<bool> row = select->Step();
  if (!row.ok()) return row.status();
  for (size_t i = 0; i < asked.size(); ++i) {
    if (select->Integer(static_cast<int>(i)) != 0) filled.push_back(asked[i]);
  }
  return filled;
}

absl::Status PersistentTables::Drop(const std::string& identity, const std::string& name) {
  if (absl::Status status = CheckTrial(); !status.ok()) return status;
  const std::shared_ptr<Table> table = Find(name);
  if (table == nullptr) return absl::OkStatus();
  const auto pair = table->pair_numbers.find(identity);
  if (pair == table->pair_numbers.end()) return absl::OkStatus();
  const int64_t number = pair->second;
  const bool is_last = table->pairs.size() == 1;
  const std::string quoted = QuoteName(table->name);
  const absl::Status status = InSavepoint(database_, [&] {
    return database_.Execute(
        is_last ? fmt::format("DROP TABLE {}", quoted)
                : fmt::format("DELETE FROM {} WHERE {} = {}", quoted, kOwner, number));
  });
  if (!status.ok()) return status;
  database_bytes_.reset();
  Count(*table, table->pairs.at(number).columns, -1);
  SetPair(*table, number, std::nullopt);
  if (is_last) SetTable(numbers_.at(Lower(name)), nullptr);
  return absl::OkStatus();
}

void PersistentTables::EndRestore() {
  for (const auto& [number, table] : tables_) {
    std::vector<int> unused;
    for (const auto& [column_number, column] : table->columns) {
      if (column.pairs == 0) unused.push_back(column_number);
    }
    for (const int column : unused) SetColumn(*table, column, std::nullopt);
  }
}

void PersistentTables::SetTable(int64_t number, const std::shared_ptr<Table>& table) {
  const auto names = [](const Table& of) {
    int64_t bytes = NameBytes(of.name);
    for (const auto& [column_number, column] : of.columns) bytes += NameBytes(column.name);
    return bytes;
  };
  if (table != nullptr) {
    catalogue_bytes_ += names(*table);
    OnUndo([this, number] { SetTable(number, nullptr); });
    numbers_[Lower(table->name)] = number;
    tables_[number] = table;
    bookkeeping_bytes_ += kTableBytes;
    return;
  }
  const auto found = tables_.find(number);
  OnUndo([this, number, before = found->second] { SetTable(number, before); });
  catalogue_bytes_ -= names(*found->second);
  numbers_.erase(Lower(found->second->name));
  tables_.erase(found);
  bookkeeping_bytes_ -= kTableBytes;
}

void PersistentTables::SetPair(Table& table, int64_t number, std::optional<PairState> state) {
  std::optional<PairState> before;
  if (const auto found = table.pairs.find(number); found != table.pairs.end()) {
    before = std::move(found->second);
    table.pair_numbers.erase(before->identity);
    bookkeeping_bytes_ -= BytesOf(*before);
    table.pairs.erase(found);
    --pairs_;
  }
  if (state.has_value()) {
    table.pair_numbers[state->identity] = number;
    bookkeeping_bytes_ += BytesOf(*state);
    table.pairs[number] = *std::move(state);
    ++pairs_;
  }
  OnUndo([this, &table, number, before = std::move(before)] { SetPair(table, number, before); });
}

void PersistentTables::SetStored(Table& table, Stored stored) {
  if (is_trial_) {
    OnUndo([&table, before = table.stored] { table.stored = before; });
  }
  table.stored = std::move(stored);
}

void PersistentTables::SetColumn(Table& table, int number, std::optional<Column> column) {
  std::optional<Column> before;
  if (const auto found = table.columns.find(number); found != table.columns.end()) {
    before = std::move(found->second);
    catalogue_bytes_ -= NameBytes(before->name);
    // Another column may have the name by now.
    const auto named = table.column_numbers.find(Lower(before->name));
    if (named != table.column_numbers.end() && named->second == number) {
      table.column_numbers.erase(named);
    }
    table.columns.erase(found);
  }
  if (column.has_value()) {
    catalogue_bytes_ += NameBytes(column->name);
    table.column_numbers[Lower(column->name)] = number;
    table.columns[number] = *std::move(column);
  }
  OnUndo([this, &table, number, before = std::move(before)] { SetColumn(table, number, before); });
}

void PersistentTables::Count(Table& table, const std::vector<int>& columns, int64_t more) {
  for (const int number : columns) {
    Column& column = table.columns.at(number);
    column.pairs += more;
    OnUndo([&table, number, more] { table.columns.at(number).pairs -= more; });
    if (column.pairs == 0) SetColumn(table, number, std::nullopt);
  }
}

bool PersistentTables::InTransaction() const {
  return sqlite3_get_autocommit(database_.get()) == 0;
}

absl::Status PersistentTables::CheckTrial() const {
  if (!is_trial_ || InTransaction()) return absl::OkStatus();
  return absl::ResourceExhaustedError("no memory to show what is carried");
}

void PersistentTables::OnUndo(std::function<void()> undo) {
  if (is_trial_) undo_.push_back(std::move(undo));
}

void PersistentTables::Undo() {
  is_trial_ = false;
  while (!undo_.empty()) {
    undo_.back()();
    undo_.pop_back();
  }
}

std::optional<int64_t> PersistentTables::LastPut(const std::string& identity,
                                                 const std::string& name) const {
  const std::shared_ptr<Table> table = Find(name);
  if (table == nullptr) return std::nullopt;
  const auto pair = table->pair_numbers.find(identity);
  if (pair == table->pair_numbers.end()) return std::nullopt;
  return table->pairs.at(pair->second).generation;
}

bool PersistentTables::HasTable(const std::string& table) const {
  return numbers_.contains(Lower(table));
}

bool PersistentTables::HasColumn(const std::string& table, const std::string& column) const {
  const std::shared_ptr<Table> found = Find(table);
  return found != nullptr && found->column_numbers.contains(Lower(column));
}

int64_t PersistentTables::columns(const std::string& table) const {
  const std::shared_ptr<Table> found = Find(table);
  return found == nullptr ? 0 : static_cast<int64_t>(found->columns.size());
}

int64_t PersistentTables::bytes() {
  if (!database_bytes_.has_value()) {
    int64_t pages[2] = {};
    for (const int i : {0, 1}) {
      absl::StatusOr<sqlite::Statement> count =
          database_.Prepare(i == 0 ? "PRAGMA page_count" : "PRAGMA freelist_count");
      if (count.ok() && count->Step().value_or(false)) pages[i] = count->Integer(0);
    }
    database_bytes_ = (pages[0] - pages[1]) * 4096;
  }
  return *database_bytes_ + bookkeeping_bytes_;
}

absl::Status PersistentTables::WriteState(
    int64_t built, const std::function<absl::Status(const JournalRecord&)>& add) {
  for (const auto& [table_number, table] : tables_) {
    std::string columns;
    absl::flat_hash_map<int, int> places;
    for (const auto& [number, column] : table->columns) {
      places[number] = static_cast<int>(places.size());
      fmt::format_to(std::back_inserter(columns), "{}{}", columns.empty() ? "" : ", ",
                     QuoteName(column.name));
    }
    absl::StatusOr<sqlite::Statement> select =
        database_.Prepare(fmt::format("SELECT {} FROM {} WHERE {} = ?1 ORDER BY _rowid_", columns,
                                      QuoteName(table->name), kOwner));
    if (!select.ok()) return select.status();
    bool is_first = true;
    for (const auto& [number, pair] : table->pairs) {
      JournalRecord record;
      v1::PutPersistentTableRequest& put = *record.mutable_put_persistent();
      put.set_identity(pair.identity);
      put.set_generation(pair.generation);
      put.mutable_table()->set_name(table->name);
      for (const int column_number : pair.columns) {
        v1::Column& column = *put.mutable_table()->add_columns();
        column.set_name(table->columns.at(column_number).name);
        column.set_type(table->columns.at(column_number).type);
      }
      std::vector<tables::ColumnTarget> targets;
      for (size_t i = 0; i < pair.columns.size(); ++i) {
        targets.push_back({places.at(pair.columns[i]),
                           put.mutable_table()->mutable_columns(static_cast<int>(i))});
      }
      select->BindInteger(1, number);
      if (absl::Status status = tables::ReadRows(*select, targets); !status.ok()) return status;
      SetTimestamp(pair.time, record.mutable_time());
      record.set_updates(pair.updates);
      record.set_updated(pair.updated);
      record.set_built(built);
      if (is_first) {
        for (const auto& [column_number, column] : table->columns) {
          v1::ColumnInfo& info = *record.add_columns();
          info.set_name(column.name);
          info.set_type(column.type);
        }
        is_first = false;
      }
      if (absl::Status status = add(record); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<KeptShard>> PersistentTables::Shard(int64_t generation,
                                                                 int64_t newest) {
  if (tables_.empty()) return std::nullopt;
  auto writer = KeptShardWriter::Begin(database_);
  if (!writer.ok()) return writer.status();
  for (const auto& [number, table] : tables_) {
    if (absl::Status status = AddToShard(*table, newest, **writer); !status.ok()) return status;
  }
  absl::StatusOr<KeptShard> shard = (*writer)->Finish(v1::PERSISTENT, generation);
  if (!shard.ok()) return shard.status();
  if (shard->info.tables().empty()) return std::nullopt;
  return *std::move(shard);
}

absl::StatusOr<std::optional<KeptShard>> PersistentTables::ShardAfter(
    int64_t generation, const std::function<void()>& changes) {
  auto writer = KeptShardWriter::Begin(database_);
  if (!writer.ok()) return writer.status();
  if (absl::Status status = database_.Execute("BEGIN"); !status.ok()) return status;
  is_trial_ = true;
  changes();
  absl::Status status;
  for (const auto& [number, table] : tables_) {
    if (status.ok()) {
      status = AddToShard(*table, std::numeric_limits<int64_t>::max(), **writer);
    }
  }
  absl::StatusOr<KeptShard> shard;
  if (status.ok()) {
    shard = (*writer)->Finish(v1::PERSISTENT, generation);
  } else {
    shard = status;
  }
  if (status.ok()) status = CheckTrial();
  Undo();
  database_bytes_.reset();
  if (!InTransaction()) return status;
  if (absl::Status undone = database_.Execute("ROLLBACK"); !undone.ok()) return undone;
  if (!shard.ok()) return shard.status();
  if (shard->info.tables().empty()) return std::nullopt;
  return *std::move(shard);
}

absl::Status PersistentTables::AddToShard(const Table& table, int64_t newest,
                                          KeptShardWriter& writer) {
  bool is_whole = true;
  v1::TableInfo info;
  info.set_name(table.name);
  absl::flat_hash_set<int> used;
  for (const auto& [number, pair] : table.pairs) {
    if (pair.generation > newest) {
      is_whole = false;
    } else {
      used.insert(pair.columns.begin(), pair.columns.end());
    }
  }
  if (used.empty()) return absl::OkStatus();
  std::string columns;
  for (const auto& [number, column] : table.columns) {
    if (!is_whole && !used.contains(number)) continue;
    v1::ColumnInfo& added = *info.add_columns();
    added.set_name(column.name);
    added.set_type(column.type);
    fmt::format_to(std::back_inserter(columns), "{}{}", columns.empty() ? "" : ", ",
                   QuoteName(column.name));
  }

  const std::string name = QuoteName(table.name);
  absl::flat_hash_map<int64_t, int64_t> rows;
  {
    absl::StatusOr<sqlite::Statement> count = database_.Prepare(
        fmt::format("SELECT {0}, count(*) FROM main.{1} GROUP BY {0}", kOwner, name));
    if (!count.ok()) return count.status();
    for (;;) {
      absl::StatusOr<bool> row = count->Step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      rows[count->Integer(0)] = count->Integer(1);
    }
  }
  std::string condition;
  if (!is_whole) {
    absl::Status status = database_.Execute(
        "CREATE TEMP TABLE IF NOT EXISTS _chosen (number INTEGER PRIMARY KEY);"
        "DELETE FROM temp._chosen");
    if (!status.ok()) return status;
    condition = fmt::format("WHERE {} IN (SELECT number FROM temp._chosen)", kOwner);
  }
  std::vector<KeptShardWriter::Run> runs;
  for (const auto& [number, pair] : table.pairs) {
    if (pair.generation > newest) continue;
    if (!is_whole) {
      absl::Status status =
          database_.Execute(fmt::format("INSERT INTO temp._chosen VALUES ({})", number));
      if (!status.ok()) return status;
    }
    const auto counted = rows.find(number);
    runs.push_back(
        {&pair.identity, counted == rows.end() ? 0 : counted->second, pair.updates, pair.time});
    if (pair.updated) info.set_updated(true);
  }
  return writer.AddTable(std::move(info),
                         fmt::format("SELECT {} FROM main.{} {} ORDER BY {}, _rowid_", columns,
                                     name, condition, kOwner),
                         runs);
}

void PersistentTables::Compact() {
  int64_t pages[2] = {};
  for (const int i : {0, 1}) {
    absl::StatusOr<sqlite::Statement> count =
        database_.Prepare(i == 0 ? "PRAGMA page_count" : "PRAGMA freelist_count");
    if (count.ok() && count->Step().value_or(false)) pages[i] = count->Integer(0);
  }
  if (pages[1] * 4096 < kLeastFreeBytes || 2 * pages[1] < pages[0]) return;
  database_bytes_.reset();
  if (const absl::Status status = database_.Execute("VACUUM"); !status.ok()) {
    log::Warn("store", "memory of persistent tables not given back", {{"error", status}});
  }
}

}  // namespace qasino::store
