#include "services/ingest/wire_scan.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "qasino/v1/ingest.pb.h"

namespace qasino::ingest {
namespace {

using google::protobuf::internal::WireFormatLite;

// A string on an arena: itself, and the note that it is to be destroyed. When it is longer
// than what fits inside it has a block of its own.
constexpr int64_t kStringBytes = sizeof(std::string) + 16;
constexpr int64_t kInsideString = 15;
constexpr int64_t kBlockBytes = 17;
// A field that the contract does not have is kept too, in a list with spare places; and a
// group has a list of its own.
constexpr int64_t kUnknownBytes = 128;
// As deep as protobuf parses.
constexpr int kDeepestGroup = 100;
// Cells and pointers.
constexpr int64_t kElementBytes = 8;

class Scanner {
 public:
  Scanner(google::protobuf::io::ZeroCopyInputStream& input, int bytes) : input_(&input) {
    input_.PushLimit(bytes);
    size_.memory = bytes;
  }

  bool PublishStreamRequest() {
    size_.memory += sizeof(v1::PublishStreamRequest);
    while (More()) {
      if (!Tag()) return false;
      if (Is(v1::PublishStreamRequest::kPublishesFieldNumber, kDelimited)) {
        if (!Inside(&Scanner::PublishRequest)) return false;
      } else if (!Unknown()) {
        return false;
      }
    }
    AddArray(size_.publishes);
    return true;
  }

  bool PublishRequest() {
    ++size_.publishes;
    size_.memory += sizeof(v1::PublishRequest);
    columns_ = 0;
    int64_t keycols = 0;
    while (More()) {
      if (!Tag()) return false;
      bool ok = false;
      if (Is(v1::PublishRequest::kIdentityFieldNumber, kDelimited)) {
        ok = String();
      } else if (Is(v1::PublishRequest::kTableFieldNumber, kDelimited)) {
        // A second one is merged into the first.
        ok = Inside(&Scanner::Table);
      } else if (Is(v1::PublishRequest::kKeycolsFieldNumber, kDelimited)) {
        ++keycols;
        ok = String();
      } else if (Is(v1::PublishRequest::kUpdateFieldNumber, kVarint) ||
                 Is(v1::PublishRequest::kPersistFieldNumber, kVarint) ||
                 Is(v1::PublishRequest::kStaticFieldNumber, kVarint)) {
        ok = Varint();
      } else {
        ok = Unknown();
      }
      if (!ok) return false;
    }
    AddArray(columns_);
    AddArray(keycols);
    size_.columns = std::max(size_.columns, columns_);
    size_.keycols = std::max(size_.keycols, keycols);
    return true;
  }

  WireSize size() const {
    WireSize size = size_;
    // Arrays grow by doubling; what one leaves behind the next ones take.
    size.memory += largest_array_;
    return size;
  }

 private:
  static constexpr auto kVarint = WireFormatLite::WIRETYPE_VARINT;
  static constexpr auto kFixed64 = WireFormatLite::WIRETYPE_FIXED64;
  static constexpr auto kDelimited = WireFormatLite::WIRETYPE_LENGTH_DELIMITED;

  bool Table() {
    size_.memory += sizeof(v1::Table);
    while (More()) {
      if (!Tag()) return false;
      bool ok = false;
      if (Is(v1::Table::kNameFieldNumber, kDelimited)) {
        ok = String();
      } else if (Is(v1::Table::kColumnsFieldNumber, kDelimited)) {
        ++columns_;
        ok = Inside(&Scanner::Column);
      } else {
        ok = Unknown();
      }
      if (!ok) return false;
    }
    return true;
  }

  bool Column() {
    size_.memory += sizeof(v1::Column);
    int64_t integers = 0;
    int64_t reals = 0;
    int64_t texts = 0;
    int64_t blobs = 0;
    while (More()) {
      if (!Tag()) return false;
      bool ok = false;
      if (Is(v1::Column::kIntegersFieldNumber, kDelimited)) {
        ok = PackedVarints(&integers);
      } else if (Is(v1::Column::kIntegersFieldNumber, kVarint)) {
        ++integers;
        ok = Varint();
      } else if (Is(v1::Column::kRealsFieldNumber, kDelimited)) {
        int length = 0;
        ok = Length(&length) && input_.Skip(length);
        reals += length / 8;
      } else if (Is(v1::Column::kRealsFieldNumber, kFixed64)) {
        ++reals;
        ok = input_.Skip(8);
      } else if (Is(v1::Column::kTextsFieldNumber, kDelimited)) {
        ++texts;
        ok = String();
      } else if (Is(v1::Column::kBlobsFieldNumber, kDelimited)) {
        ++blobs;
        ok = String();
      } else if (Is(v1::Column::kNameFieldNumber, kDelimited) ||
                 Is(v1::Column::kKindsFieldNumber, kDelimited)) {
        ok = String();
      } else if (Is(v1::Column::kTypeFieldNumber, kVarint)) {
        ok = Varint();
      } else {
        ok = Unknown();
      }
      if (!ok) return false;
    }
    AddArray(integers);
    // Room is made for each run of these at once, so that it may be twice what is needed.
    AddArray(2 * reals);
    AddArray(texts);
    AddArray(blobs);
    return true;
  }

