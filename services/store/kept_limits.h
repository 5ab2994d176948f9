#ifndef QASINO_SERVICES_STORE_KEPT_LIMITS_H_
#define QASINO_SERVICES_STORE_KEPT_LIMITS_H_

#include <cstdint>

namespace qasino::store {

// What the store keeps of static and of persistent tables at the most. Past a limit a change
// is refused whole, with RESOURCE_EXHAUSTED and a message that names the limit.
struct KeptLimits {
  // Of all static tables, and of all persistent ones; as they lie in memory.
  int64_t max_static_bytes = 256 << 20;
  int64_t max_persistent_bytes = int64_t{1} << 30;
  // Of each sort: tables, and pairs of table and identity.
  int64_t max_tables = 10'000;
  int64_t max_pairs = 1'000'000;
  // Of one table; of a persistent one it is one fewer, which tells whose a row is.
  int64_t max_columns = 2'000;
  // Of each sort: the names of all tables and columns, with kNameBytes for each; they travel in
  // every manifest, which is one message.
  int64_t max_catalogue_bytes = 6 << 20;
  static constexpr int64_t kNameBytes = 16;
};

}  // namespace qasino::store

#endif  // QASINO_SERVICES_STORE_KEPT_LIMITS_H_
