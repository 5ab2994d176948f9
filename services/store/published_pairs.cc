#include "services/store/published_pairs.h"

#include <sqlite3.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/sqlite/database.h"

namespace qasino::store {
namespace {

constexpr size_t kMaxPairs = 2'000'000;
// Of SQLite's steps: some seconds of them.
constexpr int kMaxThousandSteps = 60'000;

// SQLite makes files beside a database that is in its WAL mode, even to read it. The header
// says so; no shard that ingest makes is.
absl::Status CheckMode(const std::string& path) {
  std::array<char, 20> header = {};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(header.data(), header.size())) {
    return absl::DataLossError("it is too short for a database");
  }
  if (header[18] != 1 || header[19] != 1) {
    return absl::InvalidArgumentError("it is not a database that can only be read");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> PublishedPairs(
    const std::string& path) {
  if (absl::Status status = CheckMode(path); !status.ok()) return status;
  auto database = sqlite::Database::OpenFile(path);
  if (!database.ok()) return database.status();
  int thousands_left = kMaxThousandSteps;
  sqlite3_progress_handler(
      database->get(), 1'000, [](void* left) { return --*static_cast<int*>(left) < 0 ? 1 : 0; },
      &thousands_left);
  // Names as they were first seen; those that differ in case alone are the same table's.
  auto rows =
      database->Prepare("SELECT DISTINCT tablename, identity FROM main.qasino_server_publishes");
  if (!rows.ok()) return rows.status();
  std::vector<std::pair<std::string, std::string>> pairs;
  while (true) {
    const auto row = rows->Step();
    if (absl::IsCancelled(row.status())) {
      return absl::ResourceExhaustedError("reading qasino_server_publishes takes too long");
    }
    if (!row.ok()) return row.status();
    if (!*row) return pairs;
    if (pairs.size() >= kMaxPairs) {
      return absl::ResourceExhaustedError(
          absl::StrCat("qasino_server_publishes has more than ", kMaxPairs, " pairs"));
    }
    const auto name = rows->Text(0);
    pairs.emplace_back(absl::AsciiStrToLower(absl::string_view(name.data(), name.size())),
                       std::string(rows->Text(1)));
  }
}

}  // namespace qasino::store
