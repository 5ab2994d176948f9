#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <xxhash.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "qasino/v1/query.pb.h"
#include "services/merge/fake_shard.h"
#include "services/query/cursor.h"
#include "services/query/snapshot.h"
#include "testing/fuzz/oracle.h"

// The bytes are the SQL of a query, which runs on a small snapshot as it does in the query
// service: SHOW and DESC are translated, the rest goes into the sandbox, with limits of time,
// memory and rows.
//
//   - An error has one of the codes of the contract and a good message.
//   - The limits hold, and nothing is answered beyond them.
//   - The snapshot's bytes stay as they are, and the next query of the same connection is
//     answered right.
namespace qasino::fuzz {
namespace {

constexpr uint64_t kMostRows = 500;
constexpr int64_t kMemory = 8 << 20;
constexpr absl::Duration kTimeout = absl::Milliseconds(100);
// Preparing, and single steps, are not interrupted; on a busy machine they take their time.
constexpr absl::Duration kTimeoutSlack = absl::Seconds(8);

constexpr char kControl[] =
    "SELECT (SELECT count(*) || sum(load) FROM cpu), (SELECT group_concat(name) FROM jobs), "
    "(SELECT hex(body) FROM jobs WHERE id = 2), (SELECT population FROM cities), "
    "(SELECT group_concat(tablename) FROM qasino_server_tables), (SELECT group_concat(name) FROM "
    "temp.sqlite_schema), (SELECT count(*) FROM pragma_database_list)";

// The system's SQLite is not instrumented, so libFuzzer would learn nothing of where a
// statement came to in it. It also looks at these counters; what a statement compiles to, and
// how it ends, is counted in them.
__attribute__((section("__libfuzzer_extra_counters"))) uint8_t extra_counters[1 << 14];

void Count(std::string_view feature) {
  ++extra_counters[XXH3_64bits(feature.data(), feature.size()) % sizeof(extra_counters)];
}

class Door {
 public:
  Door() {
    merge::FakeShard first("first", 30);
    first.Table("cpu", {"host TEXT", "load REAL", "cores INTEGER"})
        .Publish("a", "cpu",
                 {"'h1', 0.5, 4", "'h2', 1e300, NULL", "NULL, -1.0, 9223372036854775807"})
        .Table("jobs", {"id INTEGER", "name TEXT", "body BLOB"})
        .Publish("a", "jobs", {"1, 'backup', x'00ff'", "2, 'r\u00e9port', zeroblob(300)"})
        .Table("order", {"select TEXT"})
        .Publish("b", "order", {"'{\"a\": [1, 2]}'"});
    merge::FakeShard second("second", 30);
    // The same types, so that it is a view; and others, so that it is a copy.
    second.Table("cpu", {"host TEXT", "load REAL", "cores INTEGER"})
        .Publish("c", "cpu", {"'h3', 2.5, 64"})
        .Table("jobs", {"id TEXT", "name TEXT"})
        .Publish("c", "jobs", {"'3', 'sweep'"});
    merge::FakeShard cities("cities", 0);
    cities.Kind(v1::STATIC)
        .Table("cities", {"city TEXT", "population INTEGER"})
        .Publish("d", "cities", {"'Berlin', 3700000"});
    for (merge::FakeShard* shard : {&first, &second, &cities}) shards_.push_back(shard->Seal());
    auto snapshot =
        query::Snapshot::Build(merge::ManifestOf(30, shards_), shards_, {.identity = "server"});
    RequireOk(snapshot.status(), "build the snapshot");
    snapshot_ = *std::move(snapshot);
    for (const auto& shard : shards_) digests_.push_back(Digest(*shard));
    control_ = Control();
  }

