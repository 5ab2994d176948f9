#include <fmt/format.h>
#include <google/protobuf/arena.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "qasino/v1/ingest.pb.h"
#include "services/ingest/limits.h"
#include "services/ingest/paged_shard.h"
#include "services/ingest/validate.h"
#include "services/ingest/wire_scan.h"
#include "testing/fuzz/oracle.h"
#include "testing/fuzz/reference_tables.h"

// The bytes are a message of a PublishStream, and go the way that they go in ingest: they are
// scanned, parsed, validated, and published into a shard, which is sealed.
//
//   - What the scan refuses does not parse, and what parses takes no more memory than the
//     scan's estimate.
//   - A refused publish has a canonical code and a good message, and changes nothing.
//   - The sealed shard is a whole database with exactly what was acknowledged.
namespace qasino::fuzz {
namespace {

using google::protobuf::io::ArrayInputStream;

// Small enough that an input of some kilobytes comes to each of them.
constexpr ingest::Limits kLimits = {
    .rows_per_publish = 64,
    .publishes_per_message = 64,
    .memory_per_message = 1 << 20,
    .columns_per_table = 16,
    .bytes_per_row = 4'096,
    .tables_per_shard = 5,
    .identities_per_shard = 6,
    .catalogue_bytes = 2'048,
    .shard_bytes = 128 << 10,
};

using Scan = std::optional<ingest::WireSize> (*)(google::protobuf::io::ZeroCopyInputStream&,
                                                 int64_t);

// Scans and parses; null when the message is refused.
template <typename Message>
Message* Read(const uint8_t* data, size_t size, Scan scan, google::protobuf::Arena& arena) {
  const auto scan_in_blocks = [&](int block) {
    ArrayInputStream input(data, static_cast<int>(size), block);
    return scan(input, static_cast<int64_t>(size));
  };
  const std::optional<ingest::WireSize> whole = scan_in_blocks(-1);
  const std::optional<ingest::WireSize> pieces = scan_in_blocks(3);
  Require(whole.has_value() == pieces.has_value() &&
              (!whole.has_value() ||
               (whole->publishes == pieces->publishes && whole->columns == pieces->columns &&
                whole->keycols == pieces->keycols && whole->memory == pieces->memory)),
          "a scan does not depend on how the bytes are cut");
  if (whole.has_value() && !ingest::CheckMessage(*whole, kLimits).ok()) return nullptr;
  auto* const message = google::protobuf::Arena::CreateMessage<Message>(&arena);
  const bool parsed = message->ParseFromArray(data, static_cast<int>(size));
  Require(whole.has_value() || !parsed, "what the scan refuses does not parse");
  if (!parsed) return nullptr;
  // What is on the heap, and what is on the arena; some counts twice.
  const uint64_t taken = std::max<uint64_t>(message->SpaceUsedLong(), arena.SpaceUsed() + size);
  Require(static_cast<uint64_t>(whole->memory) >= taken,
          fmt::format("a parsed message takes {} bytes, the scan's estimate is {}", taken,
                      whole->memory));
  return message;
}

void Publish(const v1::PublishRequest& publish, ingest::Shard& shard, ReferenceTables& reference) {
  absl::Status status = ingest::ValidatePublish(publish, 0, kLimits);
  if (!status.ok()) {
    RequireGoodMessage(status);
    Require(absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status) ||
                absl::IsUnimplemented(status),
            "an invalid publish has one of three codes: " + status.ToString());
    return;
  }
  // Those do not come to a shard.
  if (publish.persist() || publish.static_()) return;
  const auto effect = shard.Publish(publish, absl::FromUnixSeconds(1'795'334'400));
  if (!effect.ok()) {
    RequireGoodMessage(effect.status());
    Require(absl::IsResourceExhausted(effect.status()),
            "a valid publish is over a limit or applied: " + effect.status().ToString());
    return;
  }
  Require(effect->duplicate == reference.IsDuplicate(publish),
          "a table counts once for each identity");
  if (!effect->duplicate) reference.Apply(publish);
}

void RunPublishes(const v1::PublishStreamRequest& request) {
  absl::StatusOr<std::unique_ptr<ingest::Shard>> shard = ingest::OpenPagedShard(kLimits);
  RequireOk(shard.status(), "open a shard");
  ReferenceTables reference;
  for (int i = 0; i < request.publishes_size(); ++i) {
    Publish(request.publishes(i), **shard, reference);
    // Publishing goes on after a copy.
    if (i == 2) {
      const auto copy = (*shard)->Copy();
      RequireOk(copy.status(), "copy the shard");
      reference.RequireEqual(copy->info, copy->bytes);
    }
  }
  const auto sealed = (*shard)->Seal();
  RequireOk(sealed.status(), "seal the shard");
  reference.RequireEqual(sealed->info, sealed->bytes);
}

}  // namespace
}  // namespace qasino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using qasino::fuzz::Read;
  namespace v1 = qasino::v1;
  // Texts that are not UTF-8 would be told of on standard error.
  // protobuf tells of texts that are not UTF-8.
  static const google::protobuf::LogSilencer silence;
  {
    google::protobuf::Arena arena;
    Read<v1::PublishRequest>(data, size, &qasino::ingest::ScanPublishRequest, arena);
  }
  google::protobuf::Arena arena;
  const auto* const request =
      Read<v1::PublishStreamRequest>(data, size, &qasino::ingest::ScanPublishStreamRequest, arena);
  if (request != nullptr) qasino::fuzz::RunPublishes(*request);
  return 0;
}
