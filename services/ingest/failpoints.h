#ifndef QASINO_SERVICES_INGEST_FAILPOINTS_H_
#define QASINO_SERVICES_INGEST_FAILPOINTS_H_

// Where tests can let an ingest process die (server::Failpoint), in the order in which a
// generation passes them.
namespace qasino::ingest {

// The store has answered a publish with `persist` or `static`; the publisher has no answer.
inline constexpr char kAfterForward[] = "ingest/after-forward";
// A generation's shard is about to be made bytes of, and was.
inline constexpr char kBeforeSeal[] = "ingest/before-seal";
inline constexpr char kAfterSeal[] = "ingest/after-seal";
// A sealed shard is about to be sent to the store, and the store has taken it.
inline constexpr char kBeforeHandIn[] = "ingest/before-hand-in";
inline constexpr char kAfterHandIn[] = "ingest/after-hand-in";

inline constexpr const char* kFailpoints[] = {kAfterForward, kBeforeSeal, kAfterSeal, kBeforeHandIn,
                                              kAfterHandIn};

}  // namespace qasino::ingest

#endif  // QASINO_SERVICES_INGEST_FAILPOINTS_H_
