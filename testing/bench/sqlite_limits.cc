// What SQLite alone does with the rows that the bench publishes and queries, on one thread
// and in memory: the limit of ingest (insert) and of large results (scan).

#include <fmt/core.h>
#include <sqlite3.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "qasino/v1/table.pb.h"
#include "testing/bench/sample_table.h"

namespace {

using qasino::bench::Digest;
using qasino::bench::kSampleColumns;

double Seconds(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// SQLite in memory. Ends the program with a message when anything fails.
class Database {
 public:
  Database() {
    Check(sqlite3_open(":memory:", &database_));
    Execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
  }
  ~Database() { sqlite3_close(database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void Check(int code) const {
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
    fmt::print(stderr, "sqlite: {}\n", sqlite3_errmsg(database_));
    std::exit(1);
  }

  void Execute(const std::string& sql) {
    Check(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr));
  }

  sqlite3_stmt* Prepare(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    Check(sqlite3_prepare_v3(database_, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &statement,
                             nullptr));
    return statement;
  }

  int64_t Integer(const std::string& sql) {
    sqlite3_stmt* statement = Prepare(sql);
    Check(sqlite3_step(statement));
    const int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
  }

 private:
  sqlite3* database_ = nullptr;
};

void CreateTable(Database& database, const std::string& name) {
  database.Execute("CREATE TABLE \"" + name +
                   "\"(pid INTEGER, threads INTEGER, load REAL, started REAL, host TEXT, "
                   "state TEXT)");
}

sqlite3_stmt* PrepareInsert(Database& database, const std::string& name) {
  return database.Prepare("INSERT INTO \"" + name + "\" VALUES(?,?,?,?,?,?)");
}

void Insert(const Database& database, sqlite3_stmt* statement, const qasino::v1::Table& table) {
  const auto& columns = table.columns();
  const int rows = columns[0].integers_size();
  for (int row = 0; row < rows; ++row) {
    sqlite3_bind_int64(statement, 1, columns[0].integers(row));
    sqlite3_bind_int64(statement, 2, columns[1].integers(row));
    sqlite3_bind_double(statement, 3, columns[2].reals(row));
    sqlite3_bind_double(statement, 4, columns[3].reals(row));
    for (int i = 4; i < kSampleColumns; ++i) {
      const std::string& text = columns[i].texts(row);
      sqlite3_bind_text(statement, i + 1, text.data(), static_cast<int>(text.size()),
                        SQLITE_STATIC);
    }
    if (const int code = sqlite3_step(statement); code != SQLITE_DONE) database.Check(code);
    sqlite3_reset(statement);
  }
}

// Inserts tables * rows rows into one table, in one transaction.
void Load(Database& database, const std::string& name, int publishes, int rows) {
  const std::vector<qasino::v1::Table> tables = qasino::bench::SampleTables(name, rows);
  CreateTable(database, name);
  sqlite3_stmt* insert = PrepareInsert(database, name);
  database.Execute("BEGIN");
  for (int i = 0; i < publishes; ++i) Insert(database, insert, tables[i % tables.size()]);
  database.Execute("COMMIT");
  sqlite3_finalize(insert);
}

void MeasureInsert(int publishes, int rows) {
  const std::vector<qasino::v1::Table> tables = qasino::bench::SampleTables("sample", rows);
  Database database;
  CreateTable(database, "sample");
  sqlite3_stmt* insert = PrepareInsert(database, "sample");
  const auto begin = std::chrono::steady_clock::now();
  database.Execute("BEGIN");
  for (int i = 0; i < publishes; ++i) Insert(database, insert, tables[i % tables.size()]);
  database.Execute("COMMIT");
  const double seconds = Seconds(begin);
  sqlite3_finalize(insert);
  fmt::print("{{\"rows\": {}, \"seconds\": {:.6f}, \"bytes\": {}}}\n",
             database.Integer("SELECT count(*) FROM sample"), seconds,
             database.Integer("PRAGMA page_count") * database.Integer("PRAGMA page_size"));
}

Digest Scan(const Database& database, sqlite3_stmt* statement) {
  Digest digest;
  const int columns = sqlite3_column_count(statement);
  int code;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    ++digest.rows;
    for (int i = 0; i < columns; ++i) {
      switch (sqlite3_column_type(statement, i)) {
        case SQLITE_INTEGER:
          digest.AddInteger(sqlite3_column_int64(statement, i));
          break;
        case SQLITE_FLOAT:
          digest.AddReal(sqlite3_column_double(statement, i));
          break;
        case SQLITE_TEXT: {
          const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
          digest.AddText({text, static_cast<size_t>(sqlite3_column_bytes(statement, i))});
          break;
        }
        default:
          break;
      }
    }
  }
  database.Check(code);
  sqlite3_reset(statement);
  return digest;
}

void MeasureScan(int publishes, int rows, const std::string& sql, int repeat) {
  Database database;
  Load(database, "sample", publishes, rows);
  sqlite3_stmt* statement = database.Prepare(sql);
  Scan(database, statement);  // Once, so that pages are where they will be.
  Digest digest;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeat; ++i) digest = Scan(database, statement);
  const double seconds = Seconds(begin);
  sqlite3_finalize(statement);
  fmt::print(
      "{{\"runs\": {}, \"rows\": {}, \"integers\": {}, \"reals\": {:.3f}, \"text_bytes\": {}, "
      "\"text\": {}, \"seconds\": {:.6f}}}\n",
      repeat, digest.rows, digest.integers, digest.reals, digest.text_bytes, digest.text, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  int publishes = 1'000, rows = 1'000, repeat = 1;
  std::string sql = "SELECT * FROM sample";
  CLI::App app("What SQLite alone does, on one thread and in memory.");
  CLI::App* insert = app.add_subcommand("insert", "INSERT, prepared, in one transaction");
  CLI::App* scan = app.add_subcommand("scan", "step through a statement and read every cell");
  for (CLI::App* command : {insert, scan}) {
    command->add_option("--publishes", publishes, "tables inserted")->capture_default_str();
    command->add_option("--rows", rows, "rows of each")->capture_default_str();
  }
  scan->add_option("--sql", sql)->capture_default_str();
  scan->add_option("--repeat", repeat)->capture_default_str();
  app.require_subcommand(1);
  CLI11_PARSE(app, argc, argv);

  if (insert->parsed()) {
    MeasureInsert(publishes, rows);
  } else {
    MeasureScan(publishes, rows, sql, repeat);
  }
  return 0;
}
