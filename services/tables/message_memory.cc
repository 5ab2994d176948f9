#include "services/tables/message_memory.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"

namespace qasino::tables {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;

// A string: itself, what its owner notes of it, and its own block when it is longer than
// what fits inside.
constexpr int64_t kStringBytes = sizeof(std::string) + 16;
constexpr int64_t kInsideString = 15;
constexpr int64_t kBlockBytes = 17;
// A field that the contract does not have is kept too, in a list with spare places.
constexpr int64_t kUnknownBytes = 128;
// Numbers and pointers.
constexpr int64_t kElementBytes = 8;
// As deep as protobuf parses.
constexpr int kDeepestGroup = 100;

class Estimate {
 public:
  Estimate(google::protobuf::io::ZeroCopyInputStream& input, int bytes) : input_(&input) {
    input_.PushLimit(bytes);
    memory_ = bytes;
  }

  // Reads up to the limit.
  bool Message(const google::protobuf::Message& type) {
    const Descriptor& descriptor = *type.GetDescriptor();
    memory_ += SizeOf(type);
    // By the field's index.
    absl::InlinedVector<int64_t, 8> elements(descriptor.field_count(), 0);
    while (input_.BytesUntilLimit() > 0) {
      const uint32_t tag = input_.ReadTagNoLastTag();
      const int number = WireFormatLite::GetTagFieldNumber(tag);
      if (number == 0) return false;
      const FieldDescriptor* const field = descriptor.FindFieldByNumber(number);
      const bool ok =
          field == nullptr ? Unknown(tag) : Field(type, *field, tag, &elements[field->index()]);
      if (!ok) return false;
    }
    for (const int64_t count : elements) AddArray(count);
    return true;
  }

  // Arrays grow by doubling; what one leaves behind the next ones take.
  int64_t memory() const { return memory_ + largest_array_; }

 private:
  bool Field(const google::protobuf::Message& type, const FieldDescriptor& field, uint32_t tag,
             int64_t* elements) {
    const auto wire_type = WireFormatLite::GetTagWireType(tag);
    const auto own =
        WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
    if (wire_type == own) {
      if (field.is_repeated()) ++*elements;
      if (field.message_type() != nullptr) return Inside(Empty(type, *field.message_type()));
      return own == WireFormatLite::WIRETYPE_LENGTH_DELIMITED
                 ? String()
                 : WireFormatLite::SkipField(&input_, tag);
    }
    if (wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED && field.is_packable()) {
      return Packed(own, elements);
    }
    // Written in another way than its type's: unknown to the parser too.
    return Unknown(tag);
  }

  // A message of that type without anything in it.
  static const google::protobuf::Message& Empty(const google::protobuf::Message& type,
                                                const Descriptor& descriptor) {
    return *type.GetReflection()->GetMessageFactory()->GetPrototype(&descriptor);
  }

  int64_t SizeOf(const google::protobuf::Message& type) {
    const Descriptor* const descriptor = type.GetDescriptor();
    const auto [found, is_new] = sizes_.try_emplace(descriptor, 0);
    if (is_new) found->second = static_cast<int64_t>(Empty(type, *descriptor).SpaceUsedLong());
    return found->second;
  }

  // A length that the message at hand has room for.
  bool Length(int* length) {
    return input_.ReadVarintSizeAsInt(length) && *length <= input_.BytesUntilLimit();
  }

  bool Inside(const google::protobuf::Message& type) {
    int length = 0;
    if (!Length(&length)) return false;
    const auto outer = input_.PushLimit(length);
    if (!Message(type)) return false;
    input_.PopLimit(outer);
    return true;
  }

  bool String() {
    int length = 0;
    if (!Length(&length)) return false;
    memory_ += kStringBytes + (length > kInsideString ? length + kBlockBytes : 0);
    return input_.Skip(length);
  }

  bool Packed(WireFormatLite::WireType own, int64_t* elements) {
    int length = 0;
    if (!Length(&length)) return false;
    if (own != WireFormatLite::WIRETYPE_VARINT) {
      // Room is made for each run of these at once, so that it may be twice what is needed.
      *elements += 2 * (length / (own == WireFormatLite::WIRETYPE_FIXED32 ? 4 : 8));
      return input_.Skip(length);
    }
    const auto outer = input_.PushLimit(length);
    while (input_.BytesUntilLimit() > 0) {
      const void* data = nullptr;
      int size = 0;
      if (!input_.GetDirectBufferPointer(&data, &size)) return false;
      const auto* const bytes = static_cast<const uint8_t*>(data);
      // Each ends with its only byte below 128.
      *elements += std::count_if(bytes, bytes + size, [](uint8_t byte) { return byte < 0x80; });
      if (!input_.Skip(size)) return false;
    }
    input_.PopLimit(outer);
    return true;
  }

  // A field that the contract does not have, with all that is in it.
  bool Unknown(uint32_t tag) {
    int depth = 0;
    while (true) {
      memory_ += kUnknownBytes;
      switch (WireFormatLite::GetTagWireType(tag)) {
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
          if (!WireFormatLite::SkipField(&input_, tag)) return false;
      }
      if (depth == 0) return true;
      if (input_.BytesUntilLimit() <= 0) return false;
      tag = input_.ReadTagNoLastTag();
      if (WireFormatLite::GetTagFieldNumber(tag) == 0) return false;
    }
  }

  void AddArray(int64_t elements) {
    if (elements == 0) return;
    // With its head, which is as large as an element.
    const auto places = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(elements) + 1));
    const int64_t bytes = kElementBytes * std::max<int64_t>(places, 4);
    memory_ += bytes;
    largest_array_ = std::max(largest_array_, bytes);
  }

  google::protobuf::io::CodedInputStream input_;
  absl::flat_hash_map<const Descriptor*, int64_t> sizes_;
  int64_t memory_ = 0;
  int64_t largest_array_ = 0;
};

}  // namespace

std::optional<int64_t> EstimateMemory(google::protobuf::io::ZeroCopyInputStream& input,
                                      int64_t bytes, const google::protobuf::Message& type) {
  if (bytes > std::numeric_limits<int>::max()) return std::nullopt;
  Estimate estimate(input, static_cast<int>(bytes));
  if (!estimate.Message(type)) return std::nullopt;
  return estimate.memory();
}

}  // namespace qasino::tables
