#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include "qasino/v1/snapshot.pb.h"
#include "services/store/put_request_scan.h"
#include "services/store/shard_info.h"
#include "testing/fuzz/oracle.h"

// The bytes are a message of PutShard, and go the way that they go in the store: they are
// scanned, parsed, and an info in them is checked.
//
//   - What passes the scan has no more of anything than the limits say.
//   - An error has a canonical code and a good message.
namespace qasino::fuzz {
namespace {

using google::protobuf::io::ArrayInputStream;

// Small enough that an input of some kilobytes comes to each of them.
constexpr store::ShardLimits kLimits = {
    .max_shard_bytes = 1 << 20,
    .max_tables = 8,
    .max_columns = 8,
    .max_all_columns = 16,
    .max_unknown_fields = 16,
    .max_info_bytes = 4'096,
};

void RequireRefusal(const absl::Status& status) {
  RequireGoodMessage(status);
  Require(absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status),
          "a bad message has one of two codes: " + status.ToString());
}

void Put(const uint8_t* data, size_t size) {
  const auto scan_in_blocks = [&](int block) {
    ArrayInputStream input(data, static_cast<int>(size), block);
    return store::ScanPutRequest(&input, kLimits);
  };
  const absl::Status scanned = scan_in_blocks(-1);
  const absl::Status in_pieces = scan_in_blocks(3);
  if (!scanned.ok()) RequireRefusal(scanned);
  if (!in_pieces.ok()) RequireRefusal(in_pieces);
  if (!scanned.ok() && !in_pieces.ok()) return;
  v1::PutShardRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return;
  Require(scanned == in_pieces, "the scan of a message does not depend on how it is cut: " +
                                    scanned.ToString() + ", " + in_pieces.ToString());
  if (!request.has_info()) return;
  const v1::ShardInfo& info = request.info();
  int columns = 0;
  Require(info.tables_size() <= kLimits.max_tables, "the limit of tables holds");
  for (const v1::TableInfo& table : info.tables()) {
    Require(table.columns_size() <= kLimits.max_columns, "the limit of a table's columns holds");
    columns += table.columns_size();
  }
  Require(columns <= kLimits.max_all_columns, "the limit of all columns holds");
  const absl::Status status = store::CheckShardInfo(info, kLimits);
  if (!status.ok()) return RequireRefusal(status);
  // It names a file, and is given to others.
  Require(info.shard_id().find_first_of("/.") == std::string::npos && !info.shard_id().empty(),
          "an id is no path");
  Require(info.ByteSizeLong() <= kLimits.max_info_bytes, "the limit of an info's bytes holds");
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Texts that are not UTF-8 would be told of on standard error.
  // protobuf tells of texts that are not UTF-8.
  static const google::protobuf::LogSilencer silence;
  qasino::fuzz::Put(data, size);
  return 0;
}
