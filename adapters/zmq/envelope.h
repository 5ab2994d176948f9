#ifndef QASINO_ADAPTERS_ZMQ_ENVELOPE_H_
#define QASINO_ADAPTERS_ZMQ_ENVELOPE_H_

#include <cstddef>
#include <span>

namespace qasino::zeromq {

// More parts than a message can have here. Routers on the way add one each.
inline constexpr size_t kMaxParts = 64;

// Which parts of a message are its envelope, which goes back in front of the answer.
struct Shape {
  // So many parts, from the first.
  size_t envelope = 0;
  // Behind the envelope there is one part, the JSON. Else there is something else, and the
  // answer is an error.
  bool sound = false;
};

// The shape of a message as a ROUTER hands it out, from its parts' sizes; the first part is
// the sender's routing id.
//
//   id, "", json           of REQ
//   id, hop, "", json      of REQ, through a router or from a DEALER
//   id, json               of a DEALER that sends no envelope
//
// The envelope ends with the last empty part that has one behind it. Without any it is the
// id alone. `cut`: there were more parts than are given.
Shape ShapeOf(std::span<const size_t> sizes, bool cut);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_ENVELOPE_H_
