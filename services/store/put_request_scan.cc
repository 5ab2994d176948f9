#include "services/store/put_request_scan.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "qasino/v1/snapshot.pb.h"

namespace qasino::store {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

absl::Status NotARequest() {
  return absl::InvalidArgumentError("the message is not a PutShardRequest");
}

absl::Status Over(int limit, const char* what) {
  return absl::ResourceExhaustedError(
      absl::StrCat("shard info: more than the ", limit, " ", what, " allowed"));
}

class Scanner {
 public:
  Scanner(google::protobuf::io::ZeroCopyInputStream* message, const ShardLimits& limits)
      : limits_(limits), input_(message) {}

  absl::Status Scan() {
    if (absl::Status status = ScanMessage(*v1::PutShardRequest::descriptor()); !status.ok()) {
      return status;
    }
    return input_.ConsumedEntireMessage() ? absl::OkStatus() : NotARequest();
  }

 private:
  // Up to the stream's limit. As deep as the types are nested, and none is in itself.
  absl::Status ScanMessage(const Descriptor& type) {
    while (const uint32_t tag = input_.ReadTag()) {
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const WireFormatLite::WireType wire_type = WireFormatLite::GetTagWireType(tag);
      // What is written in another way than its type's is unknown to the parser too.
      if (field != nullptr &&
          wire_type != WireFormatLite::WireTypeForFieldType(
                           static_cast<WireFormatLite::FieldType>(field->type()))) {
        field = nullptr;
      }
      if (field == nullptr) {
        // No sender of proto3 makes groups, and what is in one would have to be counted.
        if (wire_type == WireFormatLite::WIRETYPE_START_GROUP) return NotARequest();
        if (++unknown_ > limits_.max_unknown_fields) {
          return Over(limits_.max_unknown_fields, "unknown fields");
        }
      }
      if (field == nullptr || field->message_type() == nullptr) {
        if (!WireFormatLite::SkipField(&input_, tag)) return NotARequest();
        continue;
      }
      absl::Status status = Count(*field);
      if (status.ok()) status = ScanInner(*field->message_type());
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ScanInner(const Descriptor& type) {
    int size = 0;
    if (!input_.ReadVarintSizeAsInt(&size)) return NotARequest();
    const auto outer = input_.PushLimit(size);
    if (absl::Status status = ScanMessage(type); !status.ok()) return status;
    if (input_.BytesUntilLimit() != 0) return NotARequest();
    input_.PopLimit(outer);
    return absl::OkStatus();
  }

  // An info that comes in pieces is put together by the parser, so nothing begins anew.
  absl::Status Count(const FieldDescriptor& field) {
    if (&field == tables_field_) {
      table_columns_ = 0;
      if (++tables_ > limits_.max_tables) return Over(limits_.max_tables, "tables");
    } else if (&field == columns_field_) {
      if (++table_columns_ > limits_.max_columns) {
        return Over(limits_.max_columns, "columns of a table");
      }
      if (++columns_ > limits_.max_all_columns) {
        return Over(limits_.max_all_columns, "columns of all tables together");
      }
    }
    return absl::OkStatus();
  }

  const ShardLimits& limits_;
  const FieldDescriptor* const tables_field_ =
      v1::ShardInfo::descriptor()->FindFieldByNumber(v1::ShardInfo::kTablesFieldNumber);
  const FieldDescriptor* const columns_field_ =
      v1::TableInfo::descriptor()->FindFieldByNumber(v1::TableInfo::kColumnsFieldNumber);
  google::protobuf::io::CodedInputStream input_;
  int tables_ = 0;
  int table_columns_ = 0;
  int columns_ = 0;
  int unknown_ = 0;
};

}  // namespace

absl::Status ScanPutRequest(google::protobuf::io::ZeroCopyInputStream* message,
                            const ShardLimits& limits) {
  return Scanner(message, limits).Scan();
}

}  // namespace qasino::store
