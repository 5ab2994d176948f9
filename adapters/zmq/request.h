#ifndef QASINO_ADAPTERS_ZMQ_REQUEST_H_
#define QASINO_ADAPTERS_ZMQ_REQUEST_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "qasino/v1/ingest.pb.h"
#include "qasino/v1/query.pb.h"

namespace qasino::zeromq {

// As metrics have it: anything else is kOther.
enum class Op { kOther, kQuery, kAddTableData, kGetTableList };
std::string_view OpName(Op op);

// An answer that needs no service.
struct ReadyAnswer {
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string body;
};

// What a request asks for.
struct Request {
  Op op = Op::kOther;
  // To be answered so; to be queried (with Format::kTableList for kGetTableList, else as
  // kJson); to be published.
  std::variant<ReadyAnswer, v1::QueryRequest, v1::PublishRequest> action;
};

// Reads a request's JSON of at most `max_bytes`. `identity` is the server's, for answers. It
// takes as long as reading JSON does.
Request ReadRequest(std::string_view json, std::string_view identity, size_t max_bytes);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_REQUEST_H_
