#ifndef QASINO_ADAPTERS_ZMQ_SIGNAL_H_
#define QASINO_ADAPTERS_ZMQ_SIGNAL_H_

#include <string>
#include <string_view>

#include "qasino/v1/ingest.pb.h"

namespace qasino::zeromq {

// What subscribers filter by.
inline constexpr std::string_view kSignalTopic = "GENSIG";

// The signal that `generation` has begun, as one frame: the topic, a zero byte, and
//   {"op":"generation_signal","identity":…,"generation_number":…,"generation_duration_s":…}
std::string SignalFrame(std::string_view identity, const v1::WatchGenerationsResponse& generation);

// Whether a subscription to what begins with `topic` gets such frames.
bool IsTopicOfSignal(std::string_view topic, std::string_view identity);

// Whether the first generation that a watch tells has begun less than a second ago. If not,
// it was running before, and its beginning is not told again.
bool HasJustBegun(const v1::WatchGenerationsResponse& generation);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_SIGNAL_H_
