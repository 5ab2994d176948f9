#ifndef QASINO_ADAPTERS_ZMQ_ZAP_H_
#define QASINO_ADAPTERS_ZMQ_ZAP_H_

#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qasino::zeromq {

// The answer to a request of ZAP, by which libzmq asks whether a client may connect
// (https://rfc.zeromq.org/spec/27/), part by part: yes for those whose public key, 32 bytes,
// is among `allowed`. None: the request is not one.
std::vector<std::string> AnswerZap(std::span<const std::string_view> request,
                                   const std::set<std::string, std::less<>>& allowed);

}  // namespace qasino::zeromq

#endif  // QASINO_ADAPTERS_ZMQ_ZAP_H_
