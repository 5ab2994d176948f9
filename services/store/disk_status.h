#ifndef QASINO_SERVICES_STORE_DISK_STATUS_H_
#define QASINO_SERVICES_STORE_DISK_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace qasino::store {

// What the sender of something is told when it could not be written: the disk is full, or
// it failed.
inline absl::Status ForSender(const absl::Status& disk) {
  if (disk.ok() || absl::IsResourceExhausted(disk)) return disk;
  return absl::InternalError(std::string(disk.message()));
}

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_DISK_STATUS_H_
