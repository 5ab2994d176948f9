#include "adapters/zmq/zap.h"

namespace qasino::zeromq {

std::vector<std::string> AnswerZap(std::span<const std::string_view> request,
                                   const std::set<std::string, std::less<>>& allowed) {
  // version, request id, domain, address, identity, mechanism, credentials…
  constexpr std::string_view kVersion = "1.0";
  if (request.size() < 6 || request[0] != kVersion) return {};
  const bool yes = request.size() == 7 && request[5] == "CURVE" && allowed.contains(request[6]);
  // version, request id, status code, status text, user id, metadata
  return {std::string(kVersion),
          std::string(request[1]),
          yes ? "200" : "400",
          yes ? "OK" : "this key is not allowed",
          "",
          ""};
}

}  // namespace qasino::zeromq
