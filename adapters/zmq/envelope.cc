#include "adapters/zmq/envelope.h"

namespace qasino::zeromq {

Shape ShapeOf(std::span<const size_t> sizes, bool cut) {
  if (sizes.empty()) return {};
  size_t envelope = 1;
  // The last part is what the envelope is for, be it empty.
  for (size_t i = 1; i + 1 < sizes.size(); ++i) {
    if (sizes[i] == 0) envelope = i + 1;
  }
  return {.envelope = envelope, .sound = !cut && envelope + 1 == sizes.size()};
}

}  // namespace qasino::zeromq
