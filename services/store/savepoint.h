#ifndef QASINO_SERVICES_STORE_SAVEPOINT_H_
#define QASINO_SERVICES_STORE_SAVEPOINT_H_

#include "absl/status/status.h"
#include "services/sqlite/database.h"

namespace qasino::store {

// Does all of `work`, which gives a status, to the database, or nothing. They nest.
template <typename Work>
absl::Status InSavepoint(sqlite::Database& database, Work work) {
  if (absl::Status status = database.Execute("SAVEPOINT change"); !status.ok()) return status;
  absl::Status status = work();
  if (!status.ok()) {
    const absl::Status undone = database.Execute("ROLLBACK TO change");
    // A failure of SQLite's own may have rolled everything back already, and then there is no
    // savepoint left.
    if (!undone.ok()) return status;
  }
  const absl::Status released = database.Execute("RELEASE change");
  return status.ok() ? released : status;
}

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_SAVEPOINT_H_
