#ifndef QASINO_SERVICES_QUERY_VIEWS_H_
#define QASINO_SERVICES_QUERY_VIEWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "services/merge/merge_plan.h"
#include "services/merge/snapshot_builder.h"

// Views that the operator gives queries, from a YAML file:
//
//   - viewname: busy
//     view: CREATE VIEW busy AS SELECT identity, load FROM machines WHERE load > 10
//
// They may use tables, internal tables and each other, whatever their order. A view that is
// wrong, or whose tables a snapshot lacks, is not there and hinders no other.
namespace qasino::query {

inline constexpr size_t kMaxViewsBytes = 1 << 20;
inline constexpr size_t kMaxViews = 1000;
// What SQLite may allocate to prepare one view, with the views that it is made of; and how
// long, in seconds, a snapshot's views may take to be prepared. Views made of views grow with
// the product of their parts.
inline constexpr int64_t kMaxViewMemory = 8 << 20;
inline constexpr int kMaxViewSeconds = 2;

// One entry of the file.
struct ViewDefinition {
  // Where the entry has none: "#3", by its place in the file.
  std::string name;
  // The statement as it is in the file.
  std::string sql;
  // The statement that creates it in the temp schema; empty when `error` is set.
  std::string create;
  // Why it can be on no snapshot.
  std::string error;
};

// In the order of the file.
using ViewSet = std::vector<ViewDefinition>;

// A hash of the definitions, the same in every process. 0: there are none.
uint64_t Fingerprint(const ViewSet& views);

// Reads the YAML: a list (or nothing at all), each entry a map with `viewname` and `view`;
// other keys are ignored. An entry that is wrong gets its error; so does a second one of the
// same name, without case. A view's name is that of a table from outside, and the same as in
// its statement, which SQLite itself must find to be one CREATE VIEW and nothing else. TEMP,
// IF NOT EXISTS and a schema before the name have no effect.
//
// INVALID_ARGUMENT when it is no YAML, not UTF-8 or no list, there is more behind the list, and
// past kMaxViewsBytes and kMaxViews. The message is short and UTF-8 on one line.
// A pure function, for bytes of any content. Any thread.
absl::StatusOr<ViewSet> ParseViews(std::string_view yaml);

// What the views are on one snapshot.
struct CheckedViews {
  // All of them, sorted by name.
  std::vector<merge::ViewFact> facts;
  // CREATE TEMP VIEW statements of those that can be used, in an order in which they can be
  // executed one after the other.
  std::vector<std::string> create;
};

// Tries the views on empty tables of that form. A view can be used when SQLite can prepare
// SELECT * FROM it; else its error is SQLite's. A view named like a table is not used.
// Takes at most about kMaxViewSeconds. Any thread.
CheckedViews CheckViews(const ViewSet& views, const std::vector<merge::MergedTable>& tables,
                        merge::InternalTables internal);

}  // namespace qasino::query

#endif  // QASINO_SERVICES_QUERY_VIEWS_H_
