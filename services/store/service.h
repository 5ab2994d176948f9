#ifndef QASINO_SERVICES_STORE_SERVICE_H_
#define QASINO_SERVICES_STORE_SERVICE_H_

#include <memory>

#include "services/store/calls.h"

namespace grpc {
class Service;
}

namespace qasino::store {

// qasino.v1.SnapshotStore over the calls, which must outlive it.
std::unique_ptr<grpc::Service> NewSnapshotStoreService(Calls* calls);

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SERVICE_H_
