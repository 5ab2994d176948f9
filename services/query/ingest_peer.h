#ifndef QASINO_SERVICES_QUERY_INGEST_PEER_H_
#define QASINO_SERVICES_QUERY_INGEST_PEER_H_

#include <memory>
#include <string>

namespace grpc {
class Channel;
}  // namespace grpc

namespace qasino::query {

// An ingest process that this server asks for what it has collected.
struct IngestPeer {
  // For errors: its address.
  std::string name;
  std::shared_ptr<grpc::Channel> channel;
};

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_INGEST_PEER_H_