  // Whether the message at hand has not ended.
  bool More() { return input_.BytesUntilLimit() > 0; }

  bool Tag() {
    tag_ = input_.ReadTagNoLastTag();
    return WireFormatLite::GetTagFieldNumber(tag_) > 0;
  }

  bool Is(int field, WireFormatLite::WireType type) const {
    return tag_ == WireFormatLite::MakeTag(field, type);
  }

  bool Varint() {
    uint64_t value;
    return input_.ReadVarint64(&value);
  }

  // A length that the message at hand has room for.
  bool Length(int* length) {
    return input_.ReadVarintSizeAsInt(length) && *length <= input_.BytesUntilLimit();
  }

  bool Inside(bool (Scanner::*message)()) {
    int length = 0;
    if (!Length(&length)) return false;
    const auto outer = input_.PushLimit(length);
    if (!(this->*message)()) return false;
    input_.PopLimit(outer);
    return true;
  }

  bool String() {
    int length = 0;
    if (!Length(&length)) return false;
    size_.memory += kStringBytes + (length > kInsideString ? length + kBlockBytes : 0);
    return input_.Skip(length);
  }

  bool PackedVarints(int64_t* count) {
    int length = 0;
    if (!Length(&length)) return false;
    const auto outer = input_.PushLimit(length);
    while (More()) {
      const void* data = nullptr;
      int size = 0;
      if (!input_.GetDirectBufferPointer(&data, &size)) return false;
      const auto* const bytes = static_cast<const uint8_t*>(data);
      // Each ends with its only byte below 128.
      *count += std::count_if(bytes, bytes + size, [](uint8_t byte) { return byte < 0x80; });
      if (!input_.Skip(size)) return false;
    }
    input_.PopLimit(outer);
    return true;
  }

  // A field that the contract does not have, with all that is in it.
  bool Unknown() {
    int depth = 0;
    while (true) {
      switch (WireFormatLite::GetTagWireType(tag_)) {
        case WireFormatLite::WIRETYPE_VARINT:
          if (!Varint()) return false;
          break;
        case WireFormatLite::WIRETYPE_FIXED64:
          if (!input_.Skip(8)) return false;
          break;
        case WireFormatLite::WIRETYPE_FIXED32:
          if (!input_.Skip(4)) return false;
          break;
        case WireFormatLite::WIRETYPE_LENGTH_DELIMITED:
          if (!String()) return false;
          break;
        case WireFormatLite::WIRETYPE_START_GROUP:
          if (++depth > kDeepestGroup) return false;
          break;
        case WireFormatLite::WIRETYPE_END_GROUP:
          if (--depth < 0) return false;
          break;
        default:
          return false;
      }
      size_.memory += kUnknownBytes;
      if (depth == 0) return true;
      if (!More() || !Tag()) return false;
    }
  }

  void AddArray(int64_t elements) {
    if (elements == 0) return;
    // With its head, which is as large as an element.
    const auto places = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(elements) + 1));
    const int64_t bytes = kElementBytes * std::max<int64_t>(places, 4);
    size_.memory += bytes;
    largest_array_ = std::max(largest_array_, bytes);
  }

  google::protobuf::io::CodedInputStream input_;
  uint32_t tag_ = 0;
  WireSize size_;
  // Of the publish at hand.
  int64_t columns_ = 0;
  int64_t largest_array_ = 0;
};

std::optional<WireSize> Scan(google::protobuf::io::ZeroCopyInputStream& input, int64_t bytes,
                             bool (Scanner::*message)()) {
  if (bytes > std::numeric_limits<int>::max()) return std::nullopt;
  Scanner scanner(input, static_cast<int>(bytes));
  if (!(scanner.*message)()) return std::nullopt;
  return scanner.size();
}

absl::Status Over(const char* what, int64_t number, const char* unit, int64_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the ", what, " ", number, " ", unit, ", over the limit of ", limit));
}

}  // namespace

std::optional<WireSize> ScanPublishRequest(google::protobuf::io::ZeroCopyInputStream& input,
                                           int64_t bytes) {
  return Scan(input, bytes, &Scanner::PublishRequest);
}

std::optional<WireSize> ScanPublishStreamRequest(google::protobuf::io::ZeroCopyInputStream& input,
                                                 int64_t bytes) {
  return Scan(input, bytes, &Scanner::PublishStreamRequest);
}

absl::Status CheckMessage(const WireSize& size, const Limits& limits) {
  if (size.publishes > limits.publishes_per_message) {
    return Over("message has", size.publishes, "publishes", limits.publishes_per_message);
  }
  if (size.memory > limits.memory_per_message) {
    return Over("message takes about", size.memory, "bytes of memory", limits.memory_per_message);
  }
  return absl::OkStatus();
}

absl::Status CheckPublish(const WireSize& size, const Limits& limits) {
  if (size.columns > limits.columns_per_table) {
    return Over("table has", size.columns, "columns", limits.columns_per_table);
  }
  if (size.keycols > limits.columns_per_table) {
    return Over("publish has", size.keycols, "keycols", limits.columns_per_table);
  }
  return CheckMessage(size, limits);
}

}  // namespace qasino::ingest
