#ifndef QASINO_SERVICES_TRANSFER_SHARD_CHUNK_H_
#define QASINO_SERVICES_TRANSFER_SHARD_CHUNK_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

// The messages by which a shard's bytes travel, PutShardRequest and GetShardResponse with a
// chunk, made and read without copying the bytes: a parsed message has them in a string, and a
// shard has so many that each copy is seen in how fresh answers are.
//
// All functions may be called from any thread.
namespace qasino::transfer {

// At most so many bytes are in a chunk, says the contract.
inline constexpr size_t kMaxChunkBytes = 1 << 20;

// Bytes that gRPC reads where they are; `owner` keeps them alive until it has let go of them.
grpc::Slice Share(std::string_view bytes, std::shared_ptr<const void> owner);

// Bytes to be filled by the caller before they are given away.
struct NewSlice {
  grpc::Slice slice;
  char* bytes = nullptr;
};
NewSlice Allocate(size_t size);

// A PutShardRequest, or a GetShardResponse, with this chunk alone.
grpc::ByteBuffer ChunkMessage(uint64_t offset, grpc::Slice data);

// A chunk as it came. Copies share the bytes.
struct Chunk {
  uint64_t offset = 0;
  size_t size = 0;
  // The bytes, in order: of these slices, without the first `skip` bytes of the first.
  std::vector<grpc::Slice> slices;
  size_t skip = 0;

  // Calls `take` with each piece of the bytes in turn, until it returns false.
  template <typename Take>
  void ForEach(Take take) const {
    size_t skipped = skip;
    for (const grpc::Slice& slice : slices) {
      const std::string_view piece(reinterpret_cast<const char*>(slice.begin()) + skipped,
                                   slice.size() - skipped);
      skipped = 0;
      if (!piece.empty() && !take(piece)) return;
    }
  }
};

// The chunk of a message that has nothing else and is written as ChunkMessage, and every
// protobuf library, writes it. Nothing for any other message, which may still be a right one:
// parse it.
std::optional<Chunk> ReadChunk(const grpc::ByteBuffer& message);

}  // namespace qasino::transfer

#endif  // QASINO_SERVICES_TRANSFER_SHARD_CHUNK_H_
