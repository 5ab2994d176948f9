#include "services/transfer/shard_chunk.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpc/slice.h>

#include <algorithm>
#include <utility>

#include "qasino/v1/snapshot.pb.h"

namespace qasino::transfer {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

static_assert(int{v1::PutShardRequest::kChunkFieldNumber} ==
              int{v1::GetShardResponse::kChunkFieldNumber});
constexpr uint32_t kChunkTag = WireFormatLite::MakeTag(v1::PutShardRequest::kChunkFieldNumber,
                                                       WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint32_t kOffsetTag =
    WireFormatLite::MakeTag(v1::ShardChunk::kOffsetFieldNumber, WireFormatLite::WIRETYPE_VARINT);
constexpr uint32_t kDataTag = WireFormatLite::MakeTag(v1::ShardChunk::kDataFieldNumber,
                                                      WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
// What is before the bytes: three tags of one byte each, two lengths and an offset.
constexpr size_t kMostBefore = 3 + 5 + 5 + 10;

}  // namespace

grpc::Slice Share(std::string_view bytes, std::shared_ptr<const void> owner) {
  return grpc::Slice(
      const_cast<char*>(bytes.data()), bytes.size(),
      [](void* held) { delete static_cast<std::shared_ptr<const void>*>(held); },
      new std::shared_ptr<const void>(std::move(owner)));
}

NewSlice Allocate(size_t size) {
  // Never within the slice itself, whatever its size, so that the bytes stay where they are.
  const grpc_slice slice = grpc_slice_malloc_large(size);
  char* const bytes = reinterpret_cast<char*>(slice.data.refcounted.bytes);
  return {grpc::Slice(slice, grpc::Slice::STEAL_REF), bytes};
}

grpc::ByteBuffer ChunkMessage(uint64_t offset, grpc::Slice data) {
  uint8_t before[kMostBefore];
  const size_t of_offset = offset == 0 ? 0 : 1 + CodedOutputStream::VarintSize64(offset);
  const size_t of_chunk =
      of_offset + 1 + CodedOutputStream::VarintSize64(data.size()) + data.size();
  uint8_t* end = CodedOutputStream::WriteVarint32ToArray(kChunkTag, before);
  end = CodedOutputStream::WriteVarint64ToArray(of_chunk, end);
  if (offset != 0) {
    end = CodedOutputStream::WriteVarint32ToArray(kOffsetTag, end);
    end = CodedOutputStream::WriteVarint64ToArray(offset, end);
  }
  end = CodedOutputStream::WriteVarint32ToArray(kDataTag, end);
  end = CodedOutputStream::WriteVarint64ToArray(data.size(), end);
  const grpc::Slice slices[] = {grpc::Slice(before, static_cast<size_t>(end - before)),
                                std::move(data)};
  return grpc::ByteBuffer(slices, 2);
}

std::optional<Chunk> ReadChunk(const grpc::ByteBuffer& message) {
  Chunk chunk;
  const size_t length = message.Length();
  if (!message.Dump(&chunk.slices).ok()) return std::nullopt;
  uint8_t before[kMostBefore];
  size_t gathered = 0;
  for (const grpc::Slice& slice : chunk.slices) {
    const size_t more = std::min(slice.size(), sizeof before - gathered);
    std::copy_n(slice.begin(), more, before + gathered);
    gathered += more;
    if (gathered == sizeof before) break;
  }
  CodedInputStream input(before, static_cast<int>(gathered));
  const auto position = [&input] { return static_cast<size_t>(input.CurrentPosition()); };
  uint64_t of_chunk = 0;
  uint64_t of_data = 0;
  if (input.ReadTag() != kChunkTag || !input.ReadVarint64(&of_chunk) ||
      of_chunk != length - position()) {
    return std::nullopt;
  }
  uint32_t tag = input.ReadTag();
  if (tag == kOffsetTag) {
    if (!input.ReadVarint64(&chunk.offset)) return std::nullopt;
    tag = input.ReadTag();
  }
  if (tag != kDataTag || !input.ReadVarint64(&of_data) || of_data != length - position()) {
    return std::nullopt;
  }
  chunk.size = of_data;
  chunk.skip = position();
  while (!chunk.slices.empty() && chunk.skip >= chunk.slices.front().size()) {
    chunk.skip -= chunk.slices.front().size();
    chunk.slices.erase(chunk.slices.begin());
  }
  return chunk;
}

}  // namespace qasino::transfer
