#ifndef QASINO_ADAPTERS_HTTP_ANSWER_H_
#define QASINO_ADAPTERS_HTTP_ANSWER_H_

#include "adapters/http/exchange.h"
#include "adapters/http/service.h"

namespace qasino::http {

// Answers a request, whatever it is: /request with its operations, /livez and /readyz; all
// else is 404. Both outlive the coroutine.
Task<void> Answer(Exchange& exchange, const Service& service);

}  // namespace qasino::http

#endif  // QASINO_ADAPTERS_HTTP_ANSWER_H_
