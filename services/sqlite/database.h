#ifndef QASINO_SERVICES_SQLITE_DATABASE_H_
#define QASINO_SERVICES_SQLITE_DATABASE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// RAII over SQLite3: what a handle owns is closed with it, and what SQLite answers is
// an absl::Status. Statuses carry SQLite's own words and these codes: SQLITE_NOMEM,
// SQLITE_FULL and SQLITE_TOOBIG are RESOURCE_EXHAUSTED, SQLITE_AUTH is
// PERMISSION_DENIED, SQLITE_INTERRUPT is CANCELLED, SQLITE_CORRUPT and SQLITE_NOTADB
// are DATA_LOSS, SQLITE_ERROR, SQLITE_RANGE and SQLITE_MISMATCH are INVALID_ARGUMENT,
// the rest INTERNAL.
//
// A Database and its Statements are used by one thread at a time (SQLite's own mutexes
// are off); Interrupt alone may be called from any thread while the Database lives.
namespace qasino::sqlite {

// A name in double quotes, so that every name is a name, SQL keywords included.
std::string QuoteName(std::string_view name);

// A text in single quotes.
std::string QuoteText(std::string_view text);

// Makes a status of a result code, with the connection's words where it has some.
absl::Status ToStatus(int code, sqlite3* database, std::string_view doing);

// A prepared statement. Movable; finalized with the object. Must not outlive its
// Database.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  // Parameters count from 1. The bytes of BindText and BindBlob are not copied: they
  // must live until the next Reset or binding.
  void BindNull(int parameter);
  void BindInteger(int parameter, int64_t value);
  void BindReal(int parameter, double value);
  void BindText(int parameter, std::string_view value);
  void BindBlob(int parameter, std::string_view value);

  // True: a row is there to read. False: done.
  absl::StatusOr<bool> Step();

  // Steps until done and resets, for statements without rows.
  absl::Status Run();

  // Makes it ready to run again. Bindings stay.
  void Reset();

  // Columns count from 0. Views live until the next Step or Reset.
  int ColumnCount() const;
  std::string_view ColumnName(int column) const;
  int64_t Integer(int column) const;
  double Real(int column) const;
  std::string_view Text(int column) const;

  sqlite3_stmt* get() const { return statement_.get(); }
  explicit operator bool() const { return statement_ != nullptr; }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// The bytes of a database file in memory, as sqlite3_serialize makes them. Movable.
class Image {
 public:
  Image() = default;
  Image(unsigned char* bytes, size_t size) : bytes_(bytes), size_(size) {}

  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.get()), size_}; }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(unsigned char* bytes) const { sqlite3_free(bytes); }
  };
  std::unique_ptr<unsigned char, Free> bytes_;
  size_t size_ = 0;
};

// A connection. Movable; closed with the object, after its Statements.
class Database {
 public:
  Database() = default;

  // A new, empty database in memory, as are its temporary files: see ScratchFiles.
  static absl::StatusOr<Database> OpenInMemory();

  // A database file, read-only.
  static absl::StatusOr<Database> OpenFile(const std::string& path);

  // Runs SQL that answers nothing; several statements are fine. Never for SQL from
  // outside.
  absl::Status Execute(const std::string& sql);

  // Prepares exactly one statement. INVALID_ARGUMENT when the text has none, or has
  // more than blanks and comments behind it.
  absl::StatusOr<Statement> Prepare(std::string_view sql);

  // Makes `schema` ("main", or one that is attached) read `bytes`, which are a database
  // file, without copying them. They must live as long as the Database, and are never
  // written; many Databases may share them.
  absl::Status ReadFrom(const std::string& schema, std::string_view bytes);

  // Attaches a new, empty in-memory schema of that name, e.g. for ReadFrom.
  absl::Status AttachEmpty(const std::string& schema);

  // A copy of a schema as a database file.
  absl::StatusOr<Image> Serialize(const std::string& schema = "main");

  // Rows that the last INSERT, UPDATE or DELETE changed.
  int64_t Changes() const;

  // Stops the running statement with CANCELLED. From any thread.
  void Interrupt();

  sqlite3* get() const { return database_.get(); }
  explicit operator bool() const { return database_ != nullptr; }

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit Database(sqlite3* database) : database_(database) {}
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace qasino::sqlite

#endif  // QASINO_SERVICES_SQLITE_DATABASE_H_