  void Ask(const std::string& sql) {
    v1::QueryRequest request;
    request.set_sql(sql);
    // What is not UTF-8 does not get past the parser of messages.
    if (!request.ParseFromString(request.SerializeAsString())) return;
    // A statement without a parameter refuses a value.
    if (sql.find('?') != sql.npos) request.add_parameters()->set_text("h1");
    const absl::Time begin = absl::Now();
    const absl::Status status = Run(request, nullptr);
    Require(absl::Now() - begin < kTimeout + kTimeoutSlack,
            "the limit of time holds: " + absl::FormatDuration(absl::Now() - begin));
    Count(fmt::format("{} {}", static_cast<int>(status.code()),
                      std::string(status.message().substr(0, 12))));
    if (!status.ok()) {
      RequireGoodMessage(status);
      Require(absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status) ||
                  absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status),
              "an error has a code of the contract: " + status.ToString());
    } else {
      CountOperations(sql);
    }
    for (size_t i = 0; i < shards_.size(); ++i) {
      Require(Digest(*shards_[i]) == digests_[i], "the snapshot's bytes stay as they are");
    }
    const std::string control = Control();
    Require(control == control_, "the next query is right");
  }

 private:
  static uint64_t Digest(const merge::ShardImage& shard) {
    return XXH3_64bits(shard.view().data(), shard.view().size());
  }

  // Runs it to its end. `answer`, where there is one, gets the batches.
  absl::Status Run(const v1::QueryRequest& request, std::string* answer) {
    query::Cancellation cancellation;
    query::CursorOptions options;
    options.arrived = absl::Now();
    options.deadline = options.arrived + (answer == nullptr ? kTimeout : absl::Minutes(1));
    options.deadline_words = "the limit";
    options.max_rows = kMostRows;
    options.memory_bytes = kMemory;
    options.batch_bytes = 16 << 10;
    auto connection = snapshot_->Connect();
    RequireOk(connection.status(), "connect");
    auto cursor = query::Cursor::Open(*std::move(connection), request, options, &cancellation);
    if (!cursor.ok()) return cursor.status();
    while (!(*cursor)->done()) {
      v1::QueryResponse response;
      const absl::Status status = (*cursor)->Next(response);
      Require((*cursor)->rows() <= kMostRows, "the limit of rows holds");
      CheckBatch(response);
      if (!status.ok()) return status;
      if (answer != nullptr) *answer += response.batch().SerializeAsString();
    }
    return absl::OkStatus();
  }

  void CheckBatch(const v1::QueryResponse& response) {
    v1::QueryResponse travelled;
    Require(travelled.ParseFromString(response.SerializeAsString()), "an answer can travel");
    if (response.has_header()) columns_ = response.header().columns_size();
    Require(columns_ > 0, "an answer has columns");
    if (!response.has_batch()) return;
    Require(response.batch().columns_size() == columns_, "a batch has the header's columns");
    for (const v1::Column& column : response.batch().columns()) {
      const size_t rows = column.kinds().empty() ? column.integers_size() + column.reals_size() +
                                                       column.texts_size() + column.blobs_size()
                                                 : column.kinds().size();
      Require(rows == response.batch().rows(), "a column has the batch's rows");
    }
  }

  std::string Control() {
    v1::QueryRequest request;
    request.set_sql(kControl);
    std::string answer;
    RequireOk(Run(request, &answer), "the next query");
    return answer;
  }

  // Looks at what the statement compiles to.
  void CountOperations(const std::string& sql) {
    v1::QueryRequest request;
    request.set_sql("EXPLAIN " + sql);
    request.set_row_limit(kMostRows);
    std::string program;
    if (!Run(request, &program).ok()) return;
    v1::RowBatch batch;
    if (!batch.ParseFromString(program) || batch.columns_size() < 2) return;
    std::string before;
    for (const std::string& operation : batch.columns(1).texts()) {
      Count(before + operation);
      before = operation;
    }
  }

  std::vector<std::shared_ptr<const merge::ShardImage>> shards_;
  std::vector<uint64_t> digests_;
  std::shared_ptr<const query::Snapshot> snapshot_;
  std::string control_;
  // Of the answer at hand.
  int columns_ = 0;
};

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Texts that are not UTF-8 would be told of on standard error.
  // protobuf tells of texts that are not UTF-8.
  static const google::protobuf::LogSilencer silence;
  static auto* const door = new qasino::fuzz::Door;
  door->Ask(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
