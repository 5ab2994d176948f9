#ifndef QASINO_SERVICES_STORE_MESSAGES_H_
#define QASINO_SERVICES_STORE_MESSAGES_H_

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

// Messages as the store's calls have them: bytes, which they parse themselves. gRPC's own
// answer to a message that does not parse says neither that nor why.
namespace qasino::store {

// Whatever a request without a table may need; a few of these bytes can make much of them.
inline constexpr size_t kMaxSmallMessage = 64 << 10;

inline absl::Status NotA(const std::string& type) {
  return absl::InvalidArgumentError(
      absl::StrCat("the message is not a ", type, " (texts must be valid UTF-8)"));
}

// INVALID_ARGUMENT says that it is no such message. The copy is of references.
template <typename Message>
absl::Status ParseMessage(grpc::ByteBuffer bytes, Message& message) {
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  return NotA(std::string(Message::descriptor()->name()));
}

// The same for a message that cannot be large.
template <typename Message>
absl::Status ParseSmallMessage(const grpc::ByteBuffer& bytes, Message& message) {
  if (bytes.Length() > kMaxSmallMessage) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a ", std::string(Message::descriptor()->name()), " of ", bytes.Length(),
                     " bytes: more than the ", kMaxSmallMessage, " allowed"));
  }
  return ParseMessage(bytes, message);
}

template <typename Message>
grpc::Status WriteMessage(const Message& message, grpc::ByteBuffer* bytes) {
  bool own_buffer = false;
  return grpc::SerializationTraits<Message>::Serialize(message, bytes, &own_buffer);
}

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_MESSAGES_H_
