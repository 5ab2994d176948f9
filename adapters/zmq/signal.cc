#include "adapters/zmq/signal.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <cstdint>

namespace qasino::zeromq {
namespace {

// What every frame begins with.
std::string Beginning(std::string_view identity) {
  const std::string quoted = boost::json::serialize(
      boost::json::value(boost::json::string_view(identity.data(), identity.size())));
  std::string text(kSignalTopic);
  text.push_back('\0');
  return text +
         fmt::format(R"({{"op":"generation_signal","identity":{},"generation_number":)", quoted);
}

}  // namespace

std::string SignalFrame(std::string_view identity, const v1::WatchGenerationsResponse& generation) {
  return fmt::format(R"({}{},"generation_duration_s":{}}})", Beginning(identity),
                     generation.generation(), generation.duration().seconds());
}

bool IsTopicOfSignal(std::string_view topic, std::string_view identity) {
  return std::string_view(Beginning(identity)).starts_with(topic);
}

bool HasJustBegun(const v1::WatchGenerationsResponse& generation) {
  return generation.has_sent_at() && generation.sent_at().seconds() == generation.generation();
}

}  // namespace qasino::zeromq
