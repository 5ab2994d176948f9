#ifndef QASINO_SERVICES_TABLES_MESSAGE_MEMORY_H_
#define QASINO_SERVICES_TABLES_MESSAGE_MEMORY_H_

#include <cstdint>
#include <optional>

namespace google::protobuf {
class Message;
namespace io {
class ZeroCopyInputStream;
}
}  // namespace google::protobuf

namespace qasino::tables {

// What a message would take in memory, with its bytes on the wire, found before anything is
// made of it: an empty column is two bytes there and hundreds here. An upper estimate.
// Nothing when the bytes cannot be such a message; one that passes may still not parse, for
// texts are not looked at.
//
// `type` is any message of the type that is expected, whose types are not nested in
// themselves. Takes time linear in the bytes and hardly memory, whatever the bytes are. Any
// thread.
std::optional<int64_t> EstimateMemory(google::protobuf::io::ZeroCopyInputStream& input,
                                      int64_t bytes, const google::protobuf::Message& type);

}  // namespace qasino::tables

#endif  // QASINO_SERVICES_TABLES_MESSAGE_MEMORY_H_
