#ifndef QASINO_SERVICES_STORE_GRPC_STATUS_H_
#define QASINO_SERVICES_STORE_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace qasino::store {

// The codes are the same.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_GRPC_STATUS_H_
